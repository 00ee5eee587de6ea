//! A log of frames in a file, each with its length and a checksum. A torn end is left
//! out. What grew too long is written anew beside it, and put in its place.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use overlay::hash::fnv1a;
use thiserror::Error;

const HEADER: usize = 12;
/// So much is added at the least before the file is written anew.
const GROWTH: u64 = 1 << 20;

#[derive(Debug, Error)]
#[error("cannot {what} {}", path.display())]
pub struct FramesError {
    what: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

#[derive(Debug)]
pub struct Frames {
    path: PathBuf,
    /// The first line tells what the rest is.
    magic: &'static [u8],
    /// None after a failure: the next frame is written with everything.
    file: Option<File>,
    /// The size of the file when it was written anew, and now.
    base: u64,
    size: u64,
}

/// What a file held.
#[derive(Debug, Default)]
pub struct Found {
    pub frames: Vec<Vec<u8>>,
    /// There is such a file.
    pub there: bool,
    /// How many bytes could be read, and how many there are.
    pub good: usize,
    pub length: usize,
}

impl Frames {
    /// What the file holds; nothing where there is none.
    pub fn open(path: PathBuf, magic: &'static [u8]) -> Result<(Self, Found), FramesError> {
        let (bytes, there) = match fs::read(&path) {
            Ok(bytes) => (bytes, true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (Vec::new(), false),
            Err(source) => {
                let what = "read";
                return Err(FramesError { what, path, source });
            }
        };
        let (frames, good) = read(&bytes, magic);
        let found = Found {
            frames,
            there,
            good,
            length: bytes.len(),
        };
        let frames = Self {
            path,
            magic,
            file: None,
            base: 0,
            size: 0,
        };
        Ok((frames, found))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Has everything to be written anew before something is added?
    pub fn is_due(&self) -> bool {
        self.file.is_none() || self.size > self.base + self.base.max(GROWTH)
    }

    /// Adds frames. A crash may lose them unless they are to be on the disk.
    pub fn add(
        &mut self,
        payloads: impl IntoIterator<Item = Vec<u8>>,
        on_disk: bool,
    ) -> Result<(), FramesError> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        let mut frames = Vec::new();
        for payload in payloads {
            frame(&payload, &mut frames);
        }
        let mut write = || {
            file.write_all(&frames)?;
            if on_disk { file.sync_data() } else { Ok(()) }
        };
        if let Err(source) = write() {
            self.file = None;
            return Err(self.failed("write", source));
        }
        self.size += frames.len() as u64;
        Ok(())
    }

    /// Writes everything beside the old file, and puts it in its place.
    pub fn write_anew(
        &mut self,
        payloads: impl Iterator<Item = Vec<u8>>,
    ) -> Result<(), FramesError> {
        let mut bytes = self.magic.to_vec();
        for payload in payloads {
            frame(&payload, &mut bytes);
        }
        let beside = self.path.with_extension("new");
        let write = || {
            let mut file = File::create(&beside)?;
            file.write_all(&bytes)?;
            file.sync_all()?;
            fs::rename(&beside, &self.path)?;
            Ok(file)
        };
        match write() {
            Ok(file) => {
                self.file = Some(file);
                self.base = bytes.len() as u64;
                self.size = self.base;
                Ok(())
            }
            Err(source) => {
                self.file = None;
                Err(self.failed("write", source))
            }
        }
    }

    fn failed(&self, what: &'static str, source: io::Error) -> FramesError {
        FramesError {
            what,
            path: self.path.clone(),
            source,
        }
    }
}

fn frame(payload: &[u8], bytes: &mut Vec<u8>) {
    let length = u32::try_from(payload.len()).expect("a frame is shorter than 4 GB");
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&fnv1a(payload).to_le_bytes());
    bytes.extend_from_slice(payload);
}

/// The frames up to the first that cannot be read, and how far that is.
fn read(bytes: &[u8], magic: &[u8]) -> (Vec<Vec<u8>>, usize) {
    let mut frames = Vec::new();
    let Some(mut rest) = bytes.strip_prefix(magic) else {
        return (frames, 0);
    };
    while let Some((payload, after)) = one(rest) {
        frames.push(payload.to_vec());
        rest = after;
    }
    (frames, bytes.len() - rest.len())
}

fn one(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (header, rest) = bytes.split_at_checked(HEADER)?;
    let length = u32::from_le_bytes(header[..4].try_into().ok()?);
    let sum = u64::from_le_bytes(header[4..].try_into().ok()?);
    let (payload, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    (fnv1a(payload) == sum).then_some((payload, rest))
}

#[cfg(test)]
mod tests;
