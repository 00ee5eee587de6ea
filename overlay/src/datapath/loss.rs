//! A sudden loss of most peers - a wiped store, a wrong prefix - is held back for a
//! while instead of being obeyed at once. Entries for nodes that are really gone harm
//! nobody meanwhile.

use std::time::Duration;

use crate::{
    feed::{Peer, Peers},
    name::NodeName,
};

/// So few may go at once, whatever their share is.
const FEW: usize = 2;

/// Is it a sudden loss of most of them?
pub fn is_sudden(lost: usize, before: usize) -> bool {
    lost > FEW && lost * 2 > before
}

/// Peers that are gone, and yet kept for some time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loss {
    peers: Peers,
    until: Duration,
}

impl Loss {
    pub fn hold(&mut self, lost: Peers, until: Duration) {
        self.peers.extend(lost);
        self.until = until;
    }

    pub fn peers(&self) -> &Peers {
        &self.peers
    }

    /// When they are let go, on the clock that held them.
    pub fn until(&self) -> Option<Duration> {
        (!self.peers.is_empty()).then_some(self.until)
    }

    /// Lets go of those in whose place this node is now.
    pub fn make_room(&mut self, node: &NodeName, peer: &Peer) -> Vec<Peer> {
        let displaced = |name: &NodeName, held: &Peer| {
            name == node
                || held.mac == peer.mac
                || held.underlay == peer.underlay
                || held
                    .subnets()
                    .any(|subnet| peer.subnets().any(|theirs| theirs.overlaps(subnet)))
        };
        let names: Vec<NodeName> = self
            .peers
            .iter()
            .filter(|(name, held)| displaced(name, held))
            .map(|(name, _)| name.clone())
            .collect();
        let let_go = names.iter().filter_map(|name| self.peers.remove(name));
        let_go.collect()
    }

    /// Those that were held for long enough.
    pub fn let_go(&mut self, now: Duration) -> Vec<Peer> {
        if now < self.until {
            return Vec::new();
        }
        std::mem::take(&mut self.peers).into_values().collect()
    }
}

#[cfg(test)]
mod tests;
