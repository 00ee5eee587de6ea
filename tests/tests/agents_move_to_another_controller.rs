//! A controller that dies, or is told to stop, loses no lease: its agents go on
//! elsewhere from where they were.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use proto::v1::controller_message::Message;
use serde_json::Value;
use tests::{
    agent::{Agent, peers_of},
    client::Client,
    controller::Controller,
    etcd::Etcd,
    lab::{self, Lab, Pinger},
    wait::patiently,
};
use tonic::Code;

/// How soon agents are promised to be elsewhere, and how soon on a busy machine.
const PROMISED: Duration = Duration::from_secs(5);
const GRANTED: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
async fn when_theirs_is_killed() -> Result<()> {
    let etcd = Etcd::start()?;
    let mut first = Controller::etcd(&etcd, &[])?;
    let second = Controller::etcd(&etcd, &[])?;
    let mut agents = agents(&first, 1..4).await?;
    first.kill()?;
    for agent in &mut agents {
        let subnets = agent.subnets();
        agent.dismissed().await?;
        agent.connect(second.channel()?).await?;
        agent.joined().await?;
        assert_eq!(agent.subnets(), subnets);
    }
    told_only_what_is_new(&mut agents, &second).await
}

#[tokio::test(flavor = "multi_thread")]
async fn when_theirs_is_told_to_stop() -> Result<()> {
    let etcd = Etcd::start()?;
    let mut first = Controller::etcd(&etcd, &[])?;
    let second = Controller::etcd(&etcd, &[])?;
    let mut agents = agents(&first, 1..4).await?;
    let mut deaf = Agent::new(9);
    deaf.connect(first.channel()?).await?;
    deaf.joined().await?;
    first.terminate()?;
    for agent in &mut agents {
        let subnets = agent.subnets();
        agent
            .until("it is asked to move", |agent| {
                let asked = |message: &Message| matches!(message, Message::Move(_));
                agent.heard.iter().any(asked)
            })
            .await?;
        agent.connect(second.channel()?).await?;
        agent.joined().await?;
        assert_eq!(agent.subnets(), subnets);
    }
    // Who does not go is not waited for without end.
    let status = deaf.dismissed().await?;
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert_eq!(first.ended()?.code(), Some(0), "{}", first.log());
    told_only_what_is_new(&mut agents, &second).await
}

#[tokio::test(flavor = "multi_thread")]
async fn and_a_frozen_one_that_wakes_up_does_not_take_them_back() -> Result<()> {
    let etcd = Etcd::start()?;
    let frozen = Controller::etcd(&etcd, &["--session-ttl", "2s"])?;
    let living = Controller::etcd(&etcd, &["--session-ttl", "2s"])?;
    let mut agents = agents(&frozen, 1..3).await?;
    frozen.pause()?;
    for agent in &mut agents {
        let subnets = agent.subnets();
        agent.connect(living.channel()?).await?;
        agent.joined().await?;
        assert_eq!(agent.subnets(), subnets);
    }
    // It sleeps until the store has given it up, and wakes to a world without it.
    let status = patiently("the store gives it up", || {
        let status = living.weft_json(&["status"])?;
        let known = status["controllers"].as_array().map(Vec::len);
        ensure!(known == Some(1), "{status}");
        Ok(status)
    })?;
    frozen.resume()?;
    patiently("it is back, without its agents", || {
        let status = frozen.weft_json(&["status"])?;
        let known = status["controllers"].as_array().map(Vec::len);
        ensure!(known == Some(2) && status["sessions"] == 0, "{status}");
        Ok(())
    })?;
    for agent in &agents {
        let node = living.weft_json(&["node", "show", &agent.node])?;
        assert_eq!(node["state"], "connected", "{node}");
        assert_eq!(node["controller"], status["controller"], "{node}");
    }
    told_only_what_is_new(&mut agents, &living).await
}

#[derive(Debug, Clone, Copy)]
enum Gone {
    Killed,
    Told,
    Frozen,
}

/// The real ones do it by themselves, and no packet is lost.
#[test]
fn and_nobody_tells_them_to() -> Result<()> {
    let mut lab = Lab::new(3)?;
    lab.start_controllers(2, &[])?;
    let agents = lab.agents(&[])?;
    let (one, other) = (lab.container_on(1)?, lab.container_on(2)?);
    let pinger = Pinger::start(&one, other.v4())?;
    patiently("pings come back", || {
        ensure!(pinger.received() > 50);
        Ok(())
    })?;
    let before = leases(&lab)?;
    for gone in [Gone::Killed, Gone::Told, Gone::Frozen] {
        let theirs = with(&agents[0])?;
        let place = lab
            .controllers
            .iter()
            .position(|one| one.url().ok().as_ref() == Some(&theirs));
        let place = place.with_context(|| format!("no controller is {theirs}"))?;
        let began = Instant::now();
        let controller = &mut lab.controllers[place];
        match gone {
            Gone::Killed => controller.kill()?,
            Gone::Told => controller.terminate()?,
            Gone::Frozen => controller.pause()?,
        }
        patiently("all are with the other one", || {
            for agent in &agents {
                ensure!(with(agent)? != theirs, "{}", agent.status()?);
                ensure!(agent.ops("/readyz")?.status == 200);
            }
            Ok(())
        })?;
        let took = began.elapsed();
        println!("{gone:?}: all moved within {took:?}; {PROMISED:?} is promised");
        assert!(took < GRANTED, "{took:?}");
        let controller = &mut lab.controllers[place];
        match gone {
            Gone::Killed => controller.start()?,
            Gone::Told => {
                controller.ended()?;
                controller.start()?;
            }
            Gone::Frozen => controller.resume()?,
        }
        assert_eq!(leases(&lab)?, before);
    }
    let pinged = pinger.finish()?;
    assert_eq!(pinged.lost(), 0, "{pinged:?}");
    Ok(())
}

/// The controller with which an agent has a session.
fn with(agent: &lab::Agent) -> Result<String> {
    let status = agent.status()?;
    let controller = status["controller"].as_str();
    let controller = controller.with_context(|| format!("it has no session: {status}"))?;
    Ok(controller.to_owned())
}

fn leases(lab: &Lab) -> Result<Vec<(Value, Value, Value)>> {
    let leases = lab.weft(&["lease", "list"])?;
    let leases = leases.as_array().context("a list")?.iter();
    Ok(leases
        .map(|lease| {
            (
                lease["node"].clone(),
                lease["life"].clone(),
                lease["subnets"].clone(),
            )
        })
        .collect())
}

async fn agents(controller: &Controller, numbers: std::ops::Range<u32>) -> Result<Vec<Agent>> {
    let mut agents: Vec<Agent> = numbers.map(Agent::new).collect();
    for agent in &mut agents {
        agent.connect(controller.channel()?).await?;
        agent.joined().await?;
    }
    // Each has seen the last of them.
    let last = agents[agents.len() - 1].node.clone();
    for agent in &mut agents {
        agent
            .until("all know each other", |agent| {
                agent.held.peers.contains_key(&last)
            })
            .await?;
    }
    Ok(agents)
}

async fn told_only_what_is_new(agents: &mut [Agent], controller: &Controller) -> Result<()> {
    let client = Client::new(controller.channel()?);
    client.acquire_at("new", 100).await?;
    let leases = client.list("").await?.leases;
    for agent in agents {
        agent
            .until("it hears what is new", |agent| {
                agent.held.peers.contains_key("new")
            })
            .await?;
        let snapshot = |message: &Message| matches!(message, Message::Snapshot(_));
        assert!(!agent.heard.iter().any(snapshot), "{:?}", agent.heard);
        assert_eq!(agent.held.peers, peers_of(&leases));
    }
    Ok(())
}
