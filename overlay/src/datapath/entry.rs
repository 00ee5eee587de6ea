//! What one peer needs in the kernel: where its MAC is, whose MAC its subnets have,
//! and the routes to them.

use std::net::IpAddr;

use super::claimed::Claimed;
use crate::{
    feed::Peer,
    record::Mac,
    subnet::{Family, Subnet},
};

/// The protocol number of our routes.
pub const PROTOCOL: u8 = 77;
/// The route that keeps stray packets for our own subnet in, behind whatever routes
/// containers have.
pub const UNREACHABLE_METRIC: u32 = 0xff00_0000;
const FIRST_METRIC: u32 = 1000;

/// Where a peer's packets go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Via {
    /// Through the network's device, to the peer's MAC.
    Overlay,
    /// To the peer's own address: it is on the same link.
    Direct(IpAddr),
}

/// The metric of the route to a subnet: each its own, and always the same, so that
/// replacing a route stays replacing it.
///
/// The kernel keeps the next hops of IPv4 routes in a hash that knows device and metric
/// but not the gateway: with one metric for all, N routes on one device cost N².
pub fn metric(subnet: Subnet) -> u32 {
    let number = subnet.number() & 0xf_ffff;
    FIRST_METRIC + u32::try_from(number).expect("twenty bits")
}

/// All entries of a network. A key that two peers claim goes to one of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Entries {
    pub fdb: Claimed<Mac, IpAddr>,
    pub neighbours: Claimed<IpAddr, Mac>,
    pub routes: Claimed<Subnet, Via>,
    /// Who may send to this host.
    pub sources: Claimed<IpAddr, ()>,
}

/// The keys of some entries, to be looked at again.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys {
    pub fdb: Vec<Mac>,
    pub neighbours: Vec<IpAddr>,
    pub routes: Vec<Subnet>,
    pub sources: Vec<IpAddr>,
}

/// What decides how a network's peers are reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reach {
    /// The families this host has a subnet of: without one nothing is sent.
    pub families: Vec<Family>,
    /// The links on which peers are routed directly.
    pub direct: Vec<Subnet>,
}

impl Reach {
    fn via(&self, subnet: Subnet, underlay: IpAddr) -> Via {
        // A next hop of the other family is something else again.
        let same_family = subnet.family() == Family::of(underlay);
        if same_family && self.direct.iter().any(|link| link.holds(underlay)) {
            Via::Direct(underlay)
        } else {
            Via::Overlay
        }
    }

    fn subnets(&self, peer: &Peer) -> impl Iterator<Item = Subnet> {
        peer.subnets()
            .filter(|subnet| self.families.contains(&subnet.family()))
    }
}

impl Entries {
    pub fn add(&mut self, peer: &Peer, reach: &Reach) {
        self.sources.claim(peer.underlay, ());
        self.fdb.claim(peer.mac, peer.underlay);
        for subnet in reach.subnets(peer) {
            self.neighbours.claim(subnet.address(), peer.mac);
            self.routes.claim(subnet, reach.via(subnet, peer.underlay));
        }
    }

    /// Takes back what was added for the same peer and reach.
    pub fn take(&mut self, peer: &Peer, reach: &Reach) {
        self.sources.give_up(peer.underlay, ());
        self.fdb.give_up(peer.mac, peer.underlay);
        for subnet in reach.subnets(peer) {
            self.neighbours.give_up(subnet.address(), peer.mac);
            self.routes
                .give_up(subnet, reach.via(subnet, peer.underlay));
        }
    }
}

impl Keys {
    pub fn add(&mut self, peer: &Peer, reach: &Reach) {
        self.sources.push(peer.underlay);
        self.fdb.push(peer.mac);
        for subnet in reach.subnets(peer) {
            self.neighbours.push(subnet.address());
            self.routes.push(subnet);
        }
    }

    /// Each key once.
    pub fn sorted(mut self) -> Self {
        once(&mut self.fdb);
        once(&mut self.neighbours);
        once(&mut self.routes);
        once(&mut self.sources);
        self
    }
}

fn once<K: Ord>(keys: &mut Vec<K>) {
    keys.sort_unstable();
    keys.dedup();
}

#[cfg(test)]
mod tests;
