//! How many lease-sized transactions a second each store takes; run by hand with
//! `cargo test --release -p controller --test store speed -- --ignored --nocapture`.

use std::{sync::Arc, time::Instant};

use anyhow::Result;
use controller::store::{Store, embedded::Embedded};
use futures_util::{StreamExt, stream};
use overlay::txn::Transaction;
use tempfile::TempDir;

use crate::ground::{Ground, key};

const TRANSACTIONS: usize = 40_000;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn embedded() -> Result<()> {
    for (size, in_flight) in [(1, 64), (64, 1), (64, 4), (200, 4)] {
        measure(Ground::embedded()?, size, in_flight).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn etcd() -> Result<()> {
    for (size, in_flight) in [(1, 64), (64, 1), (120, 1), (120, 2), (120, 4), (120, 8)] {
        measure(Ground::etcd()?, size, in_flight).await?;
    }
    Ok(())
}

async fn measure(ground: Ground, size: usize, in_flight: usize) -> Result<()> {
    let ground = Arc::new(ground);
    let transactions: Vec<Transaction> = (0..TRANSACTIONS).map(lease).collect();
    let groups: Vec<Vec<Transaction>> = transactions.chunks(size).map(<[_]>::to_vec).collect();
    let start = Instant::now();
    let mut commits = stream::iter(groups)
        .map(|group| {
            let ground = Arc::clone(&ground);
            tokio::spawn(async move { ground.store().commit(group).await })
        })
        .buffer_unordered(in_flight);
    while let Some(committed) = commits.next().await {
        assert!(committed??.held.iter().all(|held| *held));
    }
    let rate = TRANSACTIONS as f64 / start.elapsed().as_secs_f64();
    let store = ground.store().describe();
    let kind = store.split(' ').next().unwrap_or_default();
    println!("{kind}: groups of {size}, {in_flight} in flight: {rate:.0} transactions/s");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn opening() -> Result<()> {
    let directory = TempDir::new()?;
    let path = directory.path().join("store.redb");
    let store = Embedded::open(&path)?;
    for group in (0..25_000).map(lease).collect::<Vec<_>>().chunks(1000) {
        store.commit(group.to_vec()).await?;
    }
    drop(store);
    let size = std::fs::metadata(&path)?.len() >> 20;
    let start = Instant::now();
    let store = Embedded::open(&path)?;
    let opened = start.elapsed();
    let count = store.load().await?.entries.len();
    let loaded = start.elapsed() - opened;
    println!("{count} records, {size} MiB: opened in {opened:?}, loaded in {loaded:?}");
    Ok(())
}

/// Eight comparisons and four puts of about 150 bytes.
fn lease(number: usize) -> Transaction {
    // Spread, as names and subnets are.
    let spread = number.wrapping_mul(0x9e37_79b9) % 0xffff_ffff;
    let mut txn = Transaction::default();
    for part in 0..8 {
        txn.expect_absent(key(&format!("{spread:08x}-{number}-{part}")));
    }
    for part in 0..4 {
        let key = key(&format!("{spread:08x}-{number}-{part}"));
        txn.put(key, vec![b'x'; 150]);
    }
    txn
}
