//! What an agent holds of one network, as the feed tells it.

use std::{collections::BTreeMap, fmt};

use proto::v1::{Peer, controller_message::Message};

#[derive(Clone, Default, PartialEq)]
pub struct Held {
    /// It holds everything up to here.
    pub revision: u64,
    pub peers: BTreeMap<String, Peer>,
    /// The parts of a snapshot that is not complete yet.
    coming: Option<BTreeMap<String, Peer>>,
}

impl Held {
    /// It has had a snapshot, and is not in the middle of another.
    pub fn is_whole(&self) -> bool {
        self.revision > 0 && self.coming.is_none()
    }

    pub fn apply(&mut self, message: &Message) {
        match message {
            Message::Snapshot(part) => {
                let coming = self.coming.get_or_insert_default();
                coming.extend(part.peers.iter().map(named));
                if part.last {
                    self.peers = self.coming.take().unwrap_or_default();
                    self.revision = part.revision;
                }
            }
            Message::Changes(changes) => {
                for gone in &changes.gone {
                    self.peers.remove(gone);
                }
                self.peers.extend(changes.set.iter().map(named));
                if !changes.partial {
                    self.revision = changes.revision;
                }
            }
            Message::Bookmark(bookmark) => self.revision = bookmark.revision,
            Message::Welcome(_)
            | Message::Joined(_)
            | Message::Refused(_)
            | Message::NetworkChanged(_)
            | Message::EndpointsKept(_)
            | Message::Ask(_)
            | Message::Move(_) => {}
        }
    }
}

fn named(peer: &Peer) -> (String, Peer) {
    (peer.node.clone(), peer.clone())
}

/// Short: there may be thousands of peers.
impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let some: Vec<&String> = self.peers.keys().take(8).collect();
        write!(
            f,
            "{} peers at revision {} ({some:?})",
            self.peers.len(),
            self.revision
        )
    }
}
