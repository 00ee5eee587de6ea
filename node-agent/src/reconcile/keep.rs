//! The last good state, kept on disk as it changes.

use std::time::Duration;

use overlay::{datapath::member::Member, txn::Revision};
use proto::{
    encode,
    v1::{self, controller_message::Message},
};
use tokio::{task::block_in_place, time::Instant};
use tracing::{info, warn};

use super::Reconciler;
use crate::{kept::KeptError, session::Told};

/// What comes within this time is written together.
const TOGETHER: Duration = Duration::from_millis(20);
/// After a failure.
const AGAIN: Duration = Duration::from_secs(10);

/// What a word means for the disk.
pub enum Keep {
    Nothing,
    Added(Box<Message>),
    Everything,
}

impl Keep {
    pub fn of(word: &Told) -> Self {
        match word {
            Told::Open { .. }
            | Told::Closed { .. }
            | Told::Bookmark { .. }
            | Told::Refused { .. } => Self::Nothing,
            Told::Joined { .. } | Told::Snapshot { .. } | Told::NetworkChanged { .. } => {
                Self::Everything
            }
            Told::Changes {
                network,
                revision,
                changes,
            } => {
                // One message, however long: a part would be no whole word.
                let set = changes.set.iter().map(encode::peer).collect();
                let gone = changes.gone.iter().map(ToString::to_string).collect();
                Self::Added(Box::new(Message::Changes(v1::Changes {
                    network: network.to_string(),
                    revision: *revision,
                    set,
                    gone,
                    partial: false,
                })))
            }
        }
    }
}

impl Reconciler {
    pub(super) fn keep(&mut self, keep: Keep) {
        match keep {
            Keep::Nothing => {}
            // It is among everything.
            Keep::Added(_) | Keep::Everything if self.write_at.is_some() => {}
            Keep::Added(word) if !self.kept.is_due() => {
                let added = self.kept.add(*word);
                self.heed_disk(added);
            }
            Keep::Added(_) | Keep::Everything => self.write_at = Some(Instant::now() + TOGETHER),
        }
    }

    pub(super) fn write_anew(&mut self) {
        self.write_at = None;
        self.wrote = true;
        let words = self.words();
        let written = block_in_place(|| self.kept.write_anew(words.into_iter()));
        self.heed_disk(written);
    }

    fn heed_disk(&mut self, result: Result<(), KeptError>) {
        match result {
            Ok(()) => {
                if self.not_kept.take().is_some() {
                    info!("the last good state is on disk again");
                }
            }
            Err(error) => {
                let reason = options::sentence(&error);
                if self.not_kept.is_none() {
                    warn!(
                        reason,
                        "the last good state is not on disk: after a reboot without a controller this host has none"
                    );
                }
                self.not_kept = Some(reason);
                self.write_at = Some(Instant::now() + AGAIN);
            }
        }
    }

    /// All that was told, in the controller's words.
    fn words(&self) -> Vec<Message> {
        let mut words = vec![Message::Welcome(v1::Welcome {
            cluster: self.held.cluster.clone(),
            ..v1::Welcome::default()
        })];
        for (name, member) in self.host.joined() {
            let Some(member) = member else { continue };
            words.push(joined(member));
            let Some(peers) = member.known().peers() else {
                continue;
            };
            let revision = self.held.revisions.get(name).copied().unwrap_or(0);
            let held = member.held().peers();
            if held.is_empty() {
                words.extend(encode::snapshot(name, revision, peers));
                continue;
            }
            // Whoever starts from this asks for a snapshot, and is told of the loss again.
            let mut all = peers.clone();
            all.extend(held.iter().map(|(node, peer)| (node.clone(), peer.clone())));
            let unknown: Revision = 0;
            words.extend(encode::snapshot(name, unknown, &all));
        }
        words
    }
}

fn joined(member: &Member) -> Message {
    let network = encode::network_alone(member.network());
    let lease = v1::Lease {
        network: network.name.clone(),
        subnets: member.own().iter().map(ToString::to_string).collect(),
        ..v1::Lease::default()
    };
    Message::Joined(v1::Joined {
        endpoints: 0,
        network: Some(network),
        lease: Some(lease),
    })
}
