//! A watch that goes on where another ended.

use anyhow::Result;
use tests::{client::Client, controller::Controller, etcd::Etcd};

use super::{joined, kept, watch::Watch};

#[tokio::test(flavor = "multi_thread")]
async fn a_watch_is_resumed_anywhere() -> Result<()> {
    let etcd = Etcd::start()?;
    let one = Controller::etcd(&etcd, &[])?;
    let other = Controller::etcd(&etcd, &[])?;
    let mut agent = joined(&one, 1).await?;
    let all = agent.containers(0..4)?;
    kept(&agent.has(all[..2].to_vec()).await?);
    let mut watch = Watch::begin(&one).await?;
    watch
        .until("both are there", |seen| seen.len() == 2)
        .await?;
    let Watch {
        cluster, revision, ..
    } = watch;

    kept(
        &agent
            .changed(all[2..].to_vec(), vec![all[0].id.clone()])
            .await?,
    );
    let mut resumed = Watch::open(&other, &cluster, revision).await?;
    resumed.until("two more", |seen| seen.len() == 2).await?;
    assert!(!resumed.snapshot, "only what was missed");
    assert_eq!(resumed.gone, [all[0].id.clone()]);

    // Where nothing happens to endpoints, it is told how far the store has come.
    Client::new(one.channel()?).acquire("another").await?;
    let (before, count) = (resumed.revision, resumed.told);
    resumed
        .hear_until("a bookmark", |watch| watch.revision > before)
        .await?;
    assert_eq!(resumed.told, count, "nothing but a bookmark");

    // A revision of another store is none.
    let anew = Watch::open(&other, "somewhere-else", revision).await?;
    let mut anew = anew;
    anew.until("all of them", |seen| seen.len() == 3).await?;
    assert!(anew.snapshot);
    Ok(())
}
