use std::collections::BTreeSet;

use super::*;

fn subnet(text: &str) -> Subnet {
    text.parse().unwrap()
}

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn peer(v4: &str, v6: &str, underlay: &str, mac: u8) -> Peer {
    Peer {
        v4: Some(subnet(v4)),
        v6: Some(subnet(v6)),
        underlay: address(underlay),
        mac: Mac([2, 0, 0, 0, 0, mac]),
    }
}

/// A route is found again by its metric: these numbers must never change.
#[test]
fn a_metric_is_always_the_same() {
    assert_eq!(metric(subnet("10.31.2.0/24")), 1000 + (0x0a1f02 & 0xfffff));
    assert_eq!(metric(subnet("10.31.2.0/24")), 664_298);
    assert_eq!(metric(subnet("10.0.0.0/12")), 1160);
    assert_eq!(metric(subnet("fd77:1:2::/64")), 132_072);
    assert_eq!(metric(subnet("fd77:1:2:3::/64")), 132_075);
    assert_eq!(metric(subnet("0.0.0.0/0")), 1000);
}

#[test]
fn neighbouring_subnets_have_metrics_of_their_own() {
    for (family, len, first) in [
        (Family::V4, 30, 0x0280_0000u128),
        (Family::V4, 24, 0x000a_0000),
        (Family::V6, 64, 0xfd77_0000_0000_0000),
        (Family::V6, 124, 0xfd77_0001 << 92),
    ] {
        let metrics: BTreeSet<u32> = (first..first + (1 << 20))
            .filter_map(|number| Subnet::numbered(family, len, number))
            .map(metric)
            .collect();
        assert_eq!(metrics.len(), 1 << 20, "{family} /{len}");
        let (least, most) = (metrics.first(), metrics.last());
        assert!(least >= Some(&FIRST_METRIC) && most < Some(&UNREACHABLE_METRIC));
    }
}

#[test]
fn peers_on_the_same_link_are_routed_directly() {
    let reach = Reach {
        families: vec![Family::V4, Family::V6],
        direct: vec![subnet("192.0.2.0/24"), subnet("2001:db8::/64")],
    };
    let peer = |underlay| peer("10.31.2.0/24", "fd77::/64", underlay, 2);
    let via = |inner, underlay| reach.via(subnet(inner), &peer(underlay));
    let direct = |text| Via::Direct(address(text));
    assert_eq!(via("10.31.2.0/24", "192.0.2.2"), direct("192.0.2.2"));
    assert_eq!(
        via("10.31.2.0/24", "192.0.3.2"),
        Via::Overlay(address("10.31.2.0")),
        "behind a router"
    );
    assert_eq!(via("fd77::/64", "2001:db8::2"), direct("2001:db8::2"));
    // A next hop of the other family.
    let tunnel = |text| Via::Overlay(address(text));
    assert_eq!(via("fd77::/64", "192.0.2.2"), tunnel("fe80::ff:fe00:2"));
    assert_eq!(via("10.31.2.0/24", "2001:db8::2"), tunnel("10.31.2.0"));
    let nothing_direct = Reach {
        direct: vec![],
        ..reach
    };
    let via = nothing_direct.via(subnet("10.31.2.0/24"), &peer("192.0.2.2"));
    assert_eq!(via, tunnel("10.31.2.0"));
}

#[test]
fn what_the_host_has_no_subnet_of_is_not_sent() {
    let reach = Reach {
        families: vec![Family::V4],
        direct: vec![],
    };
    let mut entries = Entries::default();
    entries.add(&peer("10.31.2.0/24", "fd77:2::/64", "192.0.2.2", 2), &reach);
    assert_eq!(entries.routes.len(), 1);
    assert!(entries.routes.get(&subnet("10.31.2.0/24")).is_some());
    assert_eq!(entries.neighbours.len(), 1);
    assert_eq!((entries.fdb.len(), entries.sources.len()), (1, 1));
}

#[test]
fn a_contested_mac_goes_to_one_and_then_to_the_other() {
    let reach = Reach {
        families: Family::BOTH.to_vec(),
        direct: vec![],
    };
    let one = peer("10.31.2.0/24", "fd77:2::/64", "192.0.2.2", 7);
    let other = peer("10.31.3.0/24", "fd77:3::/64", "192.0.2.3", 7);
    let mut entries = Entries::default();
    entries.add(&other, &reach);
    entries.add(&one, &reach);
    assert_eq!(entries.fdb.get(&one.mac), Some(&one.underlay));
    assert!(entries.fdb.is_contested(&one.mac));
    entries.take(&one, &reach);
    assert_eq!(entries.fdb.get(&one.mac), Some(&other.underlay));
    entries.take(&other, &reach);
    assert_eq!(entries, Entries::default());
}

#[test]
fn keys_are_named_once() {
    let reach = Reach {
        families: Family::BOTH.to_vec(),
        direct: vec![],
    };
    let mut keys = Keys::default();
    for _ in 0..2 {
        keys.add(&peer("10.31.2.0/24", "fd77:2::/64", "192.0.2.2", 7), &reach);
    }
    let keys = keys.sorted();
    assert_eq!((keys.fdb.len(), keys.sources.len()), (1, 1));
    assert_eq!((keys.neighbours.len(), keys.routes.len()), (2, 2));
}
