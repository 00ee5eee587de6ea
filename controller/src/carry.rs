//! Carries all that a store keeps: into a backup, out of one, and from one kind of store to
//! the other. Whatever is killed half-way is done by the same command once more; until then
//! no controller takes half a store for a whole one.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, anyhow, bail, ensure};
use options::clock;
use tokio::time::{Instant, sleep};

use crate::{
    config::{Options, StoreKind},
    store::whole::{Standing, Whole},
};
use place::Place;

pub mod door;
pub mod format;
mod place;

const ETCD_WITHIN: Duration = Duration::from_secs(15);
const AGAIN: Duration = Duration::from_millis(200);

/// The etcd, once it answers: a person's command is not given up for a busy moment.
async fn etcd(options: &Options) -> anyhow::Result<Place> {
    let place = Place::from(options.etcd_store()?);
    let until = Instant::now() + ETCD_WITHIN;
    while let Err(error) = place.name().await {
        if Instant::now() > until {
            return Err(error);
        }
        sleep(AGAIN).await;
    }
    Ok(place)
}

/// Writes all that the store keeps into a file.
pub async fn backup(options: &Options, to: &Path) -> anyhow::Result<()> {
    let text = match options.store {
        StoreKind::Embedded => match options.embedded_offline() {
            Err(error) if door::is_served(&error) => door::fetch(options.data_dir()).await?,
            offline => text_of(&Place::from(offline?)).await?,
        },
        StoreKind::Etcd => text_of(&etcd(options).await?).await?,
    };
    // What was cut short on its way is found out here, and not when it is needed.
    let read = format::read(text.as_bytes()).context("the backup that was made")?;
    let written = write_private(to, text.as_bytes());
    written.with_context(|| format!("cannot write {}", to.display()))?;
    say(&format!(
        "{} holds the {} records of {} at revision {}",
        to.display(),
        read.head.records,
        read.head.store,
        read.head.revision
    ));
    Ok(())
}

/// Has the store hold what a backup holds, and nothing else.
pub async fn restore(options: &Options, from: &Path, force: bool) -> anyhow::Result<()> {
    let bytes = fs::read(from).with_context(|| format!("cannot read {}", from.display()))?;
    let backup = format::read(&bytes).with_context(|| format!("{}", from.display()))?;
    let mut place = match options.store {
        StoreKind::Embedded => {
            fs::create_dir_all(options.data_dir())
                .with_context(|| format!("--data-dir {}", options.data_dir().display()))?;
            Place::from(options.embedded_offline()?)
        }
        StoreKind::Etcd => etcd(options).await?,
    };
    let standing = Standing::Arriving(format!("the backup with checksum {}", &backup.sum[..12]));
    if place.standing().await?.as_ref() != Some(&standing) && !force {
        let held = place.whole().await?;
        ensure!(
            held.records().is_empty(),
            "{} holds {} records; say --force to have them replaced by the {} of {}",
            place.name().await?,
            held.records().len(),
            backup.head.records,
            from.display()
        );
    }
    place.replace(&backup.whole, &standing).await?;
    say(&format!(
        "{} holds the {} records of {}, made {}",
        place.name().await?,
        backup.head.records,
        from.display(),
        backup.head.made
    ));
    Ok(())
}

/// Moves everything to the other kind of store, and closes the one it was in.
pub async fn relocate(options: &Options, to: StoreKind) -> anyhow::Result<()> {
    let etcd = etcd(options).await?;
    if to == StoreKind::Embedded {
        fs::create_dir_all(options.data_dir())
            .with_context(|| format!("--data-dir {}", options.data_dir().display()))?;
    }
    let embedded = Place::from(options.embedded_offline()?);
    let (source, mut target) = match to {
        StoreKind::Etcd => (embedded, etcd),
        StoreKind::Embedded => (etcd, embedded),
    };
    let (from, into) = (source.name().await?, target.name().await?);
    let history = source.whole().await?.cluster;
    let arriving = Standing::Arriving(format!("{from} (history {history})"));
    let here = target.standing().await?;
    match source.standing().await? {
        Some(standing @ Standing::Arriving(_)) => bail!("{from} cannot be moved: {standing}"),
        // Between the last two steps it was killed, or it is done.
        Some(standing @ Standing::Moved(_)) if here.as_ref() != Some(&arriving) => {
            bail!("{from} holds what was there before: {standing}")
        }
        Some(Standing::Moved(_) | Standing::Leaving(_)) | None => {}
    }
    source.fence(&Standing::Leaving(into.clone())).await?;
    let whole = source.whole().await?;
    ensure!(!whole.records().is_empty(), "{from} holds nothing");
    target.fill(&whole, &arriving).await?;
    source
        .retire(&Standing::Moved(into.clone()), &whole)
        .await?;
    target.finish(&whole, &arriving).await?;
    say(&format!(
        "{} records moved from {from} to {into}; start the controller with --store {}",
        whole.records().len(),
        match to {
            StoreKind::Etcd => "etcd",
            StoreKind::Embedded => "embedded",
        }
    ));
    Ok(())
}

async fn text_of(place: &Place) -> anyhow::Result<String> {
    let whole = place.whole().await?;
    Ok(text(&place.name().await?, &whole))
}

fn text(store: &str, whole: &Whole) -> String {
    format::write(store, &clock::utc(clock::now_ms()), whole)
}

/// Whole or not at all, and nobody else's to read: a backup names every node, and holds
/// what the fleet trusts.
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    if fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        // A pipe or a device stays what it is.
        return fs::OpenOptions::new()
            .write(true)
            .open(path)?
            .write_all(bytes);
    }
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".new");
    let unfinished = PathBuf::from(unfinished);
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = fs::OpenOptions::new();
    let written = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&unfinished)
        .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&unfinished, path));
    if written.is_err() {
        // What is left of it is of no use; why it failed is told.
        let _ = fs::remove_file(&unfinished);
    }
    written
}

/// Beside what may go to standard output.
fn say(line: &str) {
    // Nobody may be there to read it.
    let _ = writeln!(io::stderr(), "{line}");
}

/// The place is another's now.
fn disturbed(what: &str) -> anyhow::Error {
    anyhow!(
        "{what} was written to meanwhile; see that nothing else uses it, and give the same command again"
    )
}
