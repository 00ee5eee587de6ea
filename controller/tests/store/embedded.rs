//! What is peculiar to the file.

use std::{fs, path::Path, time::Duration};

use anyhow::{Result, ensure};
use controller::store::{
    KeptAlive, Store, WatchEvent,
    embedded::{Embedded, OpenError},
};
use futures_util::{StreamExt, TryStreamExt, stream};
use overlay::txn::TtlId;
use tempfile::TempDir;
use tokio::time::Instant;

use crate::ground::{batch, commit, contents, event, eventually, key, put, put_with_ttl};

#[tokio::test]
async fn reopened_it_has_everything() -> Result<()> {
    let directory = TempDir::new()?;
    let path = directory.path().join("below/store.redb");
    let store = Embedded::open(&path)?;
    let long = store.grant(Duration::from_secs(600)).await?;
    let dead = store.grant(Duration::from_secs(600)).await?;
    commit(&store, [put(&key("a"), "1"), put_with_ttl(&key("b"), long)]).await?;
    commit(&store, [put(&key("a"), "2"), put(&key("c"), "3")]).await?;
    store.revoke(dead).await?;
    let before = store.load().await?;
    drop(store);

    let store = Embedded::open(&path)?;
    assert_eq!(store.load().await?, before);
    assert_eq!(store.head().await?, before.revision);
    assert_eq!(store.keep_alive(long).await?, KeptAlive::Alive);
    assert_eq!(store.keep_alive(dead).await?, KeptAlive::Gone);
    assert_ne!(store.grant(Duration::from_secs(600)).await?, dead);
    // A watch resumes from the head; what came before it is no longer known.
    let mut events = store.watch(before.revision).await?;
    store.revoke(long).await?;
    assert_eq!(batch(&mut events).await?.changes, [("node/b".into(), None)]);
    let mut events = store.watch(before.revision - 1).await?;
    assert_eq!(event(&mut events).await?, WatchEvent::Compacted);
    Ok(())
}

#[tokio::test]
async fn a_watch_from_a_revision_that_never_was_is_compacted() -> Result<()> {
    let directory = TempDir::new()?;
    let store = Embedded::open(directory.path().join("store.redb"))?;
    let mut events = store.watch(store.head().await? + 1).await?;
    assert_eq!(event(&mut events).await?, WatchEvent::Compacted);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_never_reads_is_given_up() -> Result<()> {
    let directory = TempDir::new()?;
    let store = Embedded::open(directory.path().join("store.redb"))?;
    let start = store.head().await?;
    let mut events = store.watch(start).await?;
    let writes = (0..5000).map(|n| {
        let (store, name) = (&store, key(&format!("n{n}")));
        async move { commit(store, [put(&name, "1")]).await.map(drop) }
    });
    stream::iter(writes)
        .buffer_unordered(200)
        .try_collect::<()>()
        .await?;
    let mut last = start;
    let end = loop {
        match event(&mut events).await? {
            WatchEvent::Batch(batch) => {
                assert_eq!(batch.revision, last + 1);
                last = batch.revision;
            }
            end => break end,
        }
    };
    assert!(matches!(end, WatchEvent::Lost(_)), "{end:?}");
    assert_eq!(events.recv().await, None);
    // What it did not get is still there for the next one.
    let mut events = store.watch(last).await?;
    for revision in last + 1..=start + 5000 {
        assert_eq!(batch(&mut events).await?.revision, revision);
    }
    Ok(())
}

#[tokio::test]
async fn only_its_owner_reads_the_file() -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let directory = TempDir::new()?;
    let path = directory.path().join("store.redb");
    let _store = Embedded::open(&path)?;
    assert_eq!(fs::metadata(&path)?.permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_dir(directory.path())?.count(), 1);
    Ok(())
}

#[tokio::test]
async fn a_second_controller_is_told() -> Result<()> {
    let directory = TempDir::new()?;
    let path = directory.path().join("store.redb");
    let store = Embedded::open(&path)?;
    let error = refused_to_open(&path);
    assert!(matches!(error, OpenError::InUse { .. }), "{error:?}");
    let expected = format!(
        "{} is in use by another controller; stop that one or give this one its own data directory",
        path.display()
    );
    assert_eq!(error.to_string(), expected);
    drop(store);
    Embedded::open(&path)?;
    Ok(())
}

#[tokio::test]
async fn a_ttl_is_full_again_after_a_restart() -> Result<()> {
    let directory = TempDir::new()?;
    let path = directory.path().join("store.redb");
    let ttl = Duration::from_secs(2);
    let store = Embedded::open(&path)?;
    let id = store.grant(ttl).await?;
    commit(&store, [put_with_ttl(&key("a"), id)]).await?;
    tokio::time::sleep(ttl * 3 / 4).await;
    drop(store);
    let store = Embedded::open(&path)?;
    let reopened = Instant::now();
    eventually("a expires", || async {
        let left = contents(&store).await?;
        ensure!(left.is_empty(), "{left:?}");
        Ok(())
    })
    .await?;
    assert!(
        reopened.elapsed() > ttl * 9 / 10,
        "{:?}",
        reopened.elapsed()
    );
    drop(store);
    // Its end was written down too.
    let store = Embedded::open(&path)?;
    assert_eq!(store.keep_alive(id).await?, KeptAlive::Gone);
    assert_eq!(store.keep_alive(TtlId(0)).await?, KeptAlive::Gone);
    Ok(())
}

#[tokio::test]
async fn a_file_that_is_not_ours_is_left_alone() -> Result<()> {
    let directory = TempDir::new()?;
    for (name, content) in [
        ("garbage", vec![7; 10_000]),
        ("text", b"hello".to_vec()),
        ("empty", vec![]),
    ] {
        let path = directory.path().join(name);
        fs::write(&path, &content)?;
        let error = refused_to_open(&path);
        assert!(
            matches!(error, OpenError::Damaged { .. }),
            "{name}: {error:?}"
        );
        let start = format!("{} is not a Weft store or is damaged", path.display());
        assert!(error.to_string().starts_with(&start), "{error}");
        assert_eq!(fs::read(&path)?, content);
    }
    let error = refused_to_open(directory.path());
    assert!(matches!(error, OpenError::Io { .. }), "{error:?}");
    Ok(())
}

/// Wherever it is cut or a page is overwritten: a clear error or all that was there,
/// never a panic and never less.
#[tokio::test]
async fn a_damaged_file_is_told_or_whole() -> Result<()> {
    let directory = TempDir::new()?;
    let path = directory.path().join("store.redb");
    let store = Embedded::open(&path)?;
    for n in 0..40 {
        let group = (0..10).map(|m| put(&key(&format!("n{n}-{m}")), vec![b'x'; 200]));
        commit(&store, group).await?;
    }
    let before = store.load().await?;
    drop(store);
    let whole = fs::read(&path)?;
    let torn = directory.path().join("torn.redb");
    let (mut told, mut survived) = (0, 0);
    for part in 0..64 {
        let at = whole.len() * part / 64;
        let mut damaged = whole.clone();
        if part % 2 == 0 {
            damaged.truncate(at);
        } else {
            let end = (at + 4096).min(damaged.len());
            damaged[at..end].fill(0xa5);
        }
        fs::write(&torn, &damaged)?;
        match Embedded::open(&torn) {
            Err(OpenError::Damaged { .. }) => told += 1,
            Err(other) => anyhow::bail!("part {part}: {other:?}"),
            Ok(store) => match store.load().await {
                Ok(loaded) => {
                    assert_eq!(loaded, before, "part {part}");
                    survived += 1;
                }
                Err(_) => told += 1,
            },
        }
    }
    println!("{told} told, {survived} whole");
    assert!(told > 0);
    Ok(())
}

fn refused_to_open(path: &Path) -> OpenError {
    match Embedded::open(path) {
        Ok(store) => panic!("opened {store:?}"),
        Err(error) => error,
    }
}
