use anyhow::Result;
use overlay::{flight::Flight, txn::Transaction};

use crate::ground::{
    Ground, batch, commit, contents, create, delete, expecting, key, put, refused,
};

pub async fn created_once(ground: &Ground) -> Result<()> {
    let store = ground.store();
    let first = commit(store, [create(&key("a"), "1")]).await?;
    let second = commit(store, [create(&key("a"), "2")]).await?;
    assert_eq!(first.held, [true]);
    assert_eq!(second.held, [false]);
    assert_eq!(second.revision, first.revision);
    assert_eq!(contents(store).await?, [("node/a".into(), "1".into())]);
    Ok(())
}

pub async fn a_stale_revision_changes_nothing(ground: &Ground) -> Result<()> {
    let store = ground.store();
    let a = key("a");
    let first = commit(store, [put(&a, "1")]).await?.revision;
    let second = commit(store, [expecting(&a, first, put(&a, "2"))]).await?;
    assert_eq!(second.held, [true]);
    assert!(second.revision > first);
    let stale = commit(store, [expecting(&a, first, delete(&a))]).await?;
    assert_eq!(stale.held, [false]);
    assert_eq!(contents(store).await?, [("node/a".into(), "2".into())]);
    let fresh = commit(store, [expecting(&a, second.revision, delete(&a))]).await?;
    assert_eq!(fresh.held, [true]);
    assert_eq!(contents(store).await?, []);
    Ok(())
}

pub async fn a_conflict_fails_only_its_own(ground: &Ground) -> Result<()> {
    let store = ground.store();
    commit(store, [put(&key("b"), "old")]).await?;
    let group = ["a", "b", "c"].map(|name| create(&key(name), "new"));
    let committed = commit(store, group).await?;
    assert_eq!(committed.held, [true, false, true]);
    let loaded = store.load().await?;
    assert_eq!(loaded.revision, committed.revision);
    let values: Vec<&[u8]> = loaded.entries.iter().map(|e| e.value.as_slice()).collect();
    assert_eq!(values, [b"new", b"old", b"new"]);
    assert_eq!(loaded.entries[0].revision, committed.revision);
    assert_eq!(loaded.entries[1].revision, committed.revision - 1);
    assert_eq!(loaded.entries[2].revision, committed.revision);
    Ok(())
}

/// This is why `overlay::flight` exists: two requests that each rely on what the
/// other one writes both hold when they share a group.
pub async fn a_group_is_judged_against_the_state_before_it(ground: &Ground) -> Result<()> {
    let store = ground.store();
    let (a, b) = (key("a"), key("b"));
    let first = expecting(&b, 0, put(&a, "nobody is at b"));
    let second = expecting(&a, 0, put(&b, "nobody is at a"));

    let mut flight = Flight::default();
    assert!(flight.admits(&first));
    flight.enter(&first);
    assert!(!flight.admits(&second));

    let committed = commit(store, [first, second]).await?;
    assert_eq!(committed.held, [true, true]);
    assert_eq!(contents(store).await?.len(), 2);
    Ok(())
}

pub async fn a_key_put_twice_refuses_the_group(ground: &Ground) -> Result<()> {
    let store = ground.store();
    let (a, b) = (key("a"), key("b"));
    let before = store.head().await?;
    refused(store, vec![put(&b, "1"), put(&a, "1"), put(&a, "2")]).await?;
    // Also when not both of them could ever hold.
    refused(store, vec![create(&a, "1"), expecting(&a, 7, put(&a, "2"))]).await?;
    assert_eq!(store.head().await?, before);
    assert_eq!(contents(store).await?, []);
    Ok(())
}

pub async fn over_the_budget_is_refused(ground: &Ground) -> Result<()> {
    let store = ground.store();
    let budget = store.group_budget();
    let transaction = |number: usize, weight: usize| {
        let mut txn = Transaction::default();
        for part in 0..weight {
            txn.put(key(&format!("n{number}-{part}")), b"x".to_vec());
        }
        txn
    };
    let of_three = |count: usize| (0..count).map(|n| transaction(n, 3)).collect::<Vec<_>>();
    for fits in [of_three(budget - 3), vec![transaction(0, budget - 1)]] {
        commit(store, fits).await?;
    }
    for over in [of_three(budget - 2), vec![transaction(0, budget)]] {
        let reason = refused(store, over).await?;
        assert!(reason.contains("too many operations"), "{reason}");
    }
    Ok(())
}

pub async fn nothing_changed_is_no_revision(ground: &Ground) -> Result<()> {
    let store = ground.store();
    let a = key("a");
    let before = commit(store, [put(&a, "1")]).await?.revision;
    let only_compares = expecting(&a, before, Transaction::default());
    let committed = commit(store, [only_compares, delete(&key("absent"))]).await?;
    assert_eq!(committed.held, [true, true]);
    assert_eq!(committed.revision, before);
    assert_eq!(store.head().await?, before);
    Ok(())
}

pub async fn a_batch_is_a_transaction_whole(ground: &Ground) -> Result<()> {
    let store = ground.store();
    let start = commit(store, [put(&key("old"), "1")]).await?.revision;
    let mut events = store.watch(start).await?;
    let mut many = Transaction::default();
    many.put(key("z"), b"z".to_vec());
    many.delete(key("old"));
    many.put(key("m"), b"m".to_vec());
    let failing = expecting(&key("absent"), 9, put(&key("never"), "x"));
    let committed = commit(store, [many, failing, put(&key("a"), "a")]).await?;
    let batch = batch(&mut events).await?;
    assert_eq!(batch.revision, committed.revision);
    let value = |text: &str| Some(text.as_bytes().to_vec());
    let expected = [
        ("node/z".to_owned(), value("z")),
        ("node/old".to_owned(), None),
        ("node/m".to_owned(), value("m")),
        ("node/a".to_owned(), value("a")),
    ];
    assert_eq!(batch.changes, expected);
    Ok(())
}

pub async fn a_delete_is_not_a_put_of_nothing(ground: &Ground) -> Result<()> {
    let store = ground.store();
    let mut events = store.watch(store.head().await?).await?;
    commit(store, [put(&key("a"), "")]).await?;
    commit(store, [delete(&key("a"))]).await?;
    assert_eq!(
        batch(&mut events).await?.changes,
        [("node/a".into(), Some(vec![]))]
    );
    assert_eq!(batch(&mut events).await?.changes, [("node/a".into(), None)]);
    Ok(())
}

/// etcd's rule, odd as it is: only a delete in a later request than the put is taken.
pub async fn a_key_put_and_deleted(ground: &Ground) -> Result<()> {
    let store = ground.store();
    let a = key("a");
    commit(store, [put(&a, "1"), delete(&a)]).await?;
    assert_eq!(contents(store).await?, []);
    commit(store, [delete(&a), delete(&a)]).await?;

    let mut deleted_then_put = delete(&a);
    deleted_then_put.put(a.clone(), b"1".to_vec());
    let mut put_then_deleted = put(&a, "1");
    put_then_deleted.delete(a.clone());
    refused(store, vec![deleted_then_put]).await?;
    refused(store, vec![put_then_deleted]).await?;
    refused(store, vec![delete(&a), put(&a, "1")]).await?;
    assert_eq!(contents(store).await?, []);
    Ok(())
}
