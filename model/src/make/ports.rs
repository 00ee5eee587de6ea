//! Published ports, and tables of iptables.

use std::{collections::BTreeSet, net::IpAddr};

use overlay::{
    datapath::{
        firewall::Published,
        forward::{Backend, CHAIN, Filter, Filters, Seen},
        host::Host,
    },
    endpoint::Protocol,
    subnet::{Family, Subnet},
};
use proptest::prelude::*;

/// Of few places of a host some; one target to each.
pub fn ports(host: &Host) -> impl Strategy<Value = BTreeSet<Published>> + use<> {
    let members = host.joined().filter_map(|(_, member)| member);
    let own: Vec<Subnet> = members.flat_map(|member| member.own().to_vec()).collect();
    let most = if own.is_empty() { 0 } else { 4 };
    prop::collection::vec((any::<prop::sample::Index>(), 0..8u8, 1..3u16), 0..=most).prop_map(
        move |wishes| {
            let mut places = BTreeSet::new();
            let ports = wishes.into_iter().map(|(which, kind, number)| {
                let subnet = own[which.index(own.len())];
                let at: IpAddr = match subnet.family() {
                    Family::V4 => [192, 0, 2, 1].into(),
                    Family::V6 => [0x2001, 0xdb8, 0, 0, 0, 0, 0, 1].into(),
                };
                Published {
                    protocol: Protocol::ALL[usize::from(kind % 3)],
                    at: (kind > 5).then_some(at),
                    host_port: 8_000 + number,
                    to: subnet.address(),
                    to_port: 80 + u16::from(kind),
                }
            });
            ports.filter(|port| places.insert(port.place())).collect()
        },
    )
}

/// Tables that somebody else uses, with what an earlier life left there.
pub fn filters() -> impl Strategy<Value = Filters> {
    let jumps = prop_oneof![Just(vec![]), Just(vec![1]), Just(vec![2]), Just(vec![1, 3])];
    let rule = |number: u8| format!("-A {CHAIN} -s 10.{number}.0.0/16 -i wv+ -j ACCEPT");
    let rules = prop::option::of(prop::collection::vec((32..35u8).prop_map(rule), 0..3));
    let seen = (any::<bool>(), jumps, rules).prop_map(|(could_drop, jumps, rules)| Seen {
        could_drop,
        // Nobody jumps to a chain that there is not.
        jumps: if rules.is_some() { jumps } else { vec![] },
        rules,
    });
    let filter = (any::<bool>(), any::<bool>()).prop_map(|(nft, six)| Filter {
        backend: if nft { Backend::Nft } else { Backend::Legacy },
        family: if six { Family::V6 } else { Family::V4 },
    });
    prop::collection::btree_map(filter, seen, 0..4)
}
