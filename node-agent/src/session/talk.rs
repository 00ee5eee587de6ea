//! What a controller says in a session.

use std::{collections::BTreeMap, time::Duration};

use overlay::{
    feed::{PeerChanges, Peers},
    name::NetworkName,
    txn::Revision,
};
use proto::{
    decode::{self, BadField},
    v1::controller_message::Message,
};
use tokio::time::Instant;
use tracing::warn;

use super::{Held, Told};

/// A network that was refused is asked for again: it may have been made meanwhile.
const ASK_AGAIN: Duration = Duration::from_secs(10);

/// What has been heard and is not whole yet.
#[derive(Debug, Default)]
pub struct Talk {
    /// Parts of a snapshot.
    parts: Peers,
    /// Parts of the changes of one revision: they count as one.
    changes: PeerChanges,
    refused: BTreeMap<NetworkName, Instant>,
}

impl Talk {
    /// What a message means to whoever listens, and what is held after it.
    pub fn interpret(
        &mut self,
        message: Message,
        held: &mut Held,
    ) -> Result<Option<Told>, BadField> {
        let word = match message {
            Message::Joined(joined) => {
                let network = decode::network(&joined.network.unwrap_or_default())?;
                self.refused.remove(&network.name);
                Told::Joined {
                    network,
                    subnets: decode::subnets("subnets", &joined.lease.unwrap_or_default().subnets)?,
                }
            }
            Message::Snapshot(snapshot) => {
                for peer in &snapshot.peers {
                    let (node, peer) = decode::peer(peer)?;
                    self.parts.insert(node, peer);
                }
                if !snapshot.last {
                    return Ok(None);
                }
                let network: NetworkName = decode::parse("network", &snapshot.network)?;
                held.revisions.insert(network.clone(), snapshot.revision);
                Told::Snapshot {
                    network,
                    revision: snapshot.revision,
                    peers: std::mem::take(&mut self.parts),
                }
            }
            Message::Changes(changes) => {
                let network: NetworkName = decode::parse("network", &changes.network)?;
                self.changes.then(&decode::peer_changes(&changes)?);
                if changes.partial {
                    return Ok(None);
                }
                let changes_of_it = std::mem::take(&mut self.changes);
                if !advance(held, &network, changes.revision) {
                    return Ok(None);
                }
                Told::Changes {
                    network,
                    revision: changes.revision,
                    changes: changes_of_it,
                }
            }
            Message::Bookmark(bookmark) => {
                let network = decode::parse("network", &bookmark.network)?;
                if !advance(held, &network, bookmark.revision) {
                    return Ok(None);
                }
                Told::Bookmark {
                    network,
                    revision: bookmark.revision,
                }
            }
            Message::NetworkChanged(changed) => {
                let name = decode::parse("name", &changed.name)?;
                if changed.network.is_none() {
                    held.revisions.remove(&name);
                }
                Told::NetworkChanged {
                    name,
                    network: changed.network.as_ref().map(decode::network).transpose()?,
                }
            }
            Message::Refused(refused) => {
                if let Ok(network) = refused.network.parse() {
                    self.refused.insert(network, Instant::now() + ASK_AGAIN);
                }
                Told::Refused {
                    network: refused.network,
                    reason: refused.reason,
                }
            }
            Message::Welcome(_)
            | Message::Move(_)
            | Message::EndpointsKept(_)
            | Message::Ask(_) => {
                return Ok(None);
            }
        };
        Ok(Some(word))
    }

    /// When to ask again for what was refused.
    pub fn ask_again(&self) -> Instant {
        let soonest = self.refused.values().min().copied();
        soonest.unwrap_or_else(|| Instant::now() + ASK_AGAIN)
    }

    /// It is not asked for again.
    pub fn forget(&mut self, network: &NetworkName) {
        self.refused.remove(network);
    }

    /// What it is time to ask for again.
    pub fn refused(&mut self) -> Vec<NetworkName> {
        let now = Instant::now();
        let due = self.refused.iter().filter(|(_, at)| **at <= now);
        let due: Vec<NetworkName> = due.map(|(network, _)| network.clone()).collect();
        for network in &due {
            self.refused.insert(network.clone(), now + ASK_AGAIN);
        }
        due
    }
}

/// Without a snapshot nothing is held that could advance: such a word was said before
/// the network was left and joined again.
fn advance(held: &mut Held, network: &NetworkName, revision: Revision) -> bool {
    let place = held.revisions.get_mut(network);
    place.map(|place| *place = revision).is_some()
}

/// What a controller told in these words of the state file, and what is held after them.
pub fn replay(words: Vec<Message>) -> (Vec<Told>, Held) {
    let mut talk = Talk::default();
    let mut held = Held::default();
    let mut told = Vec::new();
    for word in words {
        if let Message::Welcome(welcome) = &word {
            held.cluster.clone_from(&welcome.cluster);
        }
        match talk.interpret(word, &mut held) {
            Ok(word) => told.extend(word),
            Err(error) => warn!(%error, "a word of the state file is no word of ours"),
        }
    }
    (told, held)
}

#[cfg(test)]
mod tests;
