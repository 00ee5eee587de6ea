//! One agent for one state directory: two would take each other for a copy of the
//! same machine, and end each other's sessions for ever. And one for one kernel: two
//! would undo each other's work.

use std::{
    fs::{self, File, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt},
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
        fs::create_dir_all(directory).map_err(io_at("make the directory", directory))?;
        let path = directory.join("lock");
        let file = File::create(&path).map_err(io_at("open", &path))?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LockError::Taken {
                directory: directory.to_owned(),
            }),
            Err(TryLockError::Error(source)) => Err(io_at("lock", &path)(source)),
        }
    }
}

/// A file for each network namespace, where root alone may make one: by a name that
/// everybody may take, anybody could keep an agent from starting.
#[derive(Debug)]
pub struct KernelLock {
    file: File,
    path: PathBuf,
}

const LOCKS: &str = "/run/weft";

impl KernelLock {
    pub fn take() -> Result<Self, LockError> {
        let own = Path::new("/proc/self/ns/net");
        let namespace = fs::metadata(own).map_err(io_at("look at", own))?.ino();
        Self::take_in(Path::new(LOCKS), namespace)
    }

    fn take_in(directory: &Path, namespace: u64) -> Result<Self, LockError> {
        let mut builder = fs::DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(directory);
        made.map_err(io_at("make the directory", directory))?;
        let path = directory.join(format!("kernel-{namespace}.lock"));
        loop {
            let file = File::create(&path).map_err(io_at("open", &path))?;
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(LockError::KernelTaken),
                Err(TryLockError::Error(source)) => return Err(io_at("lock", &path)(source)),
            }
            // Whoever had it before may have removed it just now.
            let held = file.metadata().map(|held| held.ino()).ok();
            if held.is_some() && held == fs::metadata(&path).map(|there| there.ino()).ok() {
                return Ok(Self { file, path });
            }
        }
    }
}

impl Drop for KernelLock {
    fn drop(&mut self) {
        // While it is still held. One that stays is no harm.
        let _ = fs::remove_file(&self.path);
        let _ = self.file.unlock();
    }
}

fn io_at(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LockError + use<> {
    let path = path.to_owned();
    move |source| LockError::Io { what, path, source }
}

#[cfg(test)]
mod tests;
