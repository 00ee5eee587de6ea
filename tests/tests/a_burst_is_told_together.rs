//! Many changes in a short time do not go to every agent one by one.

use std::time::Instant;

use anyhow::{Result, ensure};
use proto::v1::controller_message::Message;
use tests::{agent::Agent, client::Client, controller::Controller};

const CHANGES: u32 = 400;
/// Milliseconds in which an agent is told something once.
const TOGETHER: u128 = 50;

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_is_told_together() -> Result<()> {
    let mut controller = Controller::embedded(&[])?;
    let mut agent = Agent::new(1);
    agent.connect(controller.channel()?).await?;
    agent.joined().await?;
    let before = agent.heard.len();

    let client = Client::new(controller.channel()?);
    let began = Instant::now();
    let changes = async {
        for number in 2..2 + CHANGES {
            client.acquire_at(&format!("node-{number}"), number).await?;
        }
        Ok::<_, anyhow::Error>(())
    };
    let last = format!("node-{}", 1 + CHANGES);
    let heard = agent.until("it hears of all", |agent| {
        agent.held.peers.contains_key(&last)
    });
    let (changed, heard) = tokio::join!(changes, heard);
    changed?;
    heard?;
    let elapsed = began.elapsed();

    assert_eq!(agent.held.peers.len() as u32, 1 + CHANGES);
    let told = agent.heard[before..].iter();
    let messages = told.filter(|message| matches!(message, Message::Changes(_)));
    let messages = messages.count() as u128;
    println!("{CHANGES} changes in {elapsed:?}, {messages} messages");
    // The first at once, and two that were on their way.
    let most = elapsed.as_millis() / TOGETHER + 3;
    ensure!(messages <= most, "{messages} messages in {elapsed:?}");
    controller.hush();
    Ok(())
}
