//! Ten thousand of them, and how long each thing takes.

use std::time::Instant;

use anyhow::Result;
use proto::v1;
use tests::{client::Client, controller::Controller, etcd::Etcd};

use super::{joined, kept, rows, watch::Watch};

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_of_a_hundred_nodes() -> Result<()> {
    const NODES: u32 = 100;
    const EACH: u16 = 100;
    let etcd = Etcd::start()?;
    let one = Controller::etcd(&etcd, &[])?;
    let other = Controller::etcd(&etcd, &[])?;
    let mut watch = Watch::begin(&other).await?;
    let mut agents = Vec::new();
    for number in 1..=NODES {
        agents.push(joined(&one, number).await?);
    }
    let began = Instant::now();
    let mut telling = tokio::task::JoinSet::new();
    for mut agent in agents {
        telling.spawn(async move {
            let all = agent.containers(0..EACH)?;
            kept(&agent.has(all).await?);
            anyhow::Ok(agent)
        });
    }
    let mut agents = Vec::new();
    while let Some(told) = telling.join_next().await {
        agents.push(told??);
    }
    let told = began.elapsed();
    let count = NODES as usize * usize::from(EACH);
    watch
        .until("all are seen", |seen| seen.len() == count)
        .await?;
    println!(
        "{count} endpoints: kept in {told:?}, seen by a watch elsewhere after {:?}",
        began.elapsed()
    );

    let began = Instant::now();
    let listed = rows(&other, &[])?;
    println!("listed by weft in {:?}", began.elapsed());
    assert_eq!(listed.len(), count);
    let began = Instant::now();
    let mut late = Watch::begin(&other).await?;
    late.until("a snapshot", |seen| seen.len() == count).await?;
    println!("a watch that begins now has all in {:?}", began.elapsed());
    assert_eq!(late.seen, watch.seen);

    let agent = &mut agents[0];
    let gone = agent.containers(3..4)?[0].id.clone();
    let began = Instant::now();
    kept(&agent.changed(Vec::new(), vec![gone]).await?);
    watch
        .until("one is gone", |seen| seen.len() == count - 1)
        .await?;
    println!("one change is seen elsewhere after {:?}", began.elapsed());
    // Told what it has already, a controller writes nothing.
    let head = watch.revision;
    let mut all = agent.containers(0..EACH)?;
    all.remove(3);
    kept(&agent.has(all).await?);
    let mut client = Client::new(other.channel()?).endpoints();
    let list = client.list(v1::ListEndpointsRequest::default()).await?;
    assert_eq!(list.into_inner().revision, head);
    Ok(())
}
