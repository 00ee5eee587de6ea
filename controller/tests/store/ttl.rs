use std::time::Duration;

use anyhow::{Result, ensure};
use controller::store::KeptAlive;
use overlay::txn::TtlId;
use tokio::time::{Instant, sleep};

use crate::ground::{
    Ground, batch, commit, contents, create, eventually, expecting, key, put, put_with_ttl, refused,
};

/// The shortest that etcd knows.
const SHORT: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(600);

pub async fn a_dead_ttl_refuses_the_group(ground: &Ground) -> Result<()> {
    let store = ground.store();
    let dead = store.grant(LONG).await?;
    store.revoke(dead).await?;
    for dead in [dead, TtlId(123_456_789)] {
        let group = vec![create(&key("a"), "1"), put_with_ttl(&key("b"), dead)];
        refused(store, group).await?;
        assert_eq!(contents(store).await?, []);
    }
    // It does no harm where it is not written.
    let not_held = expecting(&key("b"), 9, put_with_ttl(&key("b"), dead));
    let committed = commit(store, [create(&key("a"), "1"), not_held]).await?;
    assert_eq!(committed.held, [true, false]);
    Ok(())
}

pub async fn expiry_deletes_all_keys_at_once(ground: &Ground) -> Result<()> {
    let store = ground.store();
    let names: Vec<String> = (0..300).map(|n| format!("n{n:03}")).collect();
    let ttl = store.grant(SHORT).await?;
    for names in names.chunks(100) {
        commit(
            store,
            names.iter().map(|name| put_with_ttl(&key(name), ttl)),
        )
        .await?;
    }
    let stays = commit(store, [put(&key("stays"), "1")]).await?.revision;
    let mut events = store.watch(stays).await?;
    let batch = batch(&mut events).await?;
    let mut gone: Vec<String> = batch.changes.iter().map(|(key, _)| key.clone()).collect();
    gone.sort();
    let expected: Vec<String> = names.iter().map(|name| format!("node/{name}")).collect();
    assert_eq!(gone, expected);
    assert!(batch.changes.iter().all(|(_, value)| value.is_none()));
    assert_eq!(store.keep_alive(ttl).await?, KeptAlive::Gone);
    assert_eq!(store.head().await?, batch.revision);
    assert_eq!(contents(store).await?.len(), 1);
    Ok(())
}

pub async fn kept_alive_it_lives(ground: &Ground) -> Result<()> {
    let store = ground.store();
    let ttl = store.grant(SHORT * 2).await?;
    let put = commit(store, [put_with_ttl(&key("a"), ttl)]).await?;
    let start = Instant::now();
    while start.elapsed() < SHORT * 5 {
        assert_eq!(store.keep_alive(ttl).await?, KeptAlive::Alive);
        sleep(SHORT / 4).await;
    }
    assert_eq!(store.head().await?, put.revision);
    let mut events = store.watch(put.revision).await?;
    assert_eq!(batch(&mut events).await?.changes, [("node/a".into(), None)]);
    assert_eq!(store.keep_alive(ttl).await?, KeptAlive::Gone);
    Ok(())
}

pub async fn revoked_it_is_gone(ground: &Ground) -> Result<()> {
    let store = ground.store();
    let ttl = store.grant(LONG).await?;
    let group = ["a", "b"].map(|name| put_with_ttl(&key(name), ttl));
    let put = commit(store, group).await?;
    let mut events = store.watch(put.revision).await?;
    store.revoke(ttl).await?;
    assert_eq!(batch(&mut events).await?.changes.len(), 2);
    assert_eq!(store.keep_alive(ttl).await?, KeptAlive::Gone);
    store.revoke(ttl).await?;
    assert_eq!(contents(store).await?, []);
    Ok(())
}

pub async fn a_key_put_again_without_it_survives(ground: &Ground) -> Result<()> {
    let store = ground.store();
    let (short, long) = (store.grant(SHORT).await?, store.grant(LONG).await?);
    let group = ["a", "b", "c", "d"].map(|name| put_with_ttl(&key(name), short));
    commit(store, group).await?;
    commit(store, [put(&key("a"), "1"), put_with_ttl(&key("b"), long)]).await?;
    // Deleted and made again is not attached either.
    commit(store, [crate::ground::delete(&key("d"))]).await?;
    commit(store, [put(&key("d"), "1")]).await?;
    eventually("c expires", || async {
        let kept: Vec<String> = contents(store)
            .await?
            .into_iter()
            .map(|(key, _)| key)
            .collect();
        ensure!(kept == ["node/a", "node/b", "node/d"], "{kept:?}");
        Ok(())
    })
    .await?;
    store.revoke(long).await?;
    assert_eq!(contents(store).await?.len(), 2);
    Ok(())
}

pub async fn a_ttl_is_never_given_twice(ground: &Ground) -> Result<()> {
    let store = ground.store();
    let first = store.grant(LONG).await?;
    store.revoke(first).await?;
    assert_ne!(store.grant(LONG).await?, first);
    Ok(())
}
