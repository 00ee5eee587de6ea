use anyhow::Result;
use controller::store::WatchEvent;

use crate::ground::{Ground, batch, commit, create, delete, event, key, put};

pub async fn load_then_watch_misses_nothing(ground: &Ground) -> Result<()> {
    let store = ground.store();
    commit(store, [put(&key("a"), "1")]).await?;
    let loaded = store.load().await?;
    let between = commit(store, [put(&key("b"), "2")]).await?.revision;
    let mut events = store.watch(loaded.revision).await?;
    let after = commit(store, [delete(&key("a"))]).await?.revision;
    assert_eq!(batch(&mut events).await?.revision, between);
    assert_eq!(batch(&mut events).await?.revision, after);
    // And nothing comes twice.
    let last = commit(store, [put(&key("c"), "3")]).await?.revision;
    assert_eq!(batch(&mut events).await?.revision, last);
    Ok(())
}

pub async fn it_resumes_after_a_revision(ground: &Ground) -> Result<()> {
    let store = ground.store();
    let mut revisions = Vec::new();
    for round in 0..50 {
        let group = ["a", "b", "c"].map(|name| put(&key(name), format!("{round}")));
        revisions.push(commit(store, group).await?.revision);
    }
    for start in [0, 20, 49] {
        let mut events = store.watch(revisions[start]).await?;
        for revision in &revisions[start + 1..] {
            let batch = batch(&mut events).await?;
            assert_eq!(batch.revision, *revision);
            assert_eq!(batch.changes.len(), 3);
        }
        let group = ["a", "b", "c"].map(|name| put(&key(name), "next"));
        let next = commit(store, group).await?.revision;
        assert_eq!(batch(&mut events).await?.revision, next);
        revisions.push(next);
    }
    Ok(())
}

pub async fn forgotten_revisions_are_compacted(ground: &Ground) -> Result<()> {
    let store = ground.store();
    let start = commit(store, [put(&key("a"), "1")]).await?.revision;
    for _ in 0..10 {
        commit(store, [put(&key("a"), "2")]).await?;
    }
    ground.forget().await?;
    let mut events = store.watch(start).await?;
    assert_eq!(event(&mut events).await?, WatchEvent::Compacted);
    assert_eq!(events.recv().await, None);

    let mut events = store.watch(store.head().await?).await?;
    let next = commit(store, [put(&key("a"), "3")]).await?.revision;
    assert_eq!(batch(&mut events).await?.revision, next);
    Ok(())
}

/// Several times what a gRPC message may hold unless told otherwise.
pub async fn catching_up_may_be_large(ground: &Ground) -> Result<()> {
    let store = ground.store();
    let start = store.head().await?;
    for round in 0..12 {
        let group = (0..12).map(|n| put(&key(&format!("n{n}")), vec![round; 100_000]));
        commit(store, group).await?;
    }
    let mut events = store.watch(start).await?;
    for round in 0..12 {
        let batch = batch(&mut events).await?;
        assert_eq!(batch.revision, start + 1 + u64::from(round));
        assert_eq!(batch.changes.len(), 12);
        let whole = |value: &Option<Vec<u8>>| *value == Some(vec![round; 100_000]);
        assert!(batch.changes.iter().all(|(_, value)| whole(value)));
    }
    Ok(())
}

pub async fn every_watch_sees_everything(ground: &Ground) -> Result<()> {
    let store = ground.store();
    let start = store.head().await?;
    let mut first = store.watch(start).await?;
    let dropped = store.watch(start).await?;
    commit(store, [create(&key("a"), "1")]).await?;
    drop(dropped);
    let mut second = store.watch(start).await?;
    commit(store, [create(&key("b"), "1")]).await?;
    for events in [&mut first, &mut second] {
        assert_eq!(batch(events).await?.changes[0].0, "node/a");
        assert_eq!(batch(events).await?.changes[0].0, "node/b");
    }
    Ok(())
}
