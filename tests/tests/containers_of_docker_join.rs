//! Debian's dockerd on two hosts, with the network and IPAM driver that the agent is:
//! its containers reach each other, whatever is killed or booted again.

use std::net::IpAddr;

use anyhow::{Context, Result, ensure};
use tests::{
    engine::{Contained, Docker, ask},
    lab::{Agent, Lab, Pinger, ping, tcp},
    wait::patiently,
};

const POOLS: &str = "10.40.0.0/16,fd77:40::/48";

struct Scene {
    dockers: Vec<Docker>,
    agents: Vec<Agent>,
    lab: Lab,
}

fn scene(flags: &[&str]) -> Result<Scene> {
    let mut lab = Lab::of_machines(2)?;
    lab.start_controller(&["--default-network", POOLS])?;
    let agents = lab.agents(&["--docker"])?;
    let dockers: Result<Vec<Docker>> = (1..=2)
        .map(|number| Docker::start(lab.host(number), flags))
        .collect();
    let scene = Scene {
        dockers: dockers?,
        agents,
        lab,
    };
    Ok(scene)
}

fn join(docker: &Docker) -> Result<()> {
    let create = [
        "network",
        "create",
        "--driver",
        "weft",
        "--ipam-driver",
        "weft",
    ];
    docker
        .done(&[&create[..], &["--ipv6", "weft"]].concat())
        .map(drop)
}

fn devices(lab: &Lab, host: u32) -> Result<Vec<String>> {
    let links = lab.host(host).json(&["ip", "-j", "link"])?;
    let links = links.as_array().context("a list of links")?;
    let names = links.iter().filter_map(|link| link["ifname"].as_str());
    Ok(names.map(str::to_owned).collect())
}

/// By ping and by TCP, at every address, and by what the containers themselves do.
fn all_reach_all(all: &[&Contained]) -> Result<()> {
    for from in all {
        for to in all.iter().filter(|to| to.name != from.name) {
            let addresses = to.addresses()?;
            assert_eq!(addresses.len(), 2, "{} has {addresses:?}", to.name);
            for address in addresses {
                let pings = ping(from.network(), address, 2)?;
                let (from_name, to_name) = (&from.name, &to.name);
                ensure!(
                    pings.lost() == 0,
                    "{from_name} {to_name}: {}",
                    pings.said.stdout
                );
                tcp(from.network(), to.network(), address, 1 << 20)?;
                assert_eq!(from.asks(address, 80)?, to.name, "{from_name} at {address}");
            }
        }
    }
    Ok(())
}

/// Of all agents: nothing is wrong, and this many endpoints are ready.
fn in_order(scene: &Scene, endpoints: usize) -> Result<()> {
    let mut count = 0;
    for agent in &scene.agents {
        let said = agent.weft(&["ipam", "check", "-o", "json"])?;
        ensure!(said.code == 0 && said.stdout.trim() == "[]", "{said:?}");
        let all = agent.endpoints()?;
        for shown in &all {
            ensure!(shown.reason.is_none(), "{shown:?}");
        }
        count += all.len();
    }
    ensure!(count == endpoints, "{count} endpoints");
    Ok(())
}

#[test]
fn two_docker_hosts_are_one_network() -> Result<()> {
    let mut scene = scene(&[])?;
    let before = [devices(&scene.lab, 1)?, devices(&scene.lab, 2)?];
    for docker in &scene.dockers {
        join(docker)?;
    }
    let [first, second] = &mut scene.dockers[..] else {
        unreachable!("two were started")
    };
    let one = first.run("one", "weft", &["-p", "8080:80"])?;
    let two = first.run("two", "weft", &[])?;
    let far = second.run("far", "weft", &["-p", "8080:80"])?;
    all_reach_all(&[&one, &two, &far])?;

    // Published ports, from elsewhere, from the host itself, and from a container.
    let hosts: [IpAddr; 2] = [scene.lab.host(1).v4().into(), scene.lab.host(2).v4().into()];
    assert_eq!(ask(scene.lab.host(2), hosts[0], 8080)?, "one");
    assert_eq!(ask(scene.lab.host(1), hosts[1], 8080)?, "far");
    assert_eq!(ask(scene.lab.host(1), hosts[0], 8080)?, "one");
    assert_eq!(ask(scene.lab.host(1), "127.0.0.1".parse()?, 8080)?, "one");
    assert_eq!(two.asks(hosts[0], 8080)?, "one");
    assert_eq!(
        ask(scene.lab.host(2), scene.lab.host(1).v6().into(), 8080)?,
        "one"
    );
    assert_eq!(ask(scene.lab.host(1), one.v4()?, 80)?, "one");

    // The agents are killed, one after the other, and nothing is lost.
    let pingers = [
        Pinger::start(one.network(), far.v4()?)?,
        Pinger::start(far.network(), one.v6()?)?,
    ];
    for agent in &mut scene.agents {
        agent.kill()?;
        agent.start()?;
    }
    for pinger in pingers {
        let pinged = pinger.finish()?;
        assert_eq!(pinged.lost(), 0, "{pinged:?}");
    }

    // dockerd is killed: its containers go on until there is one again, which ends them.
    let pinger = Pinger::start(far.network(), two.v4()?)?;
    first.kill();
    assert_eq!(far.asks(one.v4()?, 80)?, "one");
    assert_eq!(pinger.finish()?.lost(), 0);
    first.restart()?;
    first.done(&["start", "one", "two"])?;
    let (one, two) = (first.contained("one")?, first.contained("two")?);
    all_reach_all(&[&one, &two, &far])?;
    assert_eq!(ask(scene.lab.host(2), hosts[0], 8080)?, "one");

    // Both at once.
    first.kill();
    scene.agents[0].kill()?;
    scene.agents[0].start()?;
    first.restart()?;
    first.done(&["start", "one", "two"])?;
    let (one, two) = (first.contained("one")?, first.contained("two")?);
    all_reach_all(&[&one, &two, &far])?;
    in_order(&scene, 3)?;

    // Nothing is left.
    for (docker, names) in scene.dockers.iter().zip([&["one", "two"][..], &["far"]]) {
        docker.done(&[&["rm", "-f"], names].concat())?;
        docker.done(&["network", "rm", "weft"])?;
    }
    patiently("no endpoint is left", || in_order(&scene, 0))?;
    assert_eq!(devices(&scene.lab, 1)?, before[0]);
    assert_eq!(devices(&scene.lab, 2)?, before[1]);
    Ok(())
}

#[test]
fn docker_hosts_are_booted_again() -> Result<()> {
    let mut scene = scene(&[])?;
    for (docker, name) in scene.dockers.iter().zip(["one", "far"]) {
        join(docker)?;
        docker.run(name, "weft", &["--restart", "always", "-p", "8080:80"])?;
    }
    scene.dockers.clear();
    scene.agents.clear();
    for number in 1..=2 {
        scene.lab.reboot(number)?;
    }
    // As on a real machine nobody waits for anybody.
    let launched = (1..=2).map(|number| {
        let urls = scene.lab.controller_urls()?;
        let mut agent = Agent::new(scene.lab.host(number), &urls, &["--docker"])?;
        agent.launch()?;
        Ok(agent)
    });
    scene.agents = launched.collect::<Result<_>>()?;
    for number in 1..=2 {
        let docker = Docker::start(scene.lab.host(number), &[])?;
        scene.dockers.push(docker);
    }
    for agent in &mut scene.agents {
        agent.ready()?;
    }
    patiently("containers are there again", || {
        let one = scene.dockers[0].contained("one")?;
        let far = scene.dockers[1].contained("far")?;
        all_reach_all(&[&one, &far])
    })?;
    assert_eq!(
        ask(scene.lab.host(2), scene.lab.host(1).v4().into(), 8080)?,
        "one"
    );
    patiently("all is in order", || in_order(&scene, 2))
}

#[test]
fn a_docker_that_lets_containers_live_is_restarted() -> Result<()> {
    let mut scene = scene(&["--live-restore"])?;
    for docker in &scene.dockers {
        join(docker)?;
    }
    let one = scene.dockers[0].run("one", "weft", &["-p", "8080:80"])?;
    let far = scene.dockers[1].run("far", "weft", &[])?;
    let pinger = Pinger::start(far.network(), one.v4()?)?;
    scene.dockers[0].kill();
    scene.dockers[0].restart()?;
    assert_eq!(pinger.finish()?.lost(), 0);
    let same = scene.dockers[0].contained("one")?;
    assert_eq!(same.addresses()?, one.addresses()?);
    let new = scene.dockers[0].run("new", "weft", &[])?;
    all_reach_all(&[&same, &far, &new])?;
    assert_eq!(
        ask(scene.lab.host(2), scene.lab.host(1).v4().into(), 8080)?,
        "one"
    );
    scene.dockers[0].done(&["rm", "-f", "one", "new"])?;
    patiently("theirs are given back", || in_order(&scene, 1))
}
