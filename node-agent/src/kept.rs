//! The last good state, on disk: what controllers told, word for word, so that an agent
//! that starts without one restores the overlay from it.
//!
//! The file is a log of frames, each with its length and a checksum. A torn end is left
//! out. What grew too long is written anew beside it, and put in its place.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
};

use overlay::hash::fnv1a;
use prost::Message as _;
use proto::v1::{self, controller_message::Message};
use thiserror::Error;
use tracing::warn;

/// Where it is, in its directory.
pub const FILE: &str = "state";
/// The first line tells what the rest is.
const MAGIC: &[u8] = b"weft-agent state 1\n";
const HEADER: usize = 12;
/// So much is added at the least before the file is written anew.
const GROWTH: u64 = 1 << 20;

#[derive(Debug, Error)]
#[error("cannot {what} {}", path.display())]
pub struct KeptError {
    what: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

#[derive(Debug)]
pub struct Kept {
    path: PathBuf,
    /// None after a failure: the next word is written with everything.
    file: Option<File>,
    /// The size of the file when it was written anew, and now.
    base: u64,
    size: u64,
}

impl Kept {
    /// What the file holds; nothing where there is none.
    pub fn open(directory: &Path) -> Result<(Self, Vec<Message>), KeptError> {
        let path = directory.join(FILE);
        let failed = |what| {
            let path = path.clone();
            move |source| KeptError { what, path, source }
        };
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(failed("read")(error)),
        };
        let (words, good) = read(&bytes);
        if good == 0 && !bytes.is_empty() {
            warn!(file = %path.display(), "the state file cannot be read; going on without it");
        } else if good < bytes.len() {
            warn!(
                file = %path.display(),
                good,
                lost = bytes.len() - good,
                "the end of the state file cannot be read; going on with what is before it"
            );
        }
        let kept = Self {
            path,
            file: None,
            base: 0,
            size: 0,
        };
        Ok((kept, words))
    }

    /// Has everything to be written anew before something is added?
    pub fn is_due(&self) -> bool {
        self.file.is_none() || self.size > self.base + self.base.max(GROWTH)
    }

    /// Adds a word. A crash may lose it: then the controller tells it again.
    pub fn add(&mut self, word: Message) -> Result<(), KeptError> {
        let mut frames = Vec::new();
        frame(word, &mut frames);
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        if let Err(source) = file.write_all(&frames) {
            self.file = None;
            return Err(self.failed("write", source));
        }
        self.size += frames.len() as u64;
        Ok(())
    }

    /// Writes everything beside the old file, and puts it in its place.
    pub fn write_anew(&mut self, words: impl Iterator<Item = Message>) -> Result<(), KeptError> {
        let mut bytes = MAGIC.to_vec();
        for word in words {
            frame(word, &mut bytes);
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

    fn failed(&self, what: &'static str, source: io::Error) -> KeptError {
        KeptError {
            what,
            path: self.path.clone(),
            source,
        }
    }
}

fn frame(word: Message, bytes: &mut Vec<u8>) {
    let message = v1::ControllerMessage {
        message: Some(word),
    };
    let payload = message.encode_to_vec();
    let length = u32::try_from(payload.len()).expect("a word is shorter than 4 GB");
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&fnv1a(&payload).to_le_bytes());
    bytes.extend_from_slice(&payload);
}

/// The words up to the first that cannot be read, and how far that is.
fn read(bytes: &[u8]) -> (Vec<Message>, usize) {
    let mut words = Vec::new();
    let Some(mut rest) = bytes.strip_prefix(MAGIC) else {
        return (words, 0);
    };
    while let Some((word, after)) = one(rest) {
        words.extend(word);
        rest = after;
    }
    (words, bytes.len() - rest.len())
}

fn one(bytes: &[u8]) -> Option<(Option<Message>, &[u8])> {
    let (header, rest) = bytes.split_at_checked(HEADER)?;
    let length = u32::from_le_bytes(header[..4].try_into().ok()?);
    let sum = u64::from_le_bytes(header[4..].try_into().ok()?);
    let (payload, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
    if fnv1a(payload) != sum {
        return None;
    }
    let message = v1::ControllerMessage::decode(payload).ok()?;
    Some((message.message, rest))
}

#[cfg(test)]
mod tests;
