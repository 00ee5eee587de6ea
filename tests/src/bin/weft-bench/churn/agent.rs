//! One simulated agent: it keeps a session with one of the controllers, from where it
//! was, at the pace of a real one.

use std::sync::{Arc, atomic::Ordering};

use anyhow::{Result, bail};
use overlay::{hash::fnv1a, pause::Pause};
use proto::v1::controller_message::Message;
use tokio::{
    sync::{SemaphorePermit, mpsc},
    time::sleep,
};
use tonic::{Code, Status};
use uuid::Uuid;

use super::fleet::Fleet;
use crate::simulated::{Node, open, report};

/// It is elsewhere now.
#[derive(Debug)]
pub struct Moved {
    pub underlay: String,
    pub mac: String,
}

pub struct Agent {
    pub fleet: Arc<Fleet>,
    pub node: Node,
    pub moves: mpsc::Receiver<Moved>,
    /// The change with which it joins. None: it was there before anything happened, and
    /// what it is told is timed.
    pub newcomer: Option<usize>,
    /// What it holds.
    pub revision: u64,
}

impl Agent {
    /// Until its node is removed.
    pub async fn live(mut self) -> Result<()> {
        let mut pause = Pause::default();
        let mut number = fnv1a(self.node.name.as_bytes()) as usize;
        loop {
            let url = self.fleet.urls[number % self.fleet.urls.len()].clone();
            let mut opened = false;
            let ended = self.session(&url, &mut opened).await;
            let ended = ended.err().unwrap_or_else(|| Status::unavailable("closed"));
            if opened {
                pause = Pause::default();
                self.count_closed();
            }
            match ended.code() {
                Code::PermissionDenied if self.newcomer.is_some() => return Ok(()),
                Code::PermissionDenied | Code::AlreadyExists | Code::InvalidArgument => {
                    bail!("{}: {ended}", self.node.name)
                }
                _ if !opened => self.fleet.failed(&ended),
                _ => {}
            }
            sleep(pause.take(random())).await;
            number += 1;
        }
    }

    async fn session(&mut self, url: &str, opened: &mut bool) -> Result<(), Status> {
        let fleet = self.fleet.clone();
        let mut permit = Some(fleet.permit().await);
        let hello = self.node.hello(&fleet.cluster, self.revision);
        let (say, mut stream) = open(url, hello).await?;
        loop {
            // Cancel-safe: a move that was not received is still in its channel, a
            // message is either returned or still in the stream.
            let message = tokio::select! {
                message = stream.message() => message?,
                Some(moved) = self.moves.recv() => {
                    (self.node.underlay, self.node.mac) = (moved.underlay, moved.mac);
                    // One that is lost with the stream is said with the next hello.
                    drop(say.send(self.node.join(self.revision)).await);
                    continue;
                }
            };
            let Some(message) = message else {
                return Ok(());
            };
            match message.message {
                Some(Message::Joined(_)) if !*opened => {
                    *opened = true;
                    self.node.confirm();
                    self.count_opened(&mut permit);
                }
                Some(Message::Changes(changes)) => {
                    if self.newcomer.is_none() {
                        fleet.told(&changes);
                    }
                    self.revision = changes.revision;
                    drop(say.send(report(changes.revision)).await);
                }
                Some(Message::Snapshot(snapshot)) if snapshot.last => {
                    self.revision = snapshot.revision;
                    if self.newcomer.is_none() {
                        fleet.snapshots.fetch_add(1, Ordering::Relaxed);
                    }
                }
                Some(Message::Bookmark(bookmark)) => self.revision = bookmark.revision,
                Some(Message::Refused(refused)) => {
                    fleet.failed(&Status::aborted(refused.reason));
                }
                Some(Message::Move(_)) => return Ok(()),
                Some(_) | None => {}
            }
        }
    }

    fn count_opened(&self, permit: &mut Option<SemaphorePermit<'_>>) {
        permit.take();
        match self.newcomer {
            None => self.fleet.opened(),
            Some(change) => self.fleet.joined(change),
        }
    }

    fn count_closed(&self) {
        if self.newcomer.is_none() {
            self.fleet.sessions.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// From 0 to 1.
fn random() -> f64 {
    f64::from(Uuid::new_v4().as_fields().0) / f64::from(u32::MAX)
}
