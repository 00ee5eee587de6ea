//! Whoever has what is ours to have: a port, a VNI, the place of a gateway.

use std::{net::UdpSocket, time::Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::{
    lab::{Agent, Lab},
    wait::patiently,
};

use super::{lab, reached};

#[test]
fn a_port_that_somebody_has() -> Result<()> {
    let lab = lab(2)?;
    let blue = [
        "network",
        "create",
        "blue",
        "--pool",
        "10.70.0.0/16",
        "--vni",
        "2",
        "--port",
        "4790",
    ];
    lab.weft(&blue)?;
    let host = lab.host(1);
    let socket = host.inside(|| Ok(UdpSocket::bind("0.0.0.0:4790")?))?;
    let mut agent = launched(&lab, &["--networks", "default,blue"])?;
    let _other = lab.agent(2, &["--networks", "default,blue"])?;
    patiently("it says which and why", || {
        let status = agent.status()?;
        let failing = status["failing"].as_array().cloned().unwrap_or_default();
        let up = failing
            .iter()
            .find(|one| one["step"] == "ip link set weft2 up");
        let up = up.with_context(|| format!("{status}"))?;
        let said = up["reason"].as_str().unwrap_or_default();
        ensure!(said.contains("in use"), "{said}");
        ensure!(
            network(&status, "default")?["state"] == "programmed",
            "{status}"
        );
        ensure!(network(&status, "blue")?["state"] == "failing", "{status}");
        let reason = reason(&agent)?;
        ensure!(
            reason.contains("weft2") && reason.contains("in use"),
            "{reason}"
        );
        Ok(())
    })?;
    // The other network does not care.
    let (one, other) = (lab.container_on(1)?, lab.container_on(2)?);
    reached(&one, &other)?;
    drop(socket);
    let began = Instant::now();
    agent.ready()?;
    println!("the port is free, and used after {:?}", began.elapsed());
    let (one, other) = (lab.container_of(1, "blue")?, lab.container_of(2, "blue")?);
    reached(&one, &other)
}

#[test]
fn a_vni_that_somebody_has() -> Result<()> {
    let lab = lab(2)?;
    let host = lab.host(1);
    host.ip(&[
        "link add ext1 address 02:55:00:00:00:01 type vxlan id 1 dstport 4789 local 192.0.2.1 dev eth0",
    ])?;
    let mut agent = launched(&lab, &[])?;
    let _other = lab.agent(2, &[])?;
    let said = patiently("it says why", || {
        let reason = reason(&agent)?;
        ensure!(reason.contains("VNI"), "{reason}");
        Ok(reason)
    })?;
    println!("{said}");
    let status = agent.status()?;
    ensure!(
        network(&status, "default")?["state"] == "failing",
        "{status}"
    );
    host.ip(&["link del ext1"])?;
    agent.ready()?;
    let (one, other) = (lab.container_on(1)?, lab.container_on(2)?);
    reached(&one, &other)
}

/// A device in another namespace has its VNI where it was made.
#[test]
fn a_device_that_was_taken_elsewhere() -> Result<()> {
    let lab = lab(2)?;
    let mut agents = lab.agents(&[])?;
    let (one, other) = (lab.container_on(1)?, lab.container_on(2)?);
    let host = lab.host(1);
    let pid = one.pid();
    host.ip(&[format!("link set weft1 netns {pid}")])?;
    patiently("it says why", || {
        let reason = reason(&agents[0])?;
        ensure!(reason.contains("VNI"), "{reason}");
        Ok(())
    })?;
    one.ip(&["link del weft1"])?;
    agents[0].ready()?;
    reached(&one, &other)
}

/// A narrower address of this host makes a peer's the broadcast address of its link:
/// that is no gateway.
#[test]
fn a_route_that_cannot_be() -> Result<()> {
    let lab = lab(1)?;
    let pool = ["--pool", "10.70.0.0/16", "--encap", "auto"];
    let direct = ["network", "create", "direct", "--vni", "700"];
    lab.weft(&[&direct[..], &pool].concat())?;
    for number in 66..76 {
        let (node, underlay) = (format!("n{number}"), format!("192.0.2.{number}"));
        let mac = format!("02:00:00:00:00:{number}");
        let whose = ["--node", &node, "--underlay", &underlay, "--mac", &mac];
        let lease = ["lease", "acquire", "--network", "direct"];
        lab.weft(&[&lease[..], &whose].concat())?;
    }
    let host = lab.host(1);
    host.ip(&["addr add 192.0.2.65/30 brd 192.0.2.67 dev eth0"])?;
    let mut agent = launched(&lab, &["--networks", "direct"])?;
    let why = patiently("it says who and why", || {
        let status = agent.status()?;
        let peers = network(&status, "direct")?["peers"].as_array();
        let peers = peers.cloned().unwrap_or_default();
        let is_failing = |peer: &&Value| peer["state"] == "failing";
        let failing: Vec<&Value> = peers.iter().filter(is_failing).collect();
        ensure!(peers.len() == 10 && failing.len() == 1, "{status}");
        ensure!(failing[0]["node"] == "n67", "{status}");
        let why = failing[0]["reason"].as_str().unwrap_or_default().to_owned();
        ensure!(why.contains("gateway"), "{why}");
        Ok(why)
    })?;
    println!("{why}");
    let direct_routes = || {
        let routes = host.json(&["ip", "-j", "route", "show", "proto", "77", "dev", "eth0"])?;
        Ok::<usize, anyhow::Error>(routes.as_array().map_or(0, Vec::len))
    };
    ensure!(direct_routes()? == 9);
    host.ip(&["addr del 192.0.2.65/30 dev eth0"])?;
    agent.ready()?;
    ensure!(direct_routes()? == 10);
    Ok(())
}

/// The agent of the first host, which is not expected to be ready.
fn launched(lab: &Lab, flags: &[&str]) -> Result<Agent> {
    let mut agent = Agent::new(lab.host(1), &lab.controller_urls()?, flags)?;
    agent.launch()?;
    Ok(agent)
}

/// Why it is not ready.
fn reason(agent: &Agent) -> Result<String> {
    let status = agent.status()?;
    ensure!(status["ready"] == false, "{status}");
    Ok(status["reason"].as_str().unwrap_or_default().to_owned())
}

fn network<'a>(status: &'a Value, name: &str) -> Result<&'a Value> {
    let mut all = status["networks"].as_array().into_iter().flatten();
    let found = all.find(|network| network["network"] == name);
    found.with_context(|| format!("{name} in {status}"))
}
