//! Who this machine is: a node id made once, and the sessions it has tried. Both are
//! on disk before they are said, so that a crash cannot make a second machine of one.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use overlay::{
    id::{NodeId, SessionId},
    record::{Mac, V1},
};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

/// Where it is, in its directory.
pub const FILE: &str = "identity.json";
/// Former sessions worth naming: the last that was confirmed and those last tried.
const MOST_PREVIOUS: usize = 16;

#[derive(Debug, Error)]
pub enum IdentityError {
    #[error("cannot {what} {}", path.display())]
    Io {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{} is damaged (restore it, or delete it to join as a new machine)", path.display())]
    Damaged {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    v: V1,
    id: NodeId,
    /// The MAC of this machine's VXLAN devices: it survives their re-creation.
    mac: Mac,
    previous: Vec<SessionId>,
}

#[derive(Debug)]
pub struct Identity {
    path: PathBuf,
    kept: Kept,
}

impl Identity {
    /// Reads the identity in this directory, or makes one.
    pub fn open(directory: &Path) -> Result<Self, IdentityError> {
        if let Some(identity) = Self::peek(directory)? {
            return Ok(identity);
        }
        let io = |source| IdentityError::Io {
            what: "make the directory",
            path: directory.to_owned(),
            source,
        };
        fs::create_dir_all(directory).map_err(io)?;
        let kept = Kept {
            v: V1,
            id: NodeId(Uuid::new_v4()),
            mac: new_mac(),
            previous: Vec::new(),
        };
        let path = directory.join(FILE);
        let identity = Self { path, kept };
        identity.write()?;
        Ok(identity)
    }

    /// Reads the identity in this directory, if there is one.
    pub fn peek(directory: &Path) -> Result<Option<Self>, IdentityError> {
        let path = directory.join(FILE);
        match fs::read(&path) {
            Ok(bytes) => match serde_json::from_slice(&bytes) {
                Ok(kept) => Ok(Some(Self { path, kept })),
                Err(source) => Err(IdentityError::Damaged { path, source }),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(IdentityError::Io {
                what: "read",
                path,
                source,
            }),
        }
    }

    pub fn id(&self) -> NodeId {
        self.kept.id
    }

    pub fn mac(&self) -> Mac {
        self.kept.mac
    }

    pub fn previous(&self) -> &[SessionId] {
        &self.kept.previous
    }

    /// A new session, on disk before it is said to anybody.
    pub fn next_session(&mut self) -> Result<SessionId, IdentityError> {
        let sid = SessionId(Uuid::new_v4());
        self.kept.previous.push(sid);
        // The first is the last that was confirmed: it goes last.
        if self.kept.previous.len() > MOST_PREVIOUS {
            self.kept.previous.remove(1);
        }
        self.write()?;
        Ok(sid)
    }

    /// A controller knows of this session. Those that were tried before it stay: a hello
    /// that was taken for lost may arrive yet, and its session replace this one.
    pub fn confirm(&mut self, sid: SessionId) -> Result<(), IdentityError> {
        self.kept.previous.retain(|tried| *tried != sid);
        self.kept.previous.insert(0, sid);
        self.write()
    }

    /// Beside the old file first, then in its place: a torn one is never read.
    fn write(&self) -> Result<(), IdentityError> {
        let new = self.path.with_extension("new");
        let write = || {
            let bytes = serde_json::to_vec(&self.kept)?;
            let mut file = File::create(&new)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            fs::rename(&new, &self.path)
        };
        write().map_err(|source| IdentityError::Io {
            what: "write",
            path: self.path.clone(),
            source,
        })
    }
}

/// Locally administered, a host's own.
fn new_mac() -> Mac {
    let random = Uuid::new_v4().into_bytes();
    let mut mac = [0; 6];
    mac.copy_from_slice(&random[..6]);
    mac[0] = (mac[0] & 0xfc) | 0x02;
    Mac(mac)
}

#[cfg(test)]
mod tests;
