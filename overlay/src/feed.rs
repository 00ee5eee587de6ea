//! What agents are told: the peers of a network, as a snapshot and as changes.
//!
//! A lease is rewritten on many occasions (its node came back, lapsed, renewed)
//! that change nothing a peer programs. Those are not told: ten thousand moving
//! agents would cost a hundred million messages.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::IpAddr,
};

use thiserror::Error;

use crate::{
    name::{NetworkName, NodeName},
    record::{Lease, Mac},
    registry::{Changes, Space},
    subnet::Subnet,
    txn::Revision,
};

/// Another node's lease, as an agent programs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    pub v4: Option<Subnet>,
    pub v6: Option<Subnet>,
    pub underlay: IpAddr,
    pub mac: Mac,
}

impl Peer {
    /// None while nobody knows where to send the node's packets.
    pub fn of(lease: &Lease) -> Option<Self> {
        Some(Self {
            v4: lease.v4,
            v6: lease.v6,
            underlay: lease.underlay?,
            mac: lease.mac?,
        })
    }

    pub fn subnets(&self) -> impl Iterator<Item = Subnet> + use<> {
        self.v4.into_iter().chain(self.v6)
    }
}

/// All peers of a network.
pub type Peers = BTreeMap<NodeName, Peer>;

pub fn peers(space: &Space) -> Peers {
    let peer = |(node, lease): (&NodeName, &crate::registry::Stored<Lease>)| {
        Some((node.clone(), Peer::of(&lease.value)?))
    };
    space.leases().iter().filter_map(peer).collect()
}

/// What became different among the peers of one network.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PeerChanges {
    pub set: Peers,
    pub gone: BTreeSet<NodeName>,
}

impl PeerChanges {
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.gone.is_empty()
    }

    /// Coalesces: these changes and then `later` ones, as one.
    pub fn then(&mut self, later: &Self) {
        for node in &later.gone {
            self.set.remove(node);
            self.gone.insert(node.clone());
        }
        for (node, peer) in &later.set {
            self.gone.remove(node);
            self.set.insert(node.clone(), peer.clone());
        }
    }

    pub fn apply(&self, peers: &mut Peers) {
        for node in &self.gone {
            peers.remove(node);
        }
        peers.extend(
            self.set
                .iter()
                .map(|(node, peer)| (node.clone(), peer.clone())),
        );
    }
}

/// What the agents of each network are told of these changes.
pub fn peer_changes(changes: &Changes) -> BTreeMap<NetworkName, PeerChanges> {
    let mut told: BTreeMap<NetworkName, PeerChanges> = BTreeMap::new();
    for change in &changes.leases {
        let before = change.before.as_ref().and_then(Peer::of);
        let after = change
            .after
            .as_ref()
            .and_then(|lease| Peer::of(&lease.value));
        if before == after && !change.in_doubt {
            continue;
        }
        let mut step = PeerChanges::default();
        match after {
            Some(peer) => step.set.insert(change.node.clone(), peer).is_some(),
            None => step.gone.insert(change.node.clone()),
        };
        told.entry(change.network.clone()).or_default().then(&step);
    }
    told
}

/// The last things that happened, bounded by their weight: who asks for what is older
/// must take a snapshot instead.
#[derive(Debug, Clone)]
pub struct Log<T> {
    entries: VecDeque<Weighed<T>>,
    /// The log holds everything after this revision.
    floor: Revision,
    weight: usize,
    most: usize,
}

#[derive(Debug, Clone)]
struct Weighed<T> {
    revision: Revision,
    weight: usize,
    entry: T,
}

/// The log no longer reaches that far back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the log does not reach back to that revision")]
pub struct Behind;

impl<T> Log<T> {
    pub fn new(floor: Revision, most: usize) -> Self {
        Self {
            entries: VecDeque::new(),
            floor,
            weight: 0,
            most,
        }
    }

    /// Adds what happened at a revision. However light, it weighs something.
    pub fn push(&mut self, revision: Revision, entry: T, weight: usize) {
        let weight = weight.max(1);
        self.weight += weight;
        self.entries.push_back(Weighed {
            revision,
            weight,
            entry,
        });
        while self.weight > self.most
            && let Some(oldest) = self.entries.pop_front()
        {
            self.weight -= oldest.weight;
            self.floor = oldest.revision;
        }
    }

    /// Takes the newest entry back, if it is such a one.
    pub fn take_back_if(&mut self, such: impl FnOnce(&T) -> bool) {
        if self
            .entries
            .back()
            .is_some_and(|newest| such(&newest.entry))
            && let Some(newest) = self.entries.pop_back()
        {
            self.weight -= newest.weight;
        }
    }

    /// Everything after a revision, oldest first.
    pub fn after(
        &self,
        revision: Revision,
    ) -> Result<impl DoubleEndedIterator<Item = (Revision, &T)> + ExactSizeIterator, Behind> {
        if revision < self.floor {
            return Err(Behind);
        }
        let first = self
            .entries
            .partition_point(|entry| entry.revision <= revision);
        let entries = self.entries.range(first..);
        Ok(entries.map(|entry| (entry.revision, &entry.entry)))
    }

    pub fn newest(&self) -> Revision {
        self.entries
            .back()
            .map_or(self.floor, |entry| entry.revision)
    }
}

#[cfg(test)]
mod tests;
