//! Peers and how they change.

use std::{collections::BTreeSet, net::IpAddr};

use overlay::{
    feed::{Peer, PeerChanges, Peers},
    name::NodeName,
    network::Network,
    record::Mac,
    subnet::{Family, Subnet},
};
use proptest::prelude::*;

/// Nodes are numbered, and the host itself is the first of them.
const NODES: std::ops::Range<u8> = 2..8;

/// The peers of a network: most of them honest, some with the MAC, the subnet or the
/// underlay address of another.
pub fn peers(network: &Network) -> impl Strategy<Value = Peers> + use<> {
    let network = network.clone();
    prop::collection::vec(node(), 0..=5).prop_flat_map(move |nodes| {
        let nodes: BTreeSet<u8> = nodes.into_iter().collect();
        let peers: Vec<_> = nodes
            .into_iter()
            .map(|node| (Just(name(node)), peer(network.clone(), node)))
            .collect();
        peers.prop_map(|peers| peers.into_iter().collect())
    })
}

/// A sequence of changes as a controller tells them: nodes that nobody knew may go,
/// and what is set may be what is there already.
pub fn changes(network: &Network) -> impl Strategy<Value = Vec<PeerChanges>> + use<> {
    prop::collection::vec(change(network), 0..8)
}

fn change(network: &Network) -> impl Strategy<Value = PeerChanges> + use<> {
    let gone = prop_oneof![
        3 => prop::collection::btree_set(node(), 0..=2),
        1 => prop::collection::btree_set(node(), 0..=6),
    ];
    (peers(network), gone).prop_map(|(set, gone)| {
        let gone: BTreeSet<NodeName> = gone.into_iter().map(name).collect();
        let gone = gone.into_iter().filter(|node| !set.contains_key(node));
        PeerChanges {
            gone: gone.collect(),
            set,
        }
    })
}

fn node() -> impl Strategy<Value = u8> {
    NODES
}

fn name(node: u8) -> NodeName {
    format!("n{node}").parse().expect("a node's name")
}

/// Its own number, or now and then that of somebody.
fn number(own: u8) -> impl Strategy<Value = u8> {
    prop_oneof![4 => Just(own), 1 => NODES]
}

fn peer(network: Network, node: u8) -> impl Strategy<Value = Peer> {
    let families =
        prop_oneof![4 => Just([true, true]), 1 => Just([true, false]), 1 => Just([false, true])];
    let numbers = (number(node), number(node), number(node), number(node));
    (families, numbers).prop_map(move |([four, six], (v4, v6, underlay, mac))| {
        let subnet = |family, number: u8| {
            let pool = network.pool(family)?;
            let len = network.len(family);
            let first = *pool.numbers(len)?.start();
            Subnet::numbered(family, len, first + u128::from(number))
        };
        let one = network.pool4.is_none() || network.pool6.is_none();
        Peer {
            v4: subnet(Family::V4, v4).filter(|_| four || one),
            v6: subnet(Family::V6, v6).filter(|_| six || one),
            underlay: at(network.underlay, underlay),
            mac: Mac([2, 0x77, 0, 0, 0, mac]),
        }
    })
}

/// The first four are on the link of `eth0`, the others behind a router.
fn at(family: Family, number: u8) -> IpAddr {
    let text = match (family, number) {
        (Family::V4, ..6) => format!("192.0.2.{number}"),
        (Family::V4, _) => format!("203.0.113.{number}"),
        (Family::V6, ..6) => format!("2001:db8:50::{number}"),
        (Family::V6, _) => format!("2001:db8:99::{number}"),
    };
    text.parse().expect("an address")
}
