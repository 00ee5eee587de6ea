//! The book on disk. What is written is there after a crash: nobody is told of an
//! address before.

use std::path::Path;

use overlay::endpoint::book::{Book, Line};
use thiserror::Error;
use tracing::warn;

use crate::frames::{Frames, FramesError};

/// Where it is, in its directory.
pub const FILE: &str = "endpoints";
const MAGIC: &[u8] = b"weft-agent endpoints 1\n";

#[derive(Debug, Error)]
pub enum JournalError {
    #[error(transparent)]
    Frames(#[from] FramesError),
    #[error(
        "{0} is no list of endpoints of this version; move it away if no container of this host runs any more"
    )]
    Foreign(String),
}

#[derive(Debug)]
pub struct Journal(Frames);

impl Journal {
    /// The book, which knows when not all of it could be read.
    pub fn open(directory: &Path) -> Result<(Self, Book), JournalError> {
        let (frames, found) = Frames::open(directory.join(FILE), MAGIC)?;
        let file = frames.path().display().to_string();
        if found.good == 0 && found.length > 0 {
            return Err(JournalError::Foreign(file));
        }
        let mut book = Book::default();
        // One that was ever written has its first line.
        let is_empty = found.there && found.length == 0;
        let mut torn = is_empty || found.good < found.length;
        for frame in &found.frames {
            match serde_json::from_slice(frame) {
                Ok(line) => book.apply(line),
                Err(_) => torn = true,
            }
        }
        if torn {
            warn!(
                file,
                lost = found.length - found.good,
                "some of the list of endpoints cannot be read"
            );
            book.apply(Line::Torn(true));
        }
        Ok((Self(frames), book))
    }

    /// Writes lines that the book does not have yet.
    pub fn add(&mut self, book: &Book, lines: &[Line]) -> Result<(), FramesError> {
        if self.0.is_due() {
            // The book first, and then what is new, in one piece.
            let all = book.lines().map(|line| bytes(&line));
            return self.0.write_anew(all.chain(lines.iter().map(bytes)));
        }
        self.0.add(lines.iter().map(bytes), true)
    }

    pub fn write_anew(&mut self, book: &Book) -> Result<(), FramesError> {
        self.0.write_anew(book.lines().map(|line| bytes(&line)))
    }
}

fn bytes(line: &Line) -> Vec<u8> {
    serde_json::to_vec(line).expect("a line holds nothing that JSON could not")
}
