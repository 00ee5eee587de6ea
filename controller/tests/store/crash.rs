//! Another process holds the store and is killed, or its disk is full: this test
//! program itself, started again with the child's test alone.

use std::{
    env,
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use controller::store::{Store, StoreError, WatchEvent, embedded::Embedded};
use tempfile::TempDir;

use crate::ground::{batch, commit, contents, create, event, eventually, key, put};

/// Where the child finds its store; without it the child's tests do nothing.
const PLACE: &str = "WEFT_TEST_STORE";

#[tokio::test]
async fn what_was_acknowledged_survives_kill_9() -> Result<()> {
    let directory = TempDir::new()?;
    let path = directory.path().join("store.redb");
    let mut acknowledged = 0;
    for _ in 0..5 {
        let mut child = child("crash::child_commits", &path).spawn()?;
        let acks = acks(&mut child)?;
        for ack in acks.take(150) {
            acknowledged = ack?;
        }
        child.kill()?;
        child.wait()?;
        let store = Embedded::open(&path)?;
        let found = contents(&store).await?.len();
        // One more may have been on its way.
        ensure!(
            found >= acknowledged,
            "{acknowledged} acknowledged, {found} found"
        );
        assert_eq!(store.head().await?, 1 + found as u64);
        acknowledged = found;
    }
    assert!(acknowledged >= 700, "{acknowledged}");
    Ok(())
}

/// Killed in the middle of its first start it must not be in its own way.
#[tokio::test]
async fn a_first_start_may_be_killed() -> Result<()> {
    for micros in (0..40).map(|step| step * 500) {
        let directory = TempDir::new()?;
        let path = directory.path().join("store.redb");
        let mut child = child("crash::child_opens", &path).spawn()?;
        let mut lines = BufReader::new(child.stdout.take().context("its output")?).lines();
        lines.find(|line| line.as_deref().is_ok_and(|line| line.contains("opening")));
        std::thread::sleep(std::time::Duration::from_micros(micros));
        child.kill()?;
        child.wait()?;
        let store = Embedded::open(&path)?;
        commit(&store, [create(&key("a"), "1")]).await?;
    }
    Ok(())
}

/// On a tmpfs of 4 MiB, in a mount namespace of the child's own.
#[tokio::test]
async fn a_full_disk_is_told_and_passes() -> Result<()> {
    let directory = TempDir::new()?;
    let mount = "mount -t tmpfs -o size=4m tmpfs \"$0\" && exec \"$@\"";
    let inner = child(
        "crash::child_fills_its_disk",
        &directory.path().join("store.redb"),
    );
    let mut outer = Command::new("unshare");
    outer.args(["--map-root-user", "--mount", "sh", "-c", mount]);
    outer.arg(directory.path()).arg(inner.get_program());
    outer
        .args(inner.get_args())
        .env(PLACE, directory.path().join("store.redb"));
    let output = outer.output().context("run unshare")?;
    if !output.status.success() {
        bail!(
            "{}\n{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}

#[tokio::test]
#[ignore = "a child of other tests"]
async fn child_commits() -> Result<()> {
    let Some(path) = place() else { return Ok(()) };
    let store = Embedded::open(path)?;
    let start = contents(&store).await?.len();
    for number in start + 1.. {
        commit(&store, [create(&key(&format!("n{number}")), "x")]).await?;
        println!("ack {number}");
        std::io::stdout().flush()?;
    }
    Ok(())
}

#[tokio::test]
#[ignore = "a child of other tests"]
async fn child_opens() -> Result<()> {
    let Some(path) = place() else { return Ok(()) };
    println!("\nopening");
    std::io::stdout().flush()?;
    let _store = Embedded::open(path)?;
    // Until it is killed, or whoever should do it is gone.
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a child of other tests"]
async fn child_fills_its_disk() -> Result<()> {
    let Some(path) = place() else { return Ok(()) };
    let ballast = path.with_file_name("ballast");
    let store = Embedded::open(&path)?;
    let last = commit(&store, [put(&key("first"), "1")]).await?.revision;
    let mut events = store.watch(last).await?;
    std::fs::write(&ballast, vec![0; 2 << 20])?;

    let mut count = 0;
    let failure = loop {
        let group = vec![put(&key(&format!("n{count}")), vec![1; 100_000])];
        match store.commit(group).await {
            Ok(_) => count += 1,
            Err(error) => break error,
        }
    };
    println!("after {count}: {failure}");
    ensure!(
        matches!(&failure, StoreError::Unavailable { reason, .. } if reason.contains("No space left")),
        "{failure}"
    );
    for number in 0..count {
        assert_eq!(batch(&mut events).await?.revision, last + 1 + number);
    }
    let lost = event(&mut events).await?;
    ensure!(matches!(lost, WatchEvent::Lost(_)), "{lost:?}");

    let aside = path.with_file_name("aside");
    std::fs::rename(&path, &aside)?;
    std::fs::remove_file(&ballast)?;
    let vanished = eventually("it looks for its file", || async {
        let failure = format!("{:?}", store.load().await);
        ensure!(failure.contains("No such file"), "{failure}");
        Ok(path.try_exists()?)
    });
    ensure!(
        !vanished.await?,
        "an empty store in place of the one that vanished"
    );
    std::fs::rename(&aside, &path)?;
    let loaded = eventually("the store works again", || async {
        Ok(store.load().await?)
    })
    .await?;
    // The first and those acknowledged; the one that failed may be there or not.
    let found = loaded.entries.len() as u64;
    ensure!(found == count + 1 || found == count + 2, "{count}: {found}");
    assert_eq!(loaded.revision, last + found - 1);
    let next = commit(&store, [create(&key("last"), "1")]).await?;
    assert_eq!(
        (next.held, next.revision),
        (vec![true], loaded.revision + 1)
    );
    drop(store);
    assert_eq!(
        contents(&Embedded::open(&path)?).await?.len() as u64,
        found + 1
    );
    Ok(())
}

fn child(test: &str, path: &Path) -> Command {
    let program = env::current_exe().expect("this program has a path");
    let mut command = Command::new(program);
    command.args(["--ignored", "--exact", "--nocapture", test]);
    command.env(PLACE, path);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    command
}

fn place() -> Option<PathBuf> {
    env::var_os(PLACE).map(PathBuf::from)
}

fn acks(child: &mut Child) -> Result<impl Iterator<Item = Result<usize>> + use<>> {
    let output = BufReader::new(child.stdout.take().context("its output")?);
    Ok(output.lines().filter_map(|line| match line {
        Ok(line) => Some(Ok(line.strip_prefix("ack ")?.parse().ok()?)),
        Err(error) => Some(Err(error.into())),
    }))
}
