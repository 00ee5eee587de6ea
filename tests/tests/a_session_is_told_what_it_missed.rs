//! From hello to the last change: what an agent is told, in which order, and what
//! it need not be told again.

use anyhow::{Context, Result};
use proto::v1::controller_message::Message;
use tests::{
    agent::{Agent, peers_of},
    client::Client,
    controller::Controller,
    wait::eventually,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_first_and_then_every_change() -> Result<()> {
    let controller = Controller::embedded(&[])?;
    let client = Client::new(controller.channel()?);
    client.acquire_at("early", 1).await?;
    let mut agent = Agent::new(2);
    agent.connect(controller.channel()?).await?;
    agent.joined().await?;
    let kinds = agent.heard.iter().map(kind);
    assert_eq!(kinds.collect::<Vec<_>>(), ["welcome", "joined", "snapshot"]);
    let lease = agent.lease.clone().context("its lease")?;
    assert_eq!(lease.node, agent.node);
    assert_eq!(lease.node_id, agent.id.to_string());
    assert!(agent.held.peers.contains_key("early"));

    let late = client.acquire_at("late", 3).await?;
    agent
        .until("it hears of the late one", |agent| {
            agent.held.peers.contains_key("late")
        })
        .await?;
    assert_eq!(agent.held.peers["late"].subnets, late.subnets);
    // Its address and MAC become others, then it goes.
    client.acquire_at("late", 4).await?;
    let moved = |agent: &Agent| agent.held.peers["late"].underlay == tests::client::underlay(4);
    agent.until("it hears of the move", moved).await?;
    client.release("late", &late.life).await?;
    agent
        .until("it hears that the late one is gone", |agent| {
            !agent.held.peers.contains_key("late")
        })
        .await?;
    let snapshots = agent.heard.iter().filter(|m| kind(m) == "snapshot");
    assert_eq!(snapshots.count(), 1, "{:?}", agent.heard);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_back_is_told_only_what_it_missed() -> Result<()> {
    let controller = Controller::embedded(&[])?;
    let client = Client::new(controller.channel()?);
    for number in 10..20 {
        client.acquire_at(&format!("node-{number}"), number).await?;
    }
    let mut agent = Agent::new(1);
    agent.connect(controller.channel()?).await?;
    agent.joined().await?;
    let subnets = agent.subnets();
    agent.disconnect();
    client.acquire_at("missed", 20).await?;

    agent.connect(controller.channel()?).await?;
    agent
        .until("it hears of what it missed", |agent| {
            agent.held.peers.contains_key("missed")
        })
        .await?;
    assert_eq!(agent.subnets(), subnets);
    assert!(
        agent.heard.iter().all(|m| kind(m) != "snapshot"),
        "{:?}",
        agent.heard
    );
    let listed = client.list("").await?;
    assert_eq!(agent.held.peers, peers_of(&listed.leases));

    // What it holds of another history counts for nothing.
    agent.cluster = "another".into();
    agent.connect(controller.channel()?).await?;
    agent
        .until("it is told everything", |agent| {
            agent.heard.iter().any(|m| kind(m) == "snapshot")
        })
        .await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fleets_state_shows_how_far_it_has_come() -> Result<()> {
    let controller = Controller::embedded(&[])?;
    let client = Client::new(controller.channel()?);
    let mut agent = Agent::new(1);
    agent.connect(controller.channel()?).await?;
    agent.joined().await?;
    let lag = |node: &serde_json::Value| node["lag_ms"].as_u64();
    let unsaid = controller.weft_json(&["node", "show", "host-1"])?;
    assert_eq!(lag(&unsaid), None, "{unsaid}");
    agent.report().await?;
    eventually("its first report counts", async || {
        let said = controller.weft_json(&["node", "show", "host-1"])?;
        anyhow::ensure!(lag(&said) == Some(0), "{said}");
        Ok(())
    })
    .await?;
    client.acquire_at("other", 2).await?;
    agent
        .until("it hears of the other", |agent| {
            agent.held.peers.contains_key("other")
        })
        .await?;
    let before = controller.weft_json(&["node", "show", "host-1"])?;
    assert!(lag(&before).is_some_and(|lag| lag > 0), "{before}");
    assert_eq!(before["state"], "connected");
    agent.report().await?;
    eventually("its report counts", async || {
        let after = controller.weft_json(&["node", "show", "host-1"])?;
        anyhow::ensure!(lag(&after) == Some(0), "{after}");
        Ok(())
    })
    .await
}

fn kind(message: &Message) -> &'static str {
    match message {
        Message::Welcome(_) => "welcome",
        Message::Joined(_) => "joined",
        Message::Refused(_) => "refused",
        Message::Snapshot(_) => "snapshot",
        Message::Changes(_) => "changes",
        Message::Bookmark(_) => "bookmark",
        Message::NetworkChanged(_) => "network changed",
        Message::Move(_) => "move",
        Message::EndpointsKept(_) => "endpoints kept",
        Message::Ask(_) => "ask",
    }
}
