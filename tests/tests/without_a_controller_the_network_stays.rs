//! With no controller at all the data path goes on, also on a host that reboots; when
//! controllers are back, so is everything within seconds.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::{
    lab::{Container, Lab, Pinger, ping},
    wait::patiently,
};

/// How long controllers are promised to be back before agents are ready, and how long
/// on a busy machine.
const PROMISED: Duration = Duration::from_secs(5);
const GRANTED: Duration = Duration::from_secs(15);

/// A link that is new needs a moment, and so does the word of a peer.
fn reached(one: &Container, other: &Container) -> Result<()> {
    patiently("pings come back", || {
        let pings = ping(one, other.v4(), 3)?;
        ensure!(pings.lost() == 0, "{}", pings.said.stdout);
        Ok(())
    })
}

#[test]
fn controllers_and_etcd_are_gone() -> Result<()> {
    let mut lab = Lab::new(2)?;
    lab.start_controllers(2, &[])?;
    let mut agents = lab.agents(&[])?;
    let (one, other) = (lab.container_on(1)?, lab.container_on(2)?);
    let leases = lab.weft(&["lease", "list"])?;
    let pinger = Pinger::start(&one, other.v4())?;
    lab.etcd.as_mut().context("etcd")?.kill()?;
    for controller in &mut lab.controllers {
        controller.kill()?;
    }
    for agent in &mut agents {
        agent.kill()?;
        agent.launch()?;
    }
    patiently("the agents are there, and say what is missing", || {
        for agent in &agents {
            let status = agent.status()?;
            ensure!(status["ready"] == false, "{status}");
            ensure!(status["networks"][0]["state"] == "programmed", "{status}");
        }
        Ok(())
    })?;
    let pinged = pinger.finish()?;
    assert_eq!(pinged.lost(), 0, "{pinged:?}");
    let host = lab.host(1);
    host.ip(&["route flush proto 77 type unicast"])?;
    patiently("what is ours is put back as ever", || {
        let route = host.json(&[
            "ip", "-j", "route", "show", "proto", "77", "type", "unicast",
        ])?;
        ensure!(route.as_array().map(Vec::len) == Some(1), "{route}");
        Ok(())
    })?;
    reached(&one, &other)?;

    lab.etcd.as_mut().context("etcd")?.restart()?;
    for controller in &mut lab.controllers {
        controller.start()?;
    }
    let back = Instant::now();
    for agent in &mut agents {
        agent.ready()?;
    }
    in_time(back)?;
    let subnets = |leases: &Value| {
        let leases = leases.as_array().cloned().unwrap_or_default();
        let subnet = |lease: &Value| (lease["node"].clone(), lease["subnets"].clone());
        leases.iter().map(subnet).collect::<Vec<_>>()
    };
    let after = lab.weft(&["lease", "list"])?;
    assert_eq!(subnets(&after), subnets(&leases));
    Ok(())
}

/// The kernel of a host that boots holds nothing of ours.
#[test]
fn a_host_reboots_meanwhile() -> Result<()> {
    let mut lab = Lab::new(2)?;
    lab.start_controller(&[])?;
    let mut agents = lab.agents(&[])?;
    let (one, other) = (lab.container_on(1)?, lab.container_on(2)?);
    reached(&one, &other)?;
    patiently("the last good state is on disk", || {
        let state = lab.host(1).directory().join("state/state");
        let size = std::fs::metadata(state)?.len();
        ensure!(size > 100, "{size} bytes");
        Ok(())
    })?;
    lab.controllers[0].kill()?;
    agents[0].kill()?;
    let host = lab.host(1);
    host.ip(&["link del weft1", "route flush proto 77"])?;
    host.nft("flush ruleset")?;
    host.sysctl("net/ipv4/ip_forward", "0")?;
    assert_eq!(ping(&one, other.v4(), 1)?.received, 0);
    agents[0].launch()?;
    patiently("the overlay is restored from disk", || {
        let pings = ping(&one, other.v4(), 1)?;
        ensure!(
            pings.lost() == 0,
            "{}\n{}",
            pings.said.stdout,
            agents[0].log()
        );
        Ok(())
    })?;
    let status = agents[0].status()?;
    assert_eq!(status["ready"], false, "{status}");

    lab.controllers[0].start()?;
    let back = Instant::now();
    agents[0].ready()?;
    in_time(back)
}

fn in_time(back: Instant) -> Result<()> {
    let took = back.elapsed();
    println!("ready {took:?} after the controllers; {PROMISED:?} is promised");
    ensure!(took < GRANTED, "{took:?}");
    Ok(())
}
