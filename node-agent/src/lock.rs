//! One agent for one state directory: two would take each other for a copy of the
//! same machine, and end each other's sessions for ever. And one for one kernel: two
//! would undo each other's work.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram},
    },
    path::{Path, PathBuf},
};

use thiserror::Error;

#[derive(Debug, Error)]
pub enum LockError {
    #[error("another weft-agent uses {}; give each its own with --state-dir", directory.display())]
    Taken { directory: PathBuf },
    #[error("another weft-agent runs on this host (or in this network namespace)")]
    KernelTaken,
    #[error("cannot {what} {}", path.display())]
    Io {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// The kernel takes it back when the process ends, however it ends.
#[derive(Debug)]
pub struct StateLock {
    _file: File,
}

impl StateLock {
    /// Takes the lock of this directory, which is made if need be.
    pub fn take(directory: &Path) -> Result<Self, LockError> {
        let io = |what, path: &Path| {
            let path = path.to_owned();
            move |source| LockError::Io { what, path, source }
        };
        fs::create_dir_all(directory).map_err(io("make the directory", directory))?;
        let path = directory.join("lock");
        let file = File::create(&path).map_err(io("open", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LockError::Taken {
                directory: directory.to_owned(),
            }),
            Err(TryLockError::Error(source)) => Err(io("lock", &path)(source)),
        }
    }
}

/// Unix sockets without a file belong to a network namespace, as the data path does,
/// and their names go with the process.
#[derive(Debug)]
pub struct KernelLock {
    _socket: UnixDatagram,
}

impl KernelLock {
    pub fn take() -> Result<Self, LockError> {
        let name =
            SocketAddr::from_abstract_name("weft-agent").map_err(|_| LockError::KernelTaken)?;
        let socket = UnixDatagram::bind_addr(&name).map_err(|_| LockError::KernelTaken)?;
        Ok(Self { _socket: socket })
    }
}

#[cfg(test)]
mod tests;
