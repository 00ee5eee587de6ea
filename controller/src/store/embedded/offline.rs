//! The file while no controller runs on it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    OpenError,
    file::{self, File, Snapshot},
};
use crate::store::whole::{Standing, Whole};

/// Held alone for as long as this lives: a controller that starts waits, or is refused.
#[derive(Debug)]
pub struct Offline {
    path: PathBuf,
    /// None: there is none.
    file: Option<File>,
    lock: fs::File,
}

impl Offline {
    /// The directory has to be there, the file need not.
    pub fn open(path: PathBuf) -> Result<Self, OpenError> {
        let lock = file::lock(&path)?;
        let there = path.try_exists().map_err(|source| failed(&path, source))?;
        let file = there.then(|| File::attach(&path)).transpose()?;
        Ok(Self { path, file, lock })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub fn exists(&self) -> bool {
        self.file.is_some()
    }

    /// None: it is there for controllers, or not at all.
    pub fn standing(&self) -> Result<Option<Standing>, OpenError> {
        match &self.file {
            Some(file) => file.standing(&self.path),
            None => Ok(None),
        }
    }

    /// All it keeps. None: there is no file.
    pub fn whole(&self) -> Result<Option<Whole>, OpenError> {
        let Some(file) = &self.file else {
            return Ok(None);
        };
        let whole = file.snapshot().and_then(Snapshot::whole);
        Ok(Some(whole.map_err(|error| self.open_error(error))?))
    }

    pub fn stand(&self, standing: Option<&Standing>) -> Result<(), OpenError> {
        match &self.file {
            Some(file) => file.stand(standing).map_err(|error| self.open_error(error)),
            None => Err(failed(&self.path, io::ErrorKind::NotFound.into())),
        }
    }

    /// Puts a file that holds this in its place, all at once; what was there stays beside it
    /// under the name `keep`.
    pub fn put(
        &mut self,
        whole: &Whole,
        standing: Option<&Standing>,
        keep: Option<&Path>,
    ) -> Result<(), OpenError> {
        let io = |source| failed(&self.path, source);
        if let (true, Some(keep)) = (self.exists(), keep) {
            match fs::remove_file(keep) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io(error)),
                _ => fs::hard_link(&self.path, keep).map_err(io)?,
            }
        }
        file::make(&self.path, Some(whole), standing)?;
        self.lock.sync_all().map_err(io)?;
        self.file = Some(File::attach(&self.path)?);
        Ok(())
    }

    fn open_error(&self, error: redb::Error) -> OpenError {
        file::open_error(&self.path, error)
    }
}

fn failed(path: &Path, source: io::Error) -> OpenError {
    OpenError::Io {
        path: path.to_owned(),
        source,
    }
}
