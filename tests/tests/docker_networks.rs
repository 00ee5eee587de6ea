//! What Docker may be told of its networks of Weft's, and what it is told where that
//! cannot be: Debian's dockerd asks the agent.

use std::{net::IpAddr, time::Duration};

use anyhow::{Context, Result, ensure};
use tests::{
    engine::{Contained, Docker, ask},
    lab::{Agent, Lab, ping},
    process,
    wait::patiently,
};

const POOLS: &str = "10.40.0.0/16,fd77:40::/48";
const BLUE: &str = "10.50.0.0/16";

struct Scene {
    docker: Docker,
    agent: Agent,
    lab: Lab,
}

/// One host in the networks `default` and `blue`.
fn scene(flags: &[&str]) -> Result<Scene> {
    let mut lab = Lab::of_machines(1)?;
    lab.start_controller(&["--default-network", POOLS])?;
    lab.weft(&["network", "create", "blue", "--pool", BLUE])?;
    let networks = ["--docker", "--networks", "default,blue"];
    let agent = lab.agent(1, &[&networks[..], flags].concat())?;
    let docker = Docker::start(lab.host(1), &[])?;
    Ok(Scene { docker, agent, lab })
}

const CREATE: [&str; 6] = ["network", "create", "-d", "weft", "--ipam-driver", "weft"];

fn create(docker: &Docker, flags: &[&str]) -> Result<()> {
    docker.done(&[&CREATE[..], flags].concat()).map(drop)
}

/// The subnet of this host in a network.
fn own(scene: &Scene, network: &str) -> Result<String> {
    let leases = scene.lab.weft(&["lease", "list"])?;
    let leases = leases.as_array().context("a list")?;
    let lease = leases.iter().find(|lease| lease["network"] == network);
    let lease = lease.with_context(|| format!("a lease of {network}"))?;
    Ok(lease["subnets"][0].as_str().context("a subnet")?.to_owned())
}

/// Its address so many after the first.
fn nth(subnet: &str, last: u8) -> Result<IpAddr> {
    let (first, _) = subnet.rsplit_once('.').context("an IPv4 subnet")?;
    Ok(format!("{first}.{last}").parse()?)
}

/// At every address of a family that both have.
fn reaches(from: &Contained, to: &Contained) -> Result<()> {
    let own = from.addresses()?;
    for address in to.addresses()? {
        if !own.iter().any(|own| own.is_ipv4() == address.is_ipv4()) {
            continue;
        }
        let pings = ping(from.network(), address, 2)?;
        ensure!(pings.lost() == 0, "{address}: {}", pings.said.stdout);
        assert_eq!(from.asks(address, 80)?, to.name);
    }
    Ok(())
}

fn nothing_is_left(scene: &Scene) -> Result<()> {
    let left = scene.agent.endpoints()?;
    ensure!(left.is_empty(), "{left:?}");
    let said = scene.agent.weft(&["ipam", "check", "-o", "json"])?;
    ensure!(said.stdout.trim() == "[]", "{said:?}");
    let used = scene.agent.weft(&["ipam", "show", "-o", "json"])?;
    let used: serde_json::Value = serde_json::from_str(&used.stdout)?;
    for lot in used.as_array().context("a list")? {
        ensure!(lot["used"] == 0 && lot["held"] == 0, "{lot}");
    }
    patiently("no link is left", || {
        let links = scene.lab.host(1).done(&["ip", "-o", "link"])?;
        ensure!(!links.contains(" wv") && !links.contains(" wt"), "{links}");
        Ok(())
    })
}

#[test]
fn networks_addresses_and_macs_are_as_they_are_asked_for() -> Result<()> {
    networks_addresses_and_macs(&scene(&[])?)
}

#[test]
fn behind_a_bridge_too() -> Result<()> {
    networks_addresses_and_macs(&scene(&["--bridge", "default,blue"])?)
}

fn networks_addresses_and_macs(scene: &Scene) -> Result<()> {
    let docker = &scene.docker;
    // With nothing said it is the network `default`, of one family or both.
    create(docker, &["plain"])?;
    create(docker, &["--ipv6", "both"])?;
    let plain = docker.run("plain1", "plain", &[])?;
    let both = docker.run("both1", "both", &[])?;
    assert_eq!(plain.addresses()?.len(), 1);
    assert_eq!(both.addresses()?.len(), 2);
    reaches(&both, &plain)?;
    let plain4 = plain.v4()?;
    assert_eq!(ping(both.network(), plain4, 1)?.lost(), 0);

    // The network is named, or has the addresses that are.
    let blue = own(scene, "blue")?;
    let named = ["--ipam-opt", "weft.network=blue", "-o", "weft.network=blue"];
    create(docker, &[&named[..], &["named"]].concat())?;
    create(docker, &["--subnet", BLUE, "subnet"])?;
    let mac = "02:00:5e:10:00:09";
    let asked = nth(&blue, 77)?;
    let flags = ["--ip", &asked.to_string(), "--mac-address", mac];
    let fixed = docker.run("fixed1", "subnet", &flags)?;
    assert_eq!(fixed.addresses()?, [asked]);
    let link = fixed
        .network()
        .json(&["ip", "-j", "link", "show", "eth0"])?;
    assert_eq!(link[0]["address"], mac, "{link}");
    let other = docker.run("named1", "named", &[])?;
    reaches(&other, &fixed)?;
    reaches(&fixed, &other)?;
    let host = scene.lab.host(1);
    assert_eq!(ask(host, asked, 80)?, "fixed1");

    // It has it again, and nobody else has it meanwhile.
    let twin = docker.said(&[
        "run",
        "--network",
        "subnet",
        "--ip",
        &asked.to_string(),
        "localhost/box:1",
        "/bin/true",
    ])?;
    ensure!(twin.stderr.contains(&asked.to_string()), "{twin:?}");
    docker.done(&["restart", "-t", "0", "fixed1"])?;
    let fixed = docker.contained("fixed1")?;
    assert_eq!(fixed.addresses()?, [asked]);
    reaches(&other, &fixed)?;

    // Some of a subnet's addresses, and one that nobody gets.
    let range = blue.replace(".0/24", ".128/25");
    let kept = nth(&blue, 130)?.to_string();
    let ranged = [
        "--subnet",
        BLUE,
        "--ip-range",
        &range,
        "--aux-address",
        &format!("x={kept}"),
    ];
    create(docker, &[&ranged[..], &["--internal", "ranged"]].concat())?;
    let in_range = docker.run("ranged1", "ranged", &[])?;
    let IpAddr::V4(given) = in_range.v4()? else {
        unreachable!("it is an IPv4 address")
    };
    ensure!(given.octets()[3] >= 128, "{given} is not in {range}");
    reaches(&in_range, &other)?;
    let taken = docker.said(&[
        "run",
        "--network",
        "ranged",
        "--ip",
        &kept,
        "localhost/box:1",
        "/bin/true",
    ])?;
    ensure!(taken.code != 0, "{taken:?}");

    // A container of two networks reaches both.
    docker.done(&["network", "connect", "named", "plain1"])?;
    reaches(&plain, &fixed)?;
    reaches(&plain, &both)?;
    docker.done(&["network", "disconnect", "named", "plain1"])?;
    reaches(&plain, &both)?;

    let all = ["both1", "plain1", "fixed1", "named1", "ranged1"];
    docker.done(&[&["rm", "-f"], &all[..]].concat())?;
    let left = docker.done(&["ps", "-aq"])?;
    if !left.is_empty() {
        let left: Vec<&str> = left.lines().collect();
        docker.done(&[&["rm", "-f"], &left[..]].concat())?;
    }
    let networks = ["plain", "both", "named", "subnet", "ranged"];
    docker.done(&[&["network", "rm"], &networks[..]].concat())?;
    nothing_is_left(scene)
}

#[test]
fn what_cannot_be_is_a_sentence_that_docker_prints() -> Result<()> {
    let scene = scene(&[])?;
    let docker = &scene.docker;
    let blue = own(&scene, "blue")?;
    let gateway = nth(&blue, 9)?.to_string();
    for (flags, sentence) in [
        (
            &["--ipam-opt", "weft.network=red"][..],
            "this host is not in network red; it is in blue, default",
        ),
        (
            &["-o", "weft.network=blue"],
            "say --ipam-opt weft.network=blue as well",
        ),
        (&["-o", "weft.mtu=9000"], "weft.mtu is no option of Weft's"),
        (
            &["--subnet", "172.30.0.0/16"],
            "172.30.0.0/16 is in no network of this host",
        ),
        (
            &["--subnet", BLUE, "--gateway", &gateway],
            "leave --gateway out",
        ),
    ] {
        let said = docker.said(&[&CREATE[..], flags, &["bad"]].concat())?;
        ensure!(said.code != 0 && said.stderr.contains(sentence), "{said:?}");
    }
    let foreign = docker.said(&["network", "create", "-d", "weft", "bad"])?;
    ensure!(
        foreign.stderr.contains("say --ipam-driver weft"),
        "{foreign:?}"
    );
    let left = docker.done(&["network", "ls", "--filter", "driver=weft", "-q"])?;
    assert_eq!(left, "");
    nothing_is_left(&scene)
}

#[test]
fn ports_that_docker_leaves_open_are_chosen() -> Result<()> {
    let scene = scene(&[])?;
    let docker = &scene.docker;
    create(docker, &["plain"])?;
    let flags = ["-p", "80", "-p", "8000-8001:80"];
    for name in ["first", "second"] {
        docker.run(name, "plain", &flags)?;
    }
    let shown = scene.agent.endpoints()?;
    let published = |name: &str| -> Result<Vec<u16>> {
        let contained = docker.inspect(name)?;
        let id = contained["NetworkSettings"]["Networks"]["plain"]["EndpointID"].clone();
        let key = format!("docker/{}", id.as_str().context("an id")?);
        let endpoint = shown
            .iter()
            .find(|shown| shown.endpoint.key.as_str() == key);
        let endpoint = endpoint.with_context(|| format!("{key} in {shown:?}"))?;
        let ports = endpoint.endpoint.publish.iter();
        Ok(ports.map(|publish| publish.host_port).collect())
    };
    let host = scene.lab.host(1);
    let mut all = Vec::new();
    for name in ["first", "second"] {
        let ports = published(name)?;
        assert_eq!(ports.len(), 2, "{name}: {ports:?}");
        for port in ports {
            assert_eq!(ask(host, host.v4().into(), port)?, name, "{port}");
            ensure!(!all.contains(&port), "{port} twice");
            all.push(port);
        }
    }
    ensure!(all.contains(&8000) && all.contains(&8001), "{all:?}");
    let third = docker.said(&[
        "run",
        "--network",
        "plain",
        "-p",
        "8000-8001:80",
        "localhost/box:1",
        "/bin/true",
    ])?;
    let sentence = "every port from 8000 to 8001 is published already";
    ensure!(third.stderr.contains(sentence), "{third:?}");
    Ok(())
}

#[test]
fn what_containers_are_called_is_learned_from_docker() -> Result<()> {
    let mut scene = scene(&[])?;
    let docker = &scene.docker;
    create(docker, &["plain"])?;
    let flags = ["--network-alias", "web", "--label", "tier=front"];
    docker.run("one", "plain", &flags)?;
    let called = |agent: &Agent, name: &str| {
        patiently("its name is learned", || {
            let shown = agent.endpoints()?;
            let who = shown.first().context("an endpoint")?.endpoint.who.clone();
            ensure!(who.name.as_deref() == Some(name), "{who:?}");
            ensure!(who.aliases.contains(&"web".to_owned()), "{who:?}");
            let tier = who.labels.get("tier").map(String::as_str);
            ensure!(tier == Some("front"), "{who:?}");
            who.container.context("its id")
        })
    };
    let id = called(&scene.agent, "one")?;
    assert_eq!(docker.inspect("one")?["Id"], id);
    docker.done(&["rename", "one", "other"])?;
    called(&scene.agent, "other")?;
    // What happens while no agent runs is learned by the next one.
    scene.agent.kill()?;
    docker.done(&["rename", "other", "last"])?;
    scene.agent.start()?;
    called(&scene.agent, "last")?;
    Ok(())
}

/// Docker retries while nobody answers.
#[test]
fn an_agent_that_is_away_is_waited_for() -> Result<()> {
    let mut scene = scene(&[])?;
    create(&scene.docker, &["plain"])?;
    scene.agent.kill()?;
    let docker = &scene.docker;
    let agent = &mut scene.agent;
    std::thread::scope(|threads| -> Result<()> {
        let run = threads.spawn(|| docker.run("one", "plain", &[]));
        std::thread::sleep(Duration::from_secs(2));
        agent.start()?;
        let one = run
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        assert_eq!(one.addresses()?.len(), 1);
        Ok(())
    })?;
    scene.docker.done(&["rm", "-f", "one"])?;
    scene.docker.done(&["network", "rm", "plain"])?;
    nothing_is_left(&scene)
}

/// systemd has the socket before there is an agent: Docker starts, and its first
/// question starts the agent.
#[test]
fn systemd_holds_the_socket() -> Result<()> {
    let mut lab = Lab::of_machines(1)?;
    lab.start_controller(&["--default-network", POOLS])?;
    let host = lab.host(1);
    let plugins = "/run/docker/plugins";
    host.done(&["mkdir", "-p", plugins])?;
    let path = format!("{plugins}/weft.sock");
    let state = host.directory().join("state");
    let program = process::weft("weft-agent")?;
    let urls = lab.controller_urls()?;
    let words = [
        "systemd-socket-activate",
        "--fdname=docker",
        "--listen",
        &path,
        &program.to_string_lossy(),
        "--insecure",
        "--controller",
        &urls,
        "--state-dir",
        &state.to_string_lossy(),
    ];
    let _agent = host.spawn(&words)?;
    patiently("there is a socket", || {
        host.done(&["test", "-S", &path]).map(drop)
    })?;
    let docker = Docker::start(host, &[])?;
    ensure!(!state.exists(), "nobody has asked for the agent yet");
    create(&docker, &["plain"])?;
    let one = docker.run("one", "plain", &[])?;
    let two = docker.run("two", "plain", &[])?;
    reaches(&one, &two)
}
