//! What Docker tells once: it makes a network one time, and expects it to be known
//! after any restart. One task has the file; a note is on disk before Docker hears of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, Write},
    net::IpAddr,
    path::{Path, PathBuf},
};

use overlay::{
    name::NetworkName,
    record::{Mac, V1},
};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};
use tracing::warn;

use super::{pool::Pool, words::PortMap};

/// Where it is, in its directory.
pub const FILE: &str = "docker.json";
const BACKLOG: usize = 64;

#[derive(Debug, Error)]
pub enum NotesError {
    #[error("cannot write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("the agent is stopping")]
    Stopping,
}

/// A network of Docker's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkNote {
    pub network: NetworkName,
    #[serde(default)]
    pub internal: bool,
}

/// A container's place in one, from before it joins until it is deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointNote {
    pub network: NetworkName,
    pub internal: bool,
    pub addresses: Vec<IpAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PortMap>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Network(String, Option<NetworkNote>),
    Endpoint(String, Option<EndpointNote>),
}

#[derive(Clone)]
pub struct Notes {
    asks: mpsc::Sender<Ask>,
}

enum Ask {
    Network(String, oneshot::Sender<Option<NetworkNote>>),
    Endpoint(String, oneshot::Sender<Option<EndpointNote>>),
    Endpoints(oneshot::Sender<BTreeMap<String, EndpointNote>>),
    Change(Change, oneshot::Sender<Result<(), NotesError>>),
    Offer(Pool, oneshot::Sender<bool>),
    Settle(Settled, oneshot::Sender<()>),
}

enum Settled {
    Pool(Pool),
    All,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Page {
    v: V1,
    networks: BTreeMap<String, NetworkNote>,
    endpoints: BTreeMap<String, EndpointNote>,
}

/// The notes of this directory, and the task that keeps them.
pub fn open(directory: &Path) -> (Notes, impl Future<Output = ()> + use<>) {
    let path = directory.join(FILE);
    let page = read(&path);
    let (asks, queue) = mpsc::channel(BACKLOG);
    (Notes { asks }, keep(path, page, queue))
}

impl Notes {
    pub async fn network(&self, id: &str) -> Result<Option<NetworkNote>, NotesError> {
        self.ask(|reply| Ask::Network(id.into(), reply)).await
    }

    pub async fn endpoint(&self, id: &str) -> Result<Option<EndpointNote>, NotesError> {
        self.ask(|reply| Ask::Endpoint(id.into(), reply)).await
    }

    pub async fn endpoints(&self) -> Result<BTreeMap<String, EndpointNote>, NotesError> {
        self.ask(Ask::Endpoints).await
    }

    /// It is on disk.
    pub async fn change(&self, change: Change) -> Result<(), NotesError> {
        self.ask(|reply| Ask::Change(change, reply)).await?
    }

    /// Docker is offered a pool. False: it was offered this one just now, and asks again.
    pub async fn offer(&self, pool: Pool) -> Result<bool, NotesError> {
        self.ask(|reply| Ask::Offer(pool, reply)).await
    }

    /// Docker has given it back.
    pub async fn settle(&self, pool: Pool) -> Result<(), NotesError> {
        self.ask(|reply| Ask::Settle(Settled::Pool(pool), reply))
            .await
    }

    /// Docker has made a network: it has taken what it was offered.
    pub async fn settle_all(&self) -> Result<(), NotesError> {
        self.ask(|reply| Ask::Settle(Settled::All, reply)).await
    }

    async fn ask<T>(&self, ask: impl FnOnce(oneshot::Sender<T>) -> Ask) -> Result<T, NotesError> {
        let (reply, answer) = oneshot::channel();
        let sent = self.asks.send(ask(reply)).await;
        sent.map_err(|_| NotesError::Stopping)?;
        answer.await.map_err(|_| NotesError::Stopping)
    }
}

async fn keep(path: PathBuf, mut page: Page, mut queue: mpsc::Receiver<Ask>) {
    let mut offered: BTreeSet<Pool> = BTreeSet::new();
    // Whoever asked may be gone: then nobody waits for the answer.
    while let Some(ask) = queue.recv().await {
        match ask {
            Ask::Network(id, reply) => {
                let _ = reply.send(page.networks.get(&id).cloned());
            }
            Ask::Endpoint(id, reply) => {
                let _ = reply.send(page.endpoints.get(&id).cloned());
            }
            Ask::Endpoints(reply) => {
                let _ = reply.send(page.endpoints.clone());
            }
            Ask::Change(change, reply) => {
                let mut next = page.clone();
                next.apply(change);
                let written = if next == page {
                    Ok(())
                } else {
                    write(&path, &next)
                };
                if written.is_ok() {
                    page = next;
                }
                let _ = reply.send(written);
            }
            Ask::Offer(pool, reply) => {
                // The one who asks again is told so, and then may ask anew.
                let is_new = !offered.remove(&pool);
                if is_new {
                    offered.insert(pool);
                }
                let _ = reply.send(is_new);
            }
            Ask::Settle(Settled::Pool(pool), reply) => {
                offered.remove(&pool);
                let _ = reply.send(());
            }
            Ask::Settle(Settled::All, reply) => {
                offered.clear();
                let _ = reply.send(());
            }
        }
    }
}

impl Page {
    fn apply(&mut self, change: Change) {
        match change {
            Change::Network(id, Some(note)) => drop(self.networks.insert(id, note)),
            Change::Network(id, None) => drop(self.networks.remove(&id)),
            Change::Endpoint(id, Some(note)) => drop(self.endpoints.insert(id, note)),
            Change::Endpoint(id, None) => drop(self.endpoints.remove(&id)),
        }
    }
}

/// A container's address tells its network, too: without its notes the driver goes on.
fn read(path: &Path) -> Page {
    let nothing = Page {
        v: V1,
        networks: BTreeMap::new(),
        endpoints: BTreeMap::new(),
    };
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return nothing,
        Err(error) => {
            warn!(file = %path.display(), %error, "what Docker told cannot be read; going on without it");
            return nothing;
        }
    };
    serde_json::from_slice(&bytes).unwrap_or_else(|error| {
        warn!(file = %path.display(), %error, "what Docker told is damaged; going on without it");
        nothing
    })
}

/// Beside the old file first, then in its place: a torn one is never read.
fn write(path: &Path, page: &Page) -> Result<(), NotesError> {
    let new = path.with_extension("new");
    let write = || {
        let bytes = serde_json::to_vec(page)?;
        let mut file = File::create(&new)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&new, path)
    };
    write().map_err(|source| NotesError::Write {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests;
