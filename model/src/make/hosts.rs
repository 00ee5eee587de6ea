//! Hosts: what they joined, and what is known of it.

use std::time::Duration;

use overlay::{
    datapath::{host::Host, uplink::Uplink},
    feed::Peers,
    network::{Encap, Network, NetworkSpec, Vni},
    record::Mac,
    subnet::{Family, Subnet},
};
use proptest::prelude::*;

use super::{peers, ports};

/// One network of a host, and all that is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    pub network: Network,
    pub own: Vec<Subnet>,
    pub uplink: Uplink,
    pub peers: Peers,
    pub standing: Standing,
}

/// How far a host has come with a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Joined, and no more.
    Unknown,
    WithoutUplink,
    Unsynced,
    /// The peers are those of a state file.
    Restored,
    Synced,
}

/// Hosts of one to three networks, of which everything is known.
pub fn hosts() -> impl Strategy<Value = Host> {
    some_hosts(Just(Standing::Synced).boxed(), Just(true).boxed())
}

/// Hosts that do not yet know everything; or do, now and then.
pub fn doubtful_hosts() -> impl Strategy<Value = Host> {
    let standing = prop_oneof![
        Just(Standing::Synced),
        Just(Standing::Unsynced),
        Just(Standing::Restored),
        Just(Standing::WithoutUplink),
        Just(Standing::Unknown),
    ];
    some_hosts(standing.boxed(), any::<bool>().boxed())
}

/// A host of these networks.
pub fn host(parts: &[Part]) -> Host {
    host_of(Mac([2, 0x77, 0, 0, 0, 1]), parts)
}

/// The same, with another MAC.
pub fn host_of(mac: Mac, parts: &[Part]) -> Host {
    let mut host = Host::new(mac);
    for part in parts {
        let name = part.network.name.clone();
        host.join(name.clone());
        if part.standing == Standing::Unknown {
            continue;
        }
        host.lease(part.network.clone(), part.own.clone());
        if part.standing != Standing::WithoutUplink {
            host.set_uplink(&name, part.uplink.clone());
        }
        if matches!(part.standing, Standing::Restored | Standing::Synced) {
            host.snapshot(&name, part.peers.clone(), Duration::ZERO);
        }
    }
    host.doubt();
    let confirmed = parts
        .iter()
        .filter(|part| part.standing == Standing::Synced);
    for part in confirmed {
        host.confirm(&part.network.name);
    }
    host
}

fn some_hosts(
    standing: BoxedStrategy<Standing>,
    told: BoxedStrategy<bool>,
) -> impl Strategy<Value = Host> {
    let host = unpublished_hosts(standing);
    (host, told).prop_flat_map(|(host, told)| {
        ports(&host).prop_map(move |ports| {
            let mut host = host.clone();
            if told {
                host.publish(ports).expect("one target to each place");
            }
            host
        })
    })
}

fn unpublished_hosts(standing: BoxedStrategy<Standing>) -> impl Strategy<Value = Host> {
    let mtu = prop_oneof![10 => Just(1500), 2 => Just(1320), 2 => Just(9000), 1 => Just(100)];
    (1..=3u8, mtu, any::<bool>(), 0..8u8).prop_flat_map(move |(count, mtu, offload, rival)| {
        let parts: Vec<_> = (0..count)
            .map(|slot| part(slot, mtu, offload, rival == 0, standing.clone()))
            .collect();
        parts.prop_map(|parts| host(&parts))
    })
}

fn part(
    slot: u8,
    mtu: u32,
    offload: bool,
    rival: bool,
    standing: BoxedStrategy<Standing>,
) -> impl Strategy<Value = Part> {
    let underlay = prop_oneof![3 => Just(Family::V4), 1 => Just(Family::V6)];
    let families = prop_oneof![Just([true, true]), Just([true, false]), Just([false, true])];
    let own = prop_oneof![4 => Just([true, true]), 1 => Just([true, false])];
    let other_uplink = prop_oneof![4 => Just(false), 1 => Just(true)];
    let kind = (underlay, families, any::<bool>(), any::<bool>());
    (kind, own, other_uplink, standing).prop_flat_map(
        move |((underlay, families, auto, masquerade), own, other, standing)| {
            let mut spec = spec(slot, families);
            spec.underlay = underlay;
            spec.encap = if auto { Encap::Auto } else { Encap::Vxlan };
            spec.masquerade = masquerade;
            if rival && slot == 1 {
                (spec.vni, spec.port) = (Some(Vni::FIRST), Some(4800));
            }
            let network = spec.network([].iter()).expect("a network");
            let uplink = uplink(underlay, other, mtu, offload);
            let one = families != [true, true];
            let pools = network.pools().zip(own);
            let own: Vec<Subnet> = pools
                .filter(|(_, has)| *has || one)
                .filter_map(|(pool, _)| {
                    let len = network.len(pool.family());
                    let first = *pool.numbers(len)?.start();
                    Subnet::numbered(pool.family(), len, first + 1)
                })
                .collect();
            peers(&network).prop_map(move |peers| Part {
                network: network.clone(),
                own: own.clone(),
                uplink: uplink.clone(),
                peers,
                standing,
            })
        },
    )
}

fn spec(slot: u8, [four, six]: [bool; 2]) -> NetworkSpec {
    let pool4 = four.then(|| format!("10.{}.0.0/16", 32 + slot));
    let pool6 = six.then(|| format!("fd77:{}::/48", 1 + slot));
    let pools = [pool4, pool6].into_iter().flatten();
    let pools = pools.map(|pool| pool.parse().expect("a pool"));
    let name = ["a", "b", "c"][usize::from(slot)];
    NetworkSpec {
        vni: Vni::try_from(u32::from(slot) + 1).ok(),
        ..NetworkSpec::new(name.parse().expect("a network's name"), pools.collect())
    }
}

fn uplink(underlay: Family, other: bool, mtu: u32, offload: bool) -> Uplink {
    let (index, name, address, on_link) = match (other, underlay) {
        (false, Family::V4) => (2, "eth0", "192.0.2.1", ETH0),
        (false, Family::V6) => (2, "eth0", "2001:db8:50::1", ETH0),
        (true, Family::V4) => (3, "eth1", "198.51.100.1", ETH1),
        (true, Family::V6) => (3, "eth1", "2001:db8:51::1", ETH1),
    };
    Uplink {
        index,
        name: name.into(),
        mtu,
        address: address.parse().expect("an address"),
        on_link: on_link
            .map(|subnet| subnet.parse().expect("a subnet"))
            .into(),
        offload,
    }
}

const ETH0: [&str; 2] = ["192.0.2.0/24", "2001:db8:50::/64"];
const ETH1: [&str; 2] = ["198.51.100.0/24", "2001:db8:51::/64"];
