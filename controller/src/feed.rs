//! What all streams read: each change encoded once, its bytes shared.
//!
//! A stream holds a place in the log and nothing else. One that is slow finds many
//! entries waiting and gets them coalesced; one that fell off the log takes a snapshot.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use overlay::{
    feed::{Behind, Log, PeerChanges, peer_changes},
    name::NetworkName,
    registry::{Changes, EndpointChange, Registry},
    txn::Revision,
};
use proto::{
    encode,
    encoded::Encoded,
    v1::{self, controller_message::Message},
};
use tokio::time::Instant;

/// Changes kept for each network, and for those who watch leases.
const KEPT: usize = 8192;

#[derive(Debug)]
pub struct Feed {
    cluster: String,
    base: Revision,
    revision: Revision,
    networks: BTreeMap<NetworkName, Log<Arc<Entry>>>,
}

/// What happened at each revision to what is watched.
#[derive(Debug)]
pub struct ChangeLog<T> {
    cluster: String,
    log: Log<Arc<T>>,
}

pub type LeaseLog = ChangeLog<Changes>;
pub type EndpointLog = ChangeLog<Vec<EndpointChange>>;

#[derive(Debug)]
struct Entry {
    at: Instant,
    changes: PeerChanges,
    /// That the network's own record changed.
    record: Option<Encoded>,
    messages: Vec<Encoded>,
}

impl Entry {
    fn is_bookmark(&self) -> bool {
        self.changes.is_empty() && self.record.is_none()
    }
}

/// What comes next for a stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Next {
    pub messages: Vec<Encoded>,
    /// The stream's new place.
    pub place: Revision,
}

impl Feed {
    /// A feed without a past: whoever comes takes a snapshot.
    pub fn new(cluster: String, base: Revision) -> Self {
        Self {
            cluster,
            base,
            revision: base,
            networks: BTreeMap::new(),
        }
    }

    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    pub fn rename(&mut self, cluster: String) {
        self.cluster = cluster;
    }

    /// The newest revision this controller has applied.
    pub fn revision(&self) -> Revision {
        self.revision
    }

    /// Adds what a revision changed; whether there is anything to tell.
    pub fn push(&mut self, changes: &Changes, registry: &Registry) -> bool {
        let revision = changes.revision;
        self.revision = revision;
        let mut told = peer_changes(changes);
        for network in &changes.networks {
            told.entry(network.clone()).or_default();
        }
        let news = !told.is_empty();
        for (network, peers) in told {
            let renewed = changes.networks.contains(&network);
            let record = renewed.then(|| network_changed(&network, registry));
            let mut messages: Vec<Encoded> = record.clone().into_iter().collect();
            if !peers.is_empty() {
                let words = encode::changes(&network, revision, &peers);
                messages.extend(words.into_iter().map(Encoded::from));
            }
            let entry = Entry {
                at: Instant::now(),
                changes: peers,
                record,
                messages,
            };
            let weight = entry.changes.set.len() + entry.changes.gone.len();
            self.log(network).push(revision, Arc::new(entry), weight);
        }
        news
    }

    /// Tells every stream how far the store has come, where nothing else did lately:
    /// so that one that reconnects need not take a snapshot. Whether it had to.
    pub fn bookmark(&mut self) -> bool {
        let revision = self.revision;
        let mut news = false;
        for (network, log) in &mut self.networks {
            if log.newest() < revision {
                let message = Message::Bookmark(v1::Bookmark {
                    network: network.to_string(),
                    revision,
                });
                let entry = Entry {
                    at: Instant::now(),
                    changes: PeerChanges::default(),
                    record: None,
                    messages: vec![message.into()],
                };
                // One bookmark at the end is enough.
                log.take_back_if(|newest| newest.is_bookmark());
                log.push(revision, Arc::new(entry), 0);
                news = true;
            }
        }
        news
    }

    /// What a stream has not been told of a network since its place.
    pub fn next(&self, network: &NetworkName, place: Revision) -> Result<Next, Behind> {
        let Some(log) = self.networks.get(network) else {
            return if place < self.base {
                Err(Behind)
            } else {
                Ok(Next {
                    messages: Vec::new(),
                    place,
                })
            };
        };
        let entries = log.after(place)?;
        // Several are told as one: a message costs both ends more than its peers do.
        if entries.len() <= 1 {
            let place = log.newest().max(place);
            let messages = entries.flat_map(|(_, entry)| entry.messages.iter().cloned());
            return Ok(Next {
                messages: messages.collect(),
                place,
            });
        }
        let mut merged = PeerChanges::default();
        let mut messages = Vec::new();
        for (_, entry) in entries {
            merged.then(&entry.changes);
            if let Some(record) = &entry.record {
                messages = vec![record.clone()];
            }
        }
        let place = log.newest();
        let words = encode::changes(network, place, &merged);
        messages.extend(words.into_iter().map(Encoded::from));
        Ok(Next { messages, place })
    }

    /// How many changes a network has seen since a revision; none: more than are kept.
    pub fn distance(&self, network: &NetworkName, since: Revision) -> Option<usize> {
        match self.networks.get(network) {
            Some(log) => log.after(since).ok().map(|entries| entries.len()),
            None => (since >= self.base).then_some(0),
        }
    }

    /// The newest revision that concerns a network.
    pub fn newest(&self, network: &NetworkName) -> Revision {
        let log = self.networks.get(network).map(|log| log.after(self.base));
        log.and_then(Result::ok)
            .and_then(|mut entries| entries.rfind(|(_, entry)| !entry.is_bookmark()))
            .map_or(self.base, |(revision, _)| revision)
    }

    /// The age of the oldest change of a network that one who has applied this much
    /// has yet to apply.
    pub fn lag(&self, network: &NetworkName, applied: Revision) -> Duration {
        let Some(log) = self.networks.get(network) else {
            return Duration::ZERO;
        };
        let entries = log.after(applied).or_else(|Behind| log.after(self.base));
        entries
            .ok()
            .and_then(|mut entries| entries.find(|(_, entry)| !entry.is_bookmark()))
            .map_or(Duration::ZERO, |(_, entry)| entry.at.elapsed())
    }

    fn log(&mut self, network: NetworkName) -> &mut Log<Arc<Entry>> {
        let base = self.base;
        self.networks
            .entry(network)
            .or_insert_with(|| Log::new(base, KEPT))
    }
}

impl<T> ChangeLog<T> {
    pub fn new(cluster: String, base: Revision) -> Self {
        Self {
            cluster,
            log: Log::new(base, KEPT),
        }
    }

    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    pub fn rename(&mut self, cluster: String) {
        self.cluster = cluster;
    }

    pub fn push(&mut self, revision: Revision, changes: T, weight: usize) {
        self.log.push(revision, Arc::new(changes), weight);
    }

    /// What happened since a revision.
    pub fn after(&self, revision: Revision) -> Result<Vec<(Revision, Arc<T>)>, Behind> {
        let entries = self.log.after(revision)?;
        Ok(entries
            .map(|(revision, changes)| (revision, changes.clone()))
            .collect())
    }
}

/// What changes of endpoints weigh in the log: an endpoint may be large.
pub fn weight(changes: &[EndpointChange]) -> usize {
    let of = |change: &EndpointChange| {
        let present = change.after.as_ref();
        1 + present.map_or(0, |present| present.endpoint.value.public.size() / 1024)
    };
    changes.iter().map(of).sum()
}

fn network_changed(name: &NetworkName, registry: &Registry) -> Encoded {
    let space = registry.space(name);
    let network = space.and_then(|space| space.network());
    Encoded::from(Message::NetworkChanged(v1::NetworkChanged {
        name: name.to_string(),
        network: network.map(|network| encode::network(network, None)),
    }))
}

#[cfg(test)]
mod tests;
