//! With no controller at all the data path goes on, also on a host that reboots; when
//! controllers are back, so is everything within seconds.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tests::{
    lab::{Lab, Pinger, ping},
    wait::patiently,
};

/// How long controllers may be back before agents are ready.
const BACK_WITHIN: Duration = Duration::from_secs(5);

#[test]
fn controllers_and_etcd_are_gone() -> Result<()> {
    let mut lab = Lab::new(2)?;
    lab.start_controllers(2, &[])?;
    let mut agents = lab.agents(&[])?;
    let (one, other) = (lab.container_on(1)?, lab.container_on(2)?);
    let pinger = Pinger::start(&one, other.v4())?;
    lab.etcd = None;
    for controller in &mut lab.controllers {
        controller.kill()?;
    }
    // What is ours is put back as ever.
    let route = lab.host(1).json(&[
        "ip", "-j", "route", "show", "proto", "77", "type", "unicast",
    ])?;
    assert_eq!(route.as_array().map(Vec::len), Some(1), "{route}");
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
    Ok(())
}

/// The kernel of a host that boots holds nothing of ours.
#[test]
fn a_host_reboots_meanwhile() -> Result<()> {
    let mut lab = Lab::new(2)?;
    lab.start_controller(&[])?;
    let mut agents = lab.agents(&[])?;
    let (one, other) = (lab.container_on(1)?, lab.container_on(2)?);
    assert_eq!(ping(&one, other.v4(), 3)?.lost(), 0);
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
    let took = back.elapsed();
    println!("ready {took:?} after the controller");
    assert!(took < BACK_WITHIN, "{took:?}");
    Ok(())
}
