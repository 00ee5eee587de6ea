//! What one peer needs in the kernel: where its MAC is, whose MAC its subnets have,
//! and the routes to them.

use std::net::{IpAddr, Ipv6Addr};

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
    /// Through the network's device, to this gateway, which has the peer's MAC.
    Overlay(IpAddr),
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

/// By which address the device of a peer is spoken to when packets go to its subnet.
/// Nobody has it: it stands for the peer's MAC.
///
/// Linux looks an IPv6 gateway up even where it is told that it is on the link, and
/// refuses it if somebody's route (to `fd00::/8`, say) leads there through another
/// device. Only link-local addresses are not looked up.
pub fn gateway(subnet: Subnet, mac: Mac) -> IpAddr {
    match subnet.family() {
        Family::V4 => subnet.address(),
        Family::V6 => {
            let [a, b, c, d, e, f] = mac.0;
            let pairs = [[a ^ 2, b], [c, 0xff], [0xfe, d], [e, f]].map(u16::from_be_bytes);
            let [g, h, i, j] = pairs;
            Ipv6Addr::new(0xfe80, 0, 0, 0, g, h, i, j).into()
        }
    }
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
    fn via(&self, subnet: Subnet, peer: &Peer) -> Via {
        let underlay = peer.underlay;
        // A next hop of the other family is something else again.
        let same_family = subnet.family() == Family::of(underlay);
        if same_family && self.direct.iter().any(|link| link.holds(underlay)) {
            Via::Direct(underlay)
        } else {
            Via::Overlay(gateway(subnet, peer.mac))
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
            self.neighbours.claim(gateway(subnet, peer.mac), peer.mac);
            self.routes.claim(subnet, reach.via(subnet, peer));
        }
    }

    /// Takes back what was added for the same peer and reach.
    pub fn take(&mut self, peer: &Peer, reach: &Reach) {
        self.sources.give_up(peer.underlay, ());
        self.fdb.give_up(peer.mac, peer.underlay);
        for subnet in reach.subnets(peer) {
            let gateway = gateway(subnet, peer.mac);
            self.neighbours.give_up(gateway, peer.mac);
            self.routes.give_up(subnet, reach.via(subnet, peer));
        }
    }
}

impl Keys {
    pub fn add(&mut self, peer: &Peer, reach: &Reach) {
        self.sources.push(peer.underlay);
        self.fdb.push(peer.mac);
        for subnet in reach.subnets(peer) {
            self.neighbours.push(gateway(subnet, peer.mac));
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
