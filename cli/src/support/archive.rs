//! A tar file that is there as a whole or not at all.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    process,
};

use thiserror::Error;

const BLOCK: usize = 512;
/// What the format has room for in a name, and in what is put before it.
const NAME: usize = 100;
const PREFIX: usize = 155;

#[derive(Debug, Error)]
pub enum ArchiveError {
    #[error("{} is there already; --force replaces it", .0.display())]
    There(PathBuf),
    #[error("{0}: the name is too long for an archive")]
    Name(String),
    #[error("cannot {what} {}", path.display())]
    Io {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

pub struct Archive {
    target: PathBuf,
    force: bool,
    /// Where it is while it is not whole.
    part: PathBuf,
    file: BufWriter<File>,
    /// The directory that everything is in.
    top: String,
    seconds: u64,
}

impl Archive {
    pub fn create(
        target: &Path,
        force: bool,
        top: String,
        seconds: u64,
    ) -> Result<Self, ArchiveError> {
        if !force && fs::symlink_metadata(target).is_ok() {
            return Err(ArchiveError::There(target.to_owned()));
        }
        let mut part = target.as_os_str().to_owned();
        part.push(format!(".{}.part", process::id()));
        let part = PathBuf::from(part);
        let mut options = File::options();
        let options = options.write(true).create_new(true).mode(0o600);
        let file = options.open(&part).map_err(failed("make", &part))?;
        Ok(Self {
            target: target.to_owned(),
            force,
            part,
            file: BufWriter::new(file),
            top,
            seconds,
        })
    }

    pub fn add(&mut self, name: &str, content: &[u8]) -> Result<(), ArchiveError> {
        let name = format!("{}/{name}", self.top);
        let header = header(&name, content.len(), self.seconds)?;
        let rest = content.len().next_multiple_of(BLOCK) - content.len();
        let parts = [&header[..], content, &[0; BLOCK][..rest]];
        let written = parts.iter().try_for_each(|part| self.file.write_all(part));
        written.map_err(failed("write", &self.part))
    }

    /// In its place, and its size.
    pub fn finish(mut self) -> Result<u64, ArchiveError> {
        let end = self.file.write_all(&[0; 2 * BLOCK]);
        let end = end.and_then(|()| self.file.flush());
        let end = end.and_then(|()| self.file.get_ref().sync_all());
        end.map_err(failed("write", &self.part))?;
        let size = self.file.get_ref().metadata().map(|file| file.len());
        let placed = match self.force {
            true => fs::rename(&self.part, &self.target),
            // What came there meanwhile is not replaced.
            false => fs::hard_link(&self.part, &self.target),
        };
        match placed {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(ArchiveError::There(self.target.clone()))
            }
            placed => placed.and(size).map_err(failed("make", &self.target)),
        }
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        // Of one that is in its place only a second name is left, or none.
        let _ = fs::remove_file(&self.part);
    }
}

/// Of a plain file, in the format `ustar`.
fn header(name: &str, size: usize, seconds: u64) -> Result<[u8; BLOCK], ArchiveError> {
    let (prefix, short) = split(name).ok_or_else(|| ArchiveError::Name(name.into()))?;
    let mut header = [0; BLOCK];
    let mut put =
        |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, short);
    put(100, "0000600");
    put(108, "0000000");
    put(116, "0000000");
    put(124, &format!("{size:011o}"));
    put(136, &format!("{seconds:011o}"));
    // The sum is made as if it were spaces.
    put(148, "        ");
    put(156, "0");
    put(257, "ustar");
    put(263, "00");
    put(345, prefix);
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    Ok(header)
}

/// A long name in two parts, at a slash.
fn split(name: &str) -> Option<(&str, &str)> {
    if name.len() <= NAME {
        return Some(("", name));
    }
    let slashes = name.match_indices('/').map(|(at, _)| at);
    let mut fits = slashes.filter(|at| *at <= PREFIX && name.len() - at - 1 <= NAME);
    fits.next().map(|at| (&name[..at], &name[at + 1..]))
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> ArchiveError {
    let path = path.to_owned();
    move |source| ArchiveError::Io { what, path, source }
}

#[cfg(test)]
mod tests;
