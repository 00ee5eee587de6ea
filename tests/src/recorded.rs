//! What a release said and kept, in `tests/recorded/VERSION`: its sessions as bytes, its
//! store as a backup, its agent's files, and what was asked of its agent.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use anyhow::{Context, Result, ensure};
use prost::bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Endpoint;

use crate::wire::{self, Answer};

pub const SESSIONS: &str = "sessions.jsonl";
pub const STORE: &str = "store.backup";
pub const LEASES: &str = "leases.json";
pub const SOCKET: &str = "socket.jsonl";
/// The agent's `--state-dir`.
pub const STATE: &str = "agent";

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum From {
    Agent,
    Controller,
}

/// One message of a session.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Line {
    /// Counts from 0.
    pub session: usize,
    pub from: From,
    pub hex: String,
}

/// What a host's tools asked the agent, and what it answered.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Asked {
    pub asked: String,
    pub answered: serde_json::Value,
}

/// The recordings of all releases, oldest first.
pub fn all() -> Result<Vec<PathBuf>> {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("recorded");
    let found = fs::read_dir(&place).with_context(|| place.display().to_string())?;
    let mut all: Vec<PathBuf> = found
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    all.sort();
    ensure!(
        !all.is_empty(),
        "nothing is recorded in {}",
        place.display()
    );
    Ok(all)
}

/// The messages of each session, in their order.
pub fn sessions(recording: &Path) -> Result<Vec<Vec<(From, Bytes)>>> {
    let text = fs::read_to_string(recording.join(SESSIONS))?;
    let mut sessions: Vec<Vec<(From, Bytes)>> = Vec::new();
    for line in text.lines() {
        let line: Line = serde_json::from_str(line)?;
        sessions.resize_with(sessions.len().max(line.session + 1), Vec::new);
        let digits = line.hex.as_bytes().chunks(2);
        let bytes = digits.map(|pair| Ok(u8::from_str_radix(str::from_utf8(pair)?, 16)?));
        let bytes: Vec<u8> = bytes.collect::<Result<_>>()?;
        sessions[line.session].push((line.from, bytes.into()));
    }
    Ok(sessions)
}

/// Hands every message on to a real controller and back, and notes it.
pub fn relay(url: String, notes: Arc<Mutex<Vec<Line>>>) -> Answer {
    let sessions = Arc::new(Mutex::new(0));
    Arc::new(move |mut said| {
        let (url, notes) = (url.clone(), notes.clone());
        let session = {
            let mut sessions = sessions.lock().expect("nobody panics with it");
            *sessions += 1;
            *sessions - 1
        };
        let note = move |from, bytes: &Bytes| {
            let hex = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let line = Line { session, from, hex };
            notes.lock().expect("nobody panics with it").push(line);
        };
        Box::pin(async move {
            let unavailable =
                |error: tonic::transport::Error| tonic::Status::unavailable(error.to_string());
            let channel = Endpoint::from_shared(url).map_err(unavailable)?;
            let channel = channel.connect().await.map_err(unavailable)?;
            let (say, words) = mpsc::channel(16);
            let noted = note.clone();
            tokio::spawn(async move {
                while let Ok(Some(word)) = said.message().await {
                    noted(From::Agent, &word);
                    if say.send(word).await.is_err() {
                        return;
                    }
                }
            });
            let mut heard = wire::open(channel, words).await?;
            let (answer, answers) = mpsc::channel(16);
            tokio::spawn(async move {
                loop {
                    let word = match heard.message().await {
                        Ok(Some(word)) => {
                            note(From::Controller, &word);
                            Ok(word)
                        }
                        Ok(None) => return,
                        Err(status) => Err(status),
                    };
                    let last = word.is_err();
                    if answer.send(word).await.is_err() || last {
                        return;
                    }
                }
            });
            Ok(ReceiverStream::new(answers))
        })
    })
}
