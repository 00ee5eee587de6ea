//! The last good state, on disk: what controllers told, word for word, so that an agent
//! that starts without one restores the overlay from it.

use std::path::Path;

use prost::Message as _;
use proto::v1::{self, controller_message::Message};
use tracing::warn;

use crate::frames::{Frames, FramesError};

/// Where it is, in its directory.
pub const FILE: &str = "state";
const MAGIC: &[u8] = b"weft-agent state 1\n";

pub type KeptError = FramesError;

#[derive(Debug)]
pub struct Kept(Frames);

impl Kept {
    /// What the file holds; nothing where there is none.
    pub fn open(directory: &Path) -> Result<(Self, Vec<Message>), KeptError> {
        let (frames, found) = Frames::open(directory.join(FILE), MAGIC)?;
        let mut words = Vec::with_capacity(found.frames.len());
        let mut all = true;
        for frame in &found.frames {
            // What comes after a word that makes no sense may not make any, either.
            let Ok(message) = v1::ControllerMessage::decode(frame.as_slice()) else {
                all = false;
                break;
            };
            words.extend(message.message);
        }
        let file = frames.path().display();
        if found.good == 0 && found.length > 0 {
            warn!(%file, "the state file cannot be read; going on without it");
        } else if found.good < found.length || !all {
            warn!(
                %file,
                good = found.good,
                lost = found.length - found.good,
                "the end of the state file cannot be read; going on with what is before it"
            );
        }
        Ok((Self(frames), words))
    }

    /// Has everything to be written anew before something is added?
    pub fn is_due(&self) -> bool {
        self.0.is_due()
    }

    /// Adds a word. A crash may lose it: then the controller tells it again.
    pub fn add(&mut self, word: Message) -> Result<(), KeptError> {
        self.0.add([bytes(word)], false)
    }

    /// Writes everything beside the old file, and puts it in its place.
    pub fn write_anew(&mut self, words: impl Iterator<Item = Message>) -> Result<(), KeptError> {
        self.0.write_anew(words.map(bytes))
    }
}

fn bytes(word: Message) -> Vec<u8> {
    let message = v1::ControllerMessage {
        message: Some(word),
    };
    message.encode_to_vec()
}

#[cfg(test)]
mod tests;
