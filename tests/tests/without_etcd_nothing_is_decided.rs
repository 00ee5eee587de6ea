//! etcd stops, comes back, or only stops answering: nothing is acknowledged that is
//! not so, and nothing is lost.

use anyhow::{Context, Result};
use proto::v1::controller_message::Message;
use tests::{agent::Agent, client::Client, controller::Controller, etcd::Etcd, wait::eventually};
use tonic::Code;

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
