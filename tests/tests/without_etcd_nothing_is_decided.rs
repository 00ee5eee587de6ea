//! etcd stops, comes back, or only stops answering: nothing is acknowledged that is
//! not so, and nothing is lost.

use std::{thread, time::Duration};

use anyhow::{Context, Result, ensure};
use proto::v1::controller_message::Message;
use tests::{
    agent::Agent,
    client::Client,
    controller::Controller,
    daemon::Daemon,
    etcd::Etcd,
    lab::{Lab, Picture, Pinger},
    wait::{eventually, patiently},
};
use tonic::Code;

/// How long processes are watched, and how much of a core each may use meanwhile. That
/// is computing, and no more on a busy machine than on an idle one.
const WATCHED: Duration = Duration::from_secs(8);
const SHARE: f64 = 0.1;

#[tokio::test(flavor = "multi_thread")]
async fn a_short_stop_is_waited_out() -> Result<()> {
    let mut etcd = Etcd::start()?;
    let controller = Controller::etcd(&etcd, &["--session-ttl", "60s"])?;
    let client = Client::new(controller.channel()?);
    let lease = client.acquire_at("a", 1).await?;
    let mut agent = Agent::new(2);
    agent.connect(controller.channel()?).await?;
    agent.joined().await?;
    let before = client.list("").await?.leases;

    etcd.kill()?;
    let life = lease.life.parse()?;
    let (new, again, renewed, released) = tokio::join!(
        client.acquire("b"),
        client.acquire("a"),
        client.renew("a", life),
        client.release("a", &lease.life),
    );
    for refused in [new.err(), again.err(), renewed.err(), released.err()] {
        let status = refused.context("acknowledged without a store")?;
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    }
    assert_eq!(client.list("").await?.leases, before);

    etcd.restart()?;
    eventually("leases can be had again", async || {
        Ok(client.acquire_at("c", 3).await?)
    })
    .await?;
    // It was there all the time: the same session hears of it.
    agent
        .until("the agent hears of it", |agent| {
            agent.held.peers.contains_key("c")
        })
        .await?;
    let sent_away = |message: &Message| matches!(message, Message::Move(_));
    assert!(!agent.heard.iter().any(sent_away), "{:?}", agent.heard);
    let after = client.list("").await?.leases;
    for lease in before {
        let same = after.iter().find(|after| after.life == lease.life);
        let same = same.with_context(|| format!("{lease:?} is gone"))?;
        assert_eq!(same.subnets, lease.subnets);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_that_is_cut_off_sends_its_agents_away() -> Result<()> {
    let etcd = Etcd::start()?;
    let controller = Controller::etcd(&etcd, &["--session-ttl", "3s"])?;
    let client = Client::new(controller.channel()?);
    let mut agent = Agent::new(1);
    agent.connect(controller.channel()?).await?;
    agent.joined().await?;
    let subnets = agent.subnets();

    etcd.pause()?;
    let status = agent.dismissed().await?;
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    let asked = |message: &Message| matches!(message, Message::Move(_));
    assert!(agent.heard.iter().any(asked), "{:?}", agent.heard);
    let refused = client.acquire("b").await.err();
    let status = refused.context("acknowledged without a store")?;
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert_eq!(controller.ops("/readyz")?.status, 503);
    let said = controller.weft(&["lease", "acquire", "--node", "b", "--timeout", "1s"])?;
    assert_eq!(said.code, 3, "{said:?}");

    etcd.resume()?;
    eventually("it takes agents again", async || {
        Ok(agent.connect(controller.channel()?).await?)
    })
    .await?;
    agent.joined().await?;
    assert_eq!(agent.subnets(), subnets);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_compacted_meanwhile_is_loaded_afresh() -> Result<()> {
    let etcd = Etcd::start()?;
    let behind = Controller::etcd(&etcd, &[])?;
    let ahead = Controller::etcd(&etcd, &[])?;
    let mut agent = Agent::new(1);
    agent.connect(behind.channel()?).await?;
    agent.joined().await?;
    let client = Client::new(ahead.channel()?);
    let gone = client.acquire_at("gone", 2).await?;
    agent
        .until("it knows who will go", |agent| {
            agent.held.peers.contains_key("gone")
        })
        .await?;

    behind.pause()?;
    client.release("gone", &gone.life).await?;
    client.acquire_at("new", 3).await?;
    etcd.compact()?;
    behind.resume()?;
    agent
        .until("it hears of both, whatever became of the watch", |agent| {
            agent.held.peers.contains_key("new") && !agent.held.peers.contains_key("gone")
        })
        .await?;
    Ok(())
}

#[test]
fn hosts_keep_what_they_have_while_it_is_gone() -> Result<()> {
    away(Etcd::kill, |etcd| {
        etcd.restart()?;
        etcd.compact()
    })
}

#[test]
fn hosts_keep_what_they_have_while_it_is_frozen() -> Result<()> {
    away(|etcd| etcd.pause(), |etcd| etcd.resume())
}

/// Nothing in any kernel changes, no packet is lost, nobody is busy; afterwards all
/// goes on.
fn away(
    go: impl FnOnce(&mut Etcd) -> Result<()>,
    come: impl FnOnce(&mut Etcd) -> Result<()>,
) -> Result<()> {
    let mut lab = Lab::new(2)?;
    lab.start_controllers(2, &["--session-ttl", "4s"])?;
    let mut agents = lab.agents(&[])?;
    let (one, other) = (lab.container_on(1)?, lab.container_on(2)?);
    let pinger = Pinger::start(&one, other.v4())?;
    patiently("pings come back", || {
        ensure!(pinger.received() > 50);
        Ok(())
    })?;
    let before = lab.hosts().iter().map(|host| Picture::of(host, "weft1"));
    let before: Vec<Picture> = before.collect::<Result<_>>()?;
    let unchanged = |lab: &Lab| -> Result<()> {
        let mut hosts = lab.hosts().iter().zip(&before);
        hosts.try_for_each(|(host, before)| Picture::of(host, "weft1")?.ensure_same(before))
    };
    let leases = lab.weft(&["lease", "list"])?;

    go(lab.etcd.as_mut().context("etcd")?)?;
    patiently("the controllers notice", || {
        for controller in &lab.controllers {
            ensure!(controller.ops("/readyz")?.status == 503);
        }
        Ok(())
    })?;
    let said = lab.weft_said(&["lease", "acquire", "--node", "new", "--timeout", "1s"])?;
    assert_eq!(said.code, 3, "{said:?}");
    {
        let controllers = lab.controllers.iter().map(|one| (&**one, "controller"));
        let agents = agents.iter().map(|one| (&**one, "agent"));
        nobody_is_busy(&controllers.chain(agents).collect::<Vec<_>>())?;
    }
    unchanged(&lab)?;

    come(lab.etcd.as_mut().context("etcd")?)?;
    for agent in &mut agents {
        agent.ready()?;
    }
    unchanged(&lab)?;
    let pinged = pinger.finish()?;
    assert_eq!(pinged.lost(), 0, "{pinged:?}");
    let subnets = |leases: &serde_json::Value| {
        let leases = leases.as_array().cloned().unwrap_or_default();
        let subnet = |lease: &serde_json::Value| (lease["node"].clone(), lease["subnets"].clone());
        leases.iter().map(subnet).collect::<Vec<_>>()
    };
    let after = lab.weft(&["lease", "list"])?;
    assert_eq!(subnets(&after), subnets(&leases));
    lab.lease_to(10..11)?;
    patiently("the hosts hear of a new one", || {
        for host in lab.hosts() {
            let routes = ["ip", "-j", "route", "show", "proto", "77", "dev", "weft1"];
            let routes = host.json(&routes)?;
            ensure!(routes.as_array().map(Vec::len) == Some(2), "{routes}");
        }
        Ok(())
    })
}

fn nobody_is_busy(processes: &[(&Daemon, &str)]) -> Result<()> {
    let computed = || processes.iter().map(|(daemon, _)| daemon.computed());
    let before = computed().collect::<Result<Vec<_>>>()?;
    // Not a wait for something: this is the time in which they are watched.
    thread::sleep(WATCHED);
    for ((daemon, name), before) in processes.iter().zip(before) {
        let share = (daemon.computed()? - before).div_duration_f64(WATCHED);
        println!("{name}: {:.1} % of a core", share * 100.0);
        ensure!(
            share < SHARE,
            "{name} used {share} of a core:\n{}",
            daemon.log()
        );
    }
    Ok(())
}
