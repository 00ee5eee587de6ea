//! Events in a file, a line of JSON each. One that grew too long makes way, and the one
//! before it goes.

use std::{
    fs,
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use overlay::event::Event;
use thiserror::Error;

/// The file, and the one before it.
pub const FILES: [&str; 2] = ["events.jsonl", "events.old.jsonl"];
/// So much is written at once.
const PART: usize = 64 << 10;

#[derive(Debug, Error)]
#[error("cannot {what} {}", path.display())]
pub struct FileError {
    what: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

pub struct File {
    path: PathBuf,
    old: PathBuf,
    /// None after a failure.
    file: Option<fs::File>,
    size: u64,
    /// The file makes way when it is longer.
    most: u64,
}

impl File {
    /// The file in this directory, which is made if need be, and what there is from before.
    /// Lines that cannot be read are left out.
    pub fn open(directory: &Path, most: u64) -> Result<(Self, Vec<Event>), FileError> {
        fs::create_dir_all(directory).map_err(failed("make the directory", directory))?;
        let [path, old] = FILES.map(|name| directory.join(name));
        let (file, size) = match append_to(&path) {
            Ok((file, size)) => (Some(file), size),
            Err(error) if error.source.kind() == io::ErrorKind::WouldBlock => return Err(error),
            // The disk may have room later.
            Err(_) => (None, 0),
        };
        let mut before = read(&old, most)?;
        before.extend(read(&path, most)?);
        let file = Self {
            path,
            old,
            file,
            size,
            most,
        };
        Ok((file, before))
    }

    /// Adds these, and says which was the last; none: there was none.
    pub fn add<'a>(
        &mut self,
        events: impl Iterator<Item = &'a Event>,
    ) -> Result<Option<u64>, FileError> {
        let (mut lines, mut last) = (Vec::new(), None);
        for event in events {
            serde_json::to_writer(&mut lines, event).expect("an event is plain text");
            lines.push(b'\n');
            last = Some(event.seq);
            if lines.len() >= PART {
                self.write(&lines)?;
                lines.clear();
            }
        }
        if !lines.is_empty() {
            self.write(&lines)?;
        }
        Ok(last)
    }

    fn write(&mut self, lines: &[u8]) -> Result<(), FileError> {
        let length = u64::try_from(lines.len()).unwrap_or(u64::MAX);
        if self.size > 0 && self.size + length > self.most {
            self.file = None;
            fs::rename(&self.path, &self.old).map_err(failed("put away", &self.path))?;
        }
        let file = match &mut self.file {
            Some(file) => file,
            None => {
                let (file, size) = append_to(&self.path)?;
                self.size = size;
                self.file.insert(file)
            }
        };
        let written = file.write_all(lines);
        if written.is_err() {
            // What is half a line is none: the next begins where this one did.
            let _ = file.set_len(self.size);
            self.file = None;
        } else {
            self.size += length;
        }
        written.map_err(failed("write", &self.path))
    }
}

/// Nobody else's while it is open. A torn end, of a daemon that was killed, is a line for
/// itself.
fn append_to(path: &Path) -> Result<(fs::File, u64), FileError> {
    let mut options = fs::File::options();
    let options = options.read(true).append(true).create(true).mode(0o600);
    let mut file = options.open(path).map_err(failed("open", path))?;
    let locked = file.try_lock().map_err(io::Error::from);
    locked.map_err(failed("have for itself", path))?;
    let mut end = [b'\n'];
    let mut size = file.seek(SeekFrom::End(0)).map_err(failed("read", path))?;
    if size > 0 {
        let last = file.seek(SeekFrom::End(-1));
        let last = last.and_then(|_| file.read_exact(&mut end));
        last.map_err(failed("read", path))?;
    }
    if end != *b"\n" {
        file.write_all(b"\n").map_err(failed("write", path))?;
        size += 1;
    }
    Ok((file, size))
}

/// Of what is longer than ours get, the beginning.
fn read(path: &Path, most: u64) -> Result<Vec<Event>, FileError> {
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed("open", path)(error)),
    };
    let mut text = Vec::new();
    let length = most.saturating_mul(2);
    let read = file.take(length).read_to_end(&mut text);
    read.map_err(failed("read", path))?;
    let lines = text.split(|byte| *byte == b'\n');
    Ok(lines
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect())
}

fn failed(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_owned();
    move |source| FileError { what, path, source }
}
