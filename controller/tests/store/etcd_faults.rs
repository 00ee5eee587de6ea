//! What becomes of a controller's etcd while it is used.

use std::time::Duration;

use anyhow::{Result, bail, ensure};
use controller::store::{
    KeptAlive, Store, StoreError, WatchEvent,
    etcd::{Etcd, EtcdOptions},
};
use tests::etcd::Etcd as Server;
use tokio::{sync::mpsc::Receiver, time::Instant};

use crate::ground::{
    batch, commit, connect, contents, create, event, eventually, key, options, put, put_with_ttl,
};

#[tokio::test(flavor = "multi_thread")]
async fn killed_and_started_again() -> Result<()> {
    let mut server = Server::start()?;
    let store = connect(&server)?;
    let ttl = store.grant(Duration::from_secs(60)).await?;
    let start = commit(&store, [put_with_ttl(&key("session"), ttl)])
        .await?
        .revision;
    let mut events = store.watch(start).await?;
    let seen = commit(&store, [put(&key("a"), "1")]).await?.revision;
    assert_eq!(batch(&mut events).await?.revision, seen);

    server.kill()?;
    lost(&mut events).await?;
    let failed = Instant::now();
    unavailable(store.commit(vec![put(&key("b"), "1")]).await)?;
    unavailable(store.head().await)?;
    unavailable(store.keep_alive(ttl).await)?;
    unavailable(store.watch(seen).await)?;
    assert!(
        failed.elapsed() < Duration::from_secs(13),
        "{:?}",
        failed.elapsed()
    );

    server.restart()?;
    let meanwhile =
        eventually("it answers again", || commit(&store, [put(&key("c"), "1")])).await?;
    let mut events = store.watch(start).await?;
    assert_eq!(batch(&mut events).await?.revision, seen);
    assert_eq!(batch(&mut events).await?.revision, meanwhile.revision);
    assert_eq!(store.keep_alive(ttl).await?, KeptAlive::Alive);
    let kept: Vec<String> = contents(&store)
        .await?
        .into_iter()
        .map(|(key, _)| key)
        .collect();
    assert_eq!(kept, ["node/a", "node/c", "node/session"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn frozen_it_is_noticed() -> Result<()> {
    let server = Server::start()?;
    let store = connect(&server)?;
    let mut events = store.watch(store.load().await?.revision).await?;
    server.pause()?;
    let frozen = Instant::now();
    unavailable(store.commit(vec![put(&key("a"), "1")]).await)?;
    assert!(
        frozen.elapsed() < Duration::from_secs(4),
        "{:?}",
        frozen.elapsed()
    );
    lost(&mut events).await?;
    assert!(
        frozen.elapsed() < Duration::from_secs(8),
        "{:?}",
        frozen.elapsed()
    );
    // Opening one is bounded too.
    let again = Instant::now();
    unavailable(store.watch(1).await)?;
    assert!(
        again.elapsed() < Duration::from_secs(4),
        "{:?}",
        again.elapsed()
    );
    server.resume()?;
    eventually("it answers again", || commit(&store, [put(&key("b"), "1")])).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn it_may_start_later() -> Result<()> {
    let mut server = Server::stopped()?;
    let store = connect(&server)?;
    unavailable(store.load().await)?;
    server.restart()?;
    eventually("it answers", || async { Ok(store.load().await?) }).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_several_endpoints_is_enough() -> Result<()> {
    let dead = Server::stopped()?;
    let frozen = Server::start()?;
    frozen.pause()?;
    let server = Server::start()?;
    let endpoints = [&dead, &frozen, &server].map(Server::endpoint).to_vec();
    let store = Etcd::connect(EtcdOptions {
        endpoints,
        ..options(&server)
    })?;
    let loaded = store.load().await?;
    let mut events = store.watch(loaded.revision).await?;
    for n in 0..20 {
        commit(&store, [create(&key(&format!("n{n}")), "1")]).await?;
        batch(&mut events).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn another_cluster_behind_the_same_address() -> Result<()> {
    let mut server = Server::start()?;
    let store = connect(&server)?;
    let before = store.load().await?;
    let mut events = store.watch(before.revision).await?;
    server.wipe(false)?;
    lost(&mut events).await?;
    let told = eventually("it is told", || async {
        let told = unavailable(store.head().await)?;
        ensure!(told.contains("cluster"), "{told}");
        Ok(told)
    })
    .await?;
    assert!(told.contains(&before.cluster), "{told}");
    let mut events = store.watch(before.revision).await?;
    lost(&mut events).await?;

    let after = store.load().await?;
    assert_ne!(after.cluster, before.cluster);
    store.watch(after.revision).await?;
    assert_eq!(store.head().await?, after.revision);
    Ok(())
}

/// Started with the same flags on an empty directory it has the same cluster id.
#[tokio::test(flavor = "multi_thread")]
async fn a_shorter_history_under_the_same_name() -> Result<()> {
    let mut server = Server::start()?;
    let store = connect(&server)?;
    commit(&store, [put(&key("a"), "1")]).await?;
    let before = store.load().await?;
    server.wipe(true)?;
    let mut events = eventually("it answers again", || async {
        Ok(store.watch(before.revision).await?)
    })
    .await?;
    lost(&mut events).await?;
    let after = store.load().await?;
    assert_eq!(after.cluster, before.cluster);
    assert_eq!(after.entries, []);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_below_the_prefix() -> Result<()> {
    let server = Server::start()?;
    let store = connect(&server)?;
    let mut events = store.watch(store.load().await?.revision).await?;
    for foreign in [
        "/weft",
        "/weft-test/node/a",
        "/weft0",
        "/wef",
        "weft/node/a",
    ] {
        server.put(foreign, "not ours")?;
    }
    server.put("/weft/what is this", "strange")?;
    commit(&store, [create(&key("a"), "1")]).await?;
    let expected = [("node/a", "1"), ("what is this", "strange")];
    let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(contents(&store).await?, expected);
    let strange = Some(b"strange".to_vec());
    assert_eq!(
        batch(&mut events).await?.changes,
        [("what is this".into(), strange)]
    );
    assert_eq!(batch(&mut events).await?.changes[0].0, "node/a");
    assert_eq!(server.get("/weft/node/a")?.as_deref(), Some("1"));
    server.delete("/weft/node/a")?;
    assert_eq!(batch(&mut events).await?.changes, [("node/a".into(), None)]);
    assert_eq!(server.get("/weft/node/a")?, None);
    Ok(())
}

/// The one thing a watch says before it ends.
async fn lost(events: &mut Receiver<WatchEvent>) -> Result<()> {
    let said = event(events).await?;
    ensure!(matches!(said, WatchEvent::Lost(_)), "{said:?}");
    assert_eq!(events.recv().await, None);
    Ok(())
}

fn unavailable<T: std::fmt::Debug>(answer: Result<T, StoreError>) -> Result<String> {
    match answer {
        Err(StoreError::Unavailable { reason, .. }) => Ok(reason),
        other => bail!("not unavailable: {other:?}"),
    }
}
