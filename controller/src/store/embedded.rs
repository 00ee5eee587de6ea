//! The store in one crash-safe file, for a controller without etcd.
//!
//! One thread owns the file and everything in memory about it (`writer`); whoever
//! asks sends it a command. Groups that wait together share one fsync and keep each
//! its own revision. Nothing is answered or shown to a watcher before it is on disk.

mod file;
mod history;
mod offline;
mod round;
mod state;
mod ttl;
mod writer;

use std::{
    fmt, io,
    path::{Path, PathBuf},
    time::Duration,
};

use overlay::txn::{Revision, Transaction, TtlId};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tonic::async_trait;

use super::{
    Committed, KeptAlive, Loaded, Store, StoreError, WatchEvent,
    whole::{Standing, Whole},
};
use file::{File, Snapshot};
use round::{Command, Failure, Reply};
use writer::Writer;

/// As in etcd there is a limit, so that one group cannot hold up all others; it is
/// far from where a larger group would still gain anything.
const GROUP_BUDGET: usize = 1024;

/// One is on its way to the disk, the others are gathered for the next write.
const GROUPS_IN_FLIGHT: usize = 4;

pub use offline::Offline;

pub struct Embedded {
    path: PathBuf,
    writer: Writer,
}

#[derive(Debug, Error)]
pub enum OpenError {
    #[error(
        "{} is in use by another controller; stop that one or give this one its own data directory",
        path.display()
    )]
    InUse { path: PathBuf },
    #[error(
        "{} is not a Weft store or is damaged; restore a copy of it or move it away to start empty",
        path.display()
    )]
    Damaged {
        path: PathBuf,
        #[source]
        source: redb::Error,
    },
    #[error(
        "{} has format {found:?} and this version of Weft reads only {:?}",
        path.display(),
        file::FORMAT
    )]
    Format { path: PathBuf, found: String },
    #[error("{} is closed: {standing}", path.display())]
    Closed { path: PathBuf, standing: Standing },
    #[error("cannot open the store {}", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl Embedded {
    /// Opens the file, or makes it together with its directory.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = path.as_ref().to_owned();
        let (file, contents) = File::open(&path)?;
        let writer =
            Writer::start(path.clone(), file, contents).map_err(|source| OpenError::Io {
                path: path.clone(),
                source,
            })?;
        Ok(Self { path, writer })
    }

    /// All it keeps, while it is being used.
    pub async fn whole(&self) -> Result<Whole, StoreError> {
        self.read("a backup", Snapshot::whole).await
    }

    async fn read<T: Send + 'static>(
        &self,
        what: &'static str,
        read: fn(Snapshot) -> Result<T, redb::Error>,
    ) -> Result<T, StoreError> {
        let snapshot = self.ask(what, Command::Load).await?;
        let failed = |reason: String| StoreError::Unavailable { what, reason };
        tokio::task::spawn_blocking(move || read(snapshot))
            .await
            .map_err(|error| failed(error.to_string()))?
            .map_err(|error| failed(error.to_string()))
    }

    async fn ask<T>(
        &self,
        what: &'static str,
        command: impl FnOnce(Reply<T>) -> Command,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.writer.send(command(reply)).await;
        // No answer at all: the writer has ended, and the panic that ended it is logged.
        let gone = |_| Failure::Unavailable("its writer has ended".to_owned());
        match answer.await.map_err(gone).flatten() {
            Ok(answer) => Ok(answer),
            Err(Failure::Refused(reason)) => Err(StoreError::Refused { what, reason }),
            Err(Failure::Unavailable(reason)) => Err(StoreError::Unavailable { what, reason }),
        }
    }
}

impl fmt::Debug for Embedded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Embedded")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for Embedded {
    fn describe(&self) -> String {
        format!("embedded {}", self.path.display())
    }

    fn group_budget(&self) -> usize {
        GROUP_BUDGET
    }

    fn groups_in_flight(&self) -> usize {
        GROUPS_IN_FLIGHT
    }

    async fn load(&self) -> Result<Loaded, StoreError> {
        self.read("a load", Snapshot::load).await
    }

    async fn head(&self) -> Result<Revision, StoreError> {
        self.ask("a read of its revision", Command::Head).await
    }

    async fn commit(&self, group: Vec<Transaction>) -> Result<Committed, StoreError> {
        let group = state::prepare(group, GROUP_BUDGET).map_err(|reason| StoreError::Refused {
            what: "a commit",
            reason,
        })?;
        self.ask("a commit", |reply| Command::Commit { group, reply })
            .await
    }

    async fn watch(&self, after: Revision) -> Result<mpsc::Receiver<WatchEvent>, StoreError> {
        self.ask("a watch", |reply| Command::Watch { after, reply })
            .await
    }

    async fn grant(&self, ttl: Duration) -> Result<TtlId, StoreError> {
        self.ask("a grant", |reply| Command::Grant { ttl, reply })
            .await
    }

    async fn keep_alive(&self, ttl: TtlId) -> Result<KeptAlive, StoreError> {
        self.ask("a keepalive", |reply| Command::KeepAlive { ttl, reply })
            .await
    }

    async fn revoke(&self, ttl: TtlId) -> Result<(), StoreError> {
        self.ask("a revoke", |reply| Command::Revoke { ttl, reply })
            .await
    }
}
