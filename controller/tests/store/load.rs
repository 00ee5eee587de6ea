use anyhow::Result;
use futures_util::future::try_join_all;

use crate::ground::{Ground, commit, key, put};

pub async fn empty(ground: &Ground) -> Result<()> {
    let loaded = ground.store().load().await?;
    assert_eq!(loaded.entries, []);
    assert!(loaded.revision > 0, "0 stands for absent");
    assert!(!loaded.cluster.is_empty());
    assert_eq!(loaded.revision, ground.store().head().await?);
    assert_eq!(loaded.cluster, ground.store().load().await?.cluster);
    Ok(())
}

pub async fn more_than_one_message_holds(ground: &Ground) -> Result<()> {
    let store = ground.store();
    let numbers: Vec<usize> = (0..9000).collect();
    for numbers in numbers.chunks(100) {
        let group = numbers
            .iter()
            .map(|n| put(&key(&format!("n{n:05}")), vec![7; 1000]));
        commit(store, group).await?;
    }
    let loaded = store.load().await?;
    assert_eq!(loaded.revision, store.head().await?);
    let keys: Vec<String> = loaded.entries.iter().map(|e| e.key.clone()).collect();
    let expected: Vec<String> = numbers.iter().map(|n| format!("node/n{n:05}")).collect();
    assert_eq!(keys, expected);
    assert!(loaded.entries.iter().all(|entry| entry.value == [7; 1000]));
    Ok(())
}

pub async fn large_values(ground: &Ground) -> Result<()> {
    let store = ground.store();
    for n in 0..8 {
        commit(store, [put(&key(&format!("n{n}")), vec![n; 1_000_000])]).await?;
    }
    let loaded = store.load().await?;
    for (n, entry) in (0..8).zip(&loaded.entries) {
        assert_eq!(entry.value, vec![n; 1_000_000]);
    }
    assert_eq!(loaded.entries.len(), 8);
    Ok(())
}

/// A load is one moment: each writer puts both of its keys in one transaction.
pub async fn while_others_write(ground: &Ground) -> Result<()> {
    let store = ground.store();
    let write = async |writer: usize| {
        for round in 0..40 {
            let pair =
                ["a", "z"].map(|side| put(&key(&format!("{side}-{writer}")), format!("{round}")));
            commit(store, pair).await?;
        }
        anyhow::Ok(())
    };
    let read = async {
        for _ in 0..20 {
            let loaded = store.load().await?;
            let half = loaded.entries.len() / 2;
            let (a, z) = loaded.entries.split_at(half);
            for (a, z) in a.iter().zip(z) {
                assert_eq!((a.revision, &a.value), (z.revision, &z.value));
                assert!(a.revision <= loaded.revision);
            }
        }
        anyhow::Ok(())
    };
    tokio::try_join!(try_join_all((0..8).map(write)), read)?;
    Ok(())
}
