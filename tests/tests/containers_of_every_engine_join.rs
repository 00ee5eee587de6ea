//! Containers of every engine that Debian has, on two hosts, in one network: each of
//! them reaches every other one.

use std::{fs, net::IpAddr, path::Path, thread, time::Instant};

use anyhow::{Context, Result, ensure};
use options::table;
use tests::{
    engine::{
        Contained, Containerd, Docker, Podman, ask, lxc, lxc_with, netns, nspawn, plain, runc,
    },
    lab::{Agent, Host, Lab, ping},
    process,
    wait::patiently,
};

const POOLS: &str = "10.40.0.0/16,fd77:40::/48";

/// Runs a container in a namespace that is there.
type Join = fn(&Host, &str, &str) -> Result<Contained>;

/// The engines of a host, and a container of each.
struct Engines {
    docker: Docker,
    podman: Podman,
    containerd: Containerd,
    /// Its pod at containerd.
    pod: String,
    containers: Vec<Contained>,
}

fn engines(lab: &Lab, number: u32, agent: &Agent) -> Result<Engines> {
    let host = lab.host(number);
    // What podman's package ships would be the first network of containerd.
    host.done(&["rm", "-f", "/etc/cni/net.d/87-podman-bridge.conflist"])?;
    let program = process::weft("weft-cni")?;
    let (program, socket) = (program.to_string_lossy(), agent.socket().to_string_lossy());
    host.done(&[&program, "install", "--socket", &socket])?;
    let named = |engine: &str| format!("{engine}{number}");

    let docker = Docker::start(host, &[])?;
    let create = ["network", "create", "-d", "weft", "--ipam-driver", "weft"];
    docker.done(&[&create[..], &["--ipv6", "weft"]].concat())?;
    let podman = Podman::with_cni(host)?;
    let containerd = Containerd::start(host)?;
    let (pod, in_pod) = containerd.pod(&named("pod"), &[(8080, 80)])?;
    let mut containers = vec![
        in_pod,
        docker.run(&named("docker"), "weft", &[])?,
        podman.run(&named("podman"), "weft", &[])?,
        containerd.run(&named("ctr"))?,
    ];
    for (engine, run) in [
        ("runc", runc as Join),
        ("lxc", lxc),
        ("nspawn", nspawn),
        ("netns", plain),
    ] {
        let name = named(engine);
        let path = netns(host, &name)?;
        let said = agent.weft(&["attach", "--netns", &path, "--name", &name])?;
        ensure!(said.code == 0, "attach {name}: {said:?}");
        containers.push(run(host, &name, &path)?);
    }
    let pid = docker.run(&named("none"), "none", &[])?;
    let name = pid.name.clone();
    let said = agent.weft(&["attach", "--container", &name])?;
    ensure!(said.code == 0, "attach {name}: {said:?}");
    containers.push(pid);
    Ok(Engines {
        docker,
        podman,
        containerd,
        pod,
        containers,
    })
}

#[test]
fn lxc_has_its_containers_attached_as_they_start() -> Result<()> {
    let mut lab = Lab::of_machines(1)?;
    lab.start_controller(&["--default-network", POOLS])?;
    let agent = lab.agent(1, &[])?;
    let host = lab.host(1);
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/attach/lxc-join");
    host.write("/etc/lxc/lxc-join", fs::read(example)?)?;
    host.done(&["chmod", "+x", "/etc/lxc/lxc-join"])?;
    let program = process::weft("weft")?;
    let called = format!(
        "#!/bin/sh\nexec {} \"$@\" --socket {}\n",
        program.display(),
        agent.socket().display()
    );
    host.write("/opt/bin/weft", called)?;
    host.done(&["chmod", "+x", "/opt/bin/weft"])?;
    let hooked = "lxc.net.0.type = empty
lxc.hook.version = 1
lxc.hook.start-host = /etc/lxc/lxc-join
lxc.environment = PATH=/bin";
    let container = lxc_with(host, "web", hooked, "PATH=/opt/bin:/usr/bin:/bin")?;
    let there = agent.endpoints()?;
    ensure!(there.len() == 1, "{there:?}");
    let endpoint = &there[0].endpoint;
    assert_eq!(endpoint.who.name.as_deref(), Some("web"));
    assert_eq!(container.addresses()?.len(), 2);
    for address in container.addresses()? {
        ensure!(
            endpoint.addresses.contains(&address),
            "{address} {endpoint:?}"
        );
        assert_eq!(ask(host, address, 80)?, "web");
    }
    drop(container);
    host.done(&["lxc-stop", "--kill", "--name", "web"])?;
    patiently("its endpoint ends with it", || {
        let left = agent.endpoints()?;
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    })
}

/// The mean round trips in milliseconds at both addresses of all others, each of which
/// says its own name.
fn reach(from: &Contained, all: &[&Contained]) -> Result<Vec<Result<String>>> {
    let others = all.iter().filter(|to| to.name != from.name);
    let mut addresses = Vec::new();
    for to in others {
        let of_it = to.addresses()?;
        ensure!(of_it.len() == 2, "{} has {of_it:?}", to.name);
        addresses.extend(of_it.into_iter().map(|address| (address, &to.name)));
    }
    let alone: Vec<IpAddr> = addresses.iter().map(|(address, _)| *address).collect();
    let said = from.asks_all(&alone, 80)?;
    ensure!(said.len() == alone.len(), "{said:?}");
    let one = |((address, name), said): (&(IpAddr, &String), &String)| {
        ensure!(
            said == *name,
            "{} asks {name} at {address}: {said:?}",
            from.name
        );
        pinged(from, *address).with_context(|| format!("{} to {name}", from.name))
    };
    let times: Vec<Result<f64>> = addresses.iter().zip(&said).map(one).collect();
    let mut times = times.into_iter();
    let pairs = std::iter::from_fn(|| {
        let pair = [times.next()?, times.next()?];
        let [v4, v6] = pair;
        Some(v4.and_then(|v4| Ok(format!("{:.3}", v4.midpoint(v6?)))))
    });
    Ok(pairs.collect())
}

fn pinged(from: &Contained, address: IpAddr) -> Result<f64> {
    let pings = ping(from.network(), address, 2)?;
    ensure!(pings.lost() == 0, "{}", pings.said.stdout);
    // "rtt min/avg/max/mdev = 0.050/0.070/0.100/0.020 ms"
    let line = pings
        .said
        .stdout
        .lines()
        .find_map(|line| line.strip_prefix("rtt "));
    let mean = line.and_then(|line| line.split('=').nth(1)?.split('/').nth(1));
    Ok(mean.context("times")?.parse()?)
}

/// Prints it, and tells what did not come through.
fn matrix(all: &[&Contained], rows: Vec<Vec<Result<String>>>) -> Vec<String> {
    let names = all.iter().map(|one| one.name.as_str());
    let heads: Vec<&str> = ["ms"].into_iter().chain(names).collect();
    let cells = rows
        .iter()
        .zip(all)
        .enumerate()
        .map(|(index, (row, from))| {
            let mut cells: Vec<String> = row
                .iter()
                .map(|cell| cell.as_ref().map_or("lost", String::as_str).to_owned())
                .collect();
            cells.insert(index, "-".to_owned());
            [from.name.clone()].into_iter().chain(cells).collect()
        });
    println!("{}", table::fitted(&heads, &[], cells, None));
    let lost = rows.into_iter().flatten().filter_map(Result::err);
    lost.map(|error| format!("{error:#}")).collect()
}

#[test]
fn all_reach_all() -> Result<()> {
    all_of(&["--docker"])
}

#[test]
#[ignore = "the same once more: make test-engines"]
fn all_reach_all_behind_bridges() -> Result<()> {
    all_of(&["--docker", "--bridge", "default"])
}

fn all_of(flags: &[&str]) -> Result<()> {
    let began = Instant::now();
    let mut lab = Lab::of_machines(2)?;
    lab.start_controller(&["--default-network", POOLS])?;
    let agents = lab.agents(flags)?;
    let lab = &lab;
    let both = thread::scope(|scope| {
        let started = [(1, &agents[0]), (2, &agents[1])]
            .map(|(number, agent)| scope.spawn(move || engines(lab, number, agent)));
        let started = started.map(|one| one.join().expect("no panic"));
        started.into_iter().collect::<Result<Vec<Engines>>>()
    })?;
    let all: Vec<&Contained> = both.iter().flat_map(|host| &host.containers).collect();
    println!("all are there after {:?}", began.elapsed());
    let rows: Vec<_> = thread::scope(|scope| {
        let halves = all.chunks(all.len().div_ceil(2)).map(|half| {
            let row = |from: &&Contained| reach(from, &all);
            scope.spawn(move || half.iter().map(row).collect::<Result<Vec<_>>>())
        });
        let halves: Vec<_> = halves.collect();
        let halves = halves
            .into_iter()
            .map(|half| half.join().expect("no panic"));
        halves.collect::<Result<Vec<_>>>()
    })?;
    let lost = matrix(&all, rows.into_iter().flatten().collect());
    println!("and have reached each other after {:?}", began.elapsed());
    ensure!(lost.is_empty(), "{}", lost.join("\n"));

    for (number, from) in [(1, 2), (2, 1)] {
        let published = lab.host(number).v4().into();
        let said = ask(lab.host(from), published, 8080)?;
        assert_eq!(said, format!("pod{number}"));
    }

    // All go, each as its engine has it, and nothing of them is left.
    for (number, host) in (1..=2).zip(&both) {
        let machine = lab.host(number);
        let docker = [format!("docker{number}"), format!("none{number}")];
        host.docker.done(&["rm", "-f", &docker[0], &docker[1]])?;
        host.docker.done(&["network", "rm", "weft"])?;
        host.podman
            .done(&["rm", "-f", "-t", "0", &format!("podman{number}")])?;
        host.containerd.cri().remove_pod(&host.pod)?;
        host.containerd.remove(&format!("ctr{number}"))?;
        machine.done(&["runc", "delete", "--force", &format!("runc{number}")])?;
        machine.done(&["lxc-stop", "--kill", "--name", &format!("lxc{number}")])?;
    }
    let mut both = both;
    for host in &mut both {
        host.containers.clear();
    }
    for number in 1..=2 {
        for engine in ["runc", "lxc", "nspawn", "netns"] {
            let name = format!("{engine}{number}");
            lab.host(number).done(&["ip", "netns", "del", &name])?;
        }
    }
    patiently("nothing of them is left", || {
        for (number, agent) in (1..=2).zip(&agents) {
            let left = agent.endpoints()?;
            ensure!(left.is_empty(), "{left:?}");
            let said = agent.weft(&["ipam", "check"])?;
            ensure!(said.code == 0, "{said:?}");
            let links = lab.host(number).done(&["ip", "-br", "link"])?;
            ensure!(!links.contains("wv"), "{links}");
        }
        Ok(())
    })
}
