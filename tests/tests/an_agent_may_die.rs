//! An agent that is killed, stopped or restarted takes nothing with it: not one packet
//! between running containers is lost, and TCP connections live on.

use anyhow::{Result, ensure};
use tests::{
    lab::{Agent, Container, Lab, Pinger, Stream},
    wait::patiently,
};

const POOLS: &str = "10.40.0.0/16,fd77:40::/48";

struct Scene {
    agents: Vec<Agent>,
    one: Container,
    other: Container,
    _lab: Lab,
}

fn scene() -> Result<Scene> {
    let mut lab = Lab::new(2)?;
    lab.start_controller(&["--default-network", POOLS])?;
    let agents = lab.agents(&[])?;
    Ok(Scene {
        one: lab.container_on(1)?,
        other: lab.container_on(2)?,
        agents,
        _lab: lab,
    })
}

/// Runs this under a ping a millisecond and a TCP stream, in both families.
fn under_traffic(scene: &mut Scene, act: impl FnOnce(&mut [Agent]) -> Result<()>) -> Result<()> {
    let (one, other) = (&scene.one, &scene.other);
    let addresses = other.addresses.clone();
    let pingers: Result<Vec<Pinger>> = addresses.iter().map(|to| Pinger::start(one, *to)).collect();
    let streams: Result<Vec<Stream>> = addresses
        .iter()
        .map(|to| Stream::start(one, other, *to))
        .collect();
    let (pingers, streams) = (pingers?, streams?);
    patiently("pings come back", || {
        ensure!(pingers.iter().all(|pinger| pinger.received() > 50));
        Ok(())
    })?;
    act(&mut scene.agents)?;
    for pinger in pingers {
        let pinged = pinger.finish()?;
        assert_eq!(pinged.lost(), 0, "{pinged:?}");
    }
    for stream in streams {
        let streamed = stream.finish()?;
        assert!(streamed.bytes > 0, "{streamed:?}");
    }
    Ok(())
}

#[test]
fn killed_and_started_again() -> Result<()> {
    under_traffic(&mut scene()?, |agents| {
        for _ in 0..3 {
            for agent in &mut *agents {
                agent.kill()?;
            }
            for agent in &mut *agents {
                agent.start()?;
            }
        }
        Ok(())
    })
}

#[test]
fn told_to_stop_and_started_again() -> Result<()> {
    under_traffic(&mut scene()?, |agents| {
        for agent in &mut *agents {
            agent.terminate()?;
            assert_eq!(agent.ended()?.code(), Some(0), "{}", agent.log());
            agent.start()?;
        }
        Ok(())
    })
}

#[test]
fn frozen_for_a_while() -> Result<()> {
    under_traffic(&mut scene()?, |agents| {
        agents[0].pause()?;
        agents[1].kill()?;
        agents[1].start()?;
        agents[0].resume()?;
        agents[0].ready()
    })
}
