//! An agent that does not read costs the controller nothing, and holds the truth
//! once it reads again.

use anyhow::{Result, ensure};
use proto::v1::controller_message::Message;
use tests::{
    agent::{Agent, peers_of},
    client::Client,
    controller::Controller,
    wait::eventually,
};
use tokio::task::JoinSet;
use tonic::transport::Endpoint;

const NODES: u32 = 320;
const ROUNDS: u32 = 8;
/// So few that there are many more revisions than a stream is told one by one.
const CALLERS: u32 = 16;
/// Far less than what is sent would take if it were kept for a reader.
const GROWTH: u64 = 24 << 20;
/// As many changes as the feed keeps.
const KEPT: u32 = 8192;

/// However slow the machine is, nobody is dropped here.
const PATIENT: [&str; 2] = ["--stuck-reader", "1h"];

#[tokio::test(flavor = "multi_thread")]
async fn many_changes_are_told_as_few() -> Result<()> {
    let controller = Controller::embedded(&PATIENT)?;
    let client = Client::new(controller.channel()?);
    let mut agent = not_reading(&controller).await?;
    let (told, start) = (agent.heard.len(), agent.held.revision);
    change_all(&client, 1, CALLERS).await?;
    change_all(&client, 2, CALLERS).await?;
    let memory = controller.memory()?;
    for round in 3..=ROUNDS {
        change_all(&client, round, CALLERS).await?;
    }
    let listed = client.list("").await?;
    let grown = controller.memory()?.saturating_sub(memory);
    let changes = usize::try_from(listed.revision - start)?;
    println!("{changes} revisions, {grown} bytes more");
    assert!(
        grown < GROWTH,
        "{grown} bytes more after {changes} revisions"
    );

    reads_up_to(&mut agent, listed.revision).await?;
    assert_eq!(agent.held.peers, peers_of(&listed.leases));
    let messages = agent.heard.len() - told;
    println!("told in {messages} messages");
    assert!(
        messages < changes / 2,
        "{messages} messages for {changes} revisions"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_is_kept_is_told_afresh() -> Result<()> {
    let controller = Controller::embedded(&PATIENT)?;
    let client = Client::new(controller.channel()?);
    let mut agent = not_reading(&controller).await?;
    // Enough to fill the way to it, however much of it is told together, then more than
    // the feed keeps.
    for round in 1..KEPT / NODES * 2 {
        change_all(&client, round, NODES / 2).await?;
    }
    let listed = client.list("").await?;
    reads_up_to(&mut agent, listed.revision).await?;
    assert_eq!(agent.held.peers, peers_of(&listed.leases));
    let snapshot = |message: &&Message| matches!(message, Message::Snapshot(_));
    assert_eq!(agent.heard.iter().filter(snapshot).count(), 2);
    assert_eq!(controller.metric("weft_feed_resyncs_total")?, 1.0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_never_reads_is_dropped() -> Result<()> {
    let controller = Controller::embedded(&["--stuck-reader", "1s"])?;
    let client = Client::new(controller.channel()?);
    let mut agent = not_reading(&controller).await?;
    let mut witness = Agent::new(2);
    witness.connect(controller.channel()?).await?;
    witness.joined().await?;
    let mut round = 0;
    eventually("the controller drops it", async || {
        round += 1;
        change_all(&client, round, CALLERS).await?;
        let dropped = controller.metric("weft_feed_stuck_readers_total")?;
        ensure!(dropped == 1.0, "dropped: {dropped}");
        Ok(())
    })
    .await?;
    // Its connection is gone as well, and nobody else's.
    agent.dismissed().await?;
    let listed = client.list("").await?;
    reads_up_to(&mut witness, listed.revision).await?;
    assert_eq!(witness.held.peers, peers_of(&listed.leases));
    Ok(())
}

/// Joined, and with no room on the way, so that all else waits at the controller.
async fn not_reading(controller: &Controller) -> Result<Agent> {
    let narrow = Endpoint::from_shared(controller.url()?)?
        .initial_stream_window_size(4096)
        .initial_connection_window_size(4096);
    let mut agent = Agent::new(1);
    agent.connect(narrow.connect_lazy()).await?;
    agent.joined().await?;
    Ok(agent)
}

async fn reads_up_to(agent: &mut Agent, revision: u64) -> Result<()> {
    let there = |agent: &Agent| agent.held.revision >= revision && agent.held.is_whole();
    agent.until("it holds what the registry holds", there).await
}

/// Gives every node another address and MAC.
async fn change_all(client: &Client, round: u32, callers: u32) -> Result<()> {
    let mut calling = JoinSet::new();
    for caller in 0..callers {
        let client = client.clone();
        calling.spawn(async move {
            for number in (caller..NODES).step_by(callers as usize) {
                let node = format!("node-{number}");
                client.acquire_at(&node, round * 1000 + number).await?;
            }
            Ok::<(), tonic::Status>(())
        });
    }
    while let Some(done) = calling.join_next().await {
        done??;
    }
    Ok(())
}
