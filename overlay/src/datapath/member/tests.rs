use super::*;
use crate::{name::NodeName, network::NetworkSpec};

const NEVER: Duration = Duration::MAX;

fn subnet(text: &str) -> Subnet {
    text.parse().unwrap()
}

fn network(encap: Encap) -> Network {
    let pools = vec![subnet("10.31.0.0/16"), subnet("fd77::/48")];
    let spec = NetworkSpec {
        encap,
        ..NetworkSpec::new("blue".parse().unwrap(), pools)
    };
    spec.network([].iter()).unwrap()
}

fn uplink(mtu: u32) -> Uplink {
    Uplink {
        index: 2,
        name: "eth0".into(),
        mtu,
        address: "192.0.2.1".parse().unwrap(),
        on_link: vec![subnet("192.0.2.0/24")],
        offload: true,
    }
}

fn member(encap: Encap, mtu: u32) -> Member {
    let own = vec![subnet("10.31.1.0/24"), subnet("fd77:0:0:1::/64")];
    let mut member = Member::new(network(encap), own, Mac([2, 0x77, 0, 0, 0, 1]));
    member.set_uplink(uplink(mtu));
    member
}

fn name(number: u8) -> NodeName {
    format!("n{number}").parse().unwrap()
}

fn peer(number: u8) -> Peer {
    Peer {
        v4: format!("10.31.{number}.0/24").parse().ok(),
        v6: format!("fd77:0:0:{number}::/64").parse().ok(),
        underlay: format!("192.0.2.{number}").parse().unwrap(),
        mac: Mac([2, 0x77, 0, 0, 0, number]),
    }
}

fn peers(numbers: impl IntoIterator<Item = u8>) -> Peers {
    let peers = numbers.into_iter();
    peers.map(|number| (name(number), peer(number))).collect()
}

fn set(number: u8, peer: Peer) -> PeerChanges {
    PeerChanges {
        set: [(name(number), peer)].into(),
        ..PeerChanges::default()
    }
}

fn gone(numbers: impl IntoIterator<Item = u8>) -> PeerChanges {
    PeerChanges {
        gone: numbers.into_iter().map(name).collect(),
        ..PeerChanges::default()
    }
}

fn printed(steps: &[Step]) -> Vec<String> {
    steps.iter().map(Step::to_string).collect()
}

#[test]
fn a_peer_comes_with_its_route_last_and_goes_with_it_first() {
    let mut member = member(Encap::Vxlan, 1500);
    member.snapshot(peers([3]), NEVER);
    let come = member.change(set(2, peer(2)), NEVER);
    assert_eq!(
        printed(&come),
        [
            "nft add element inet weft peers 192.0.2.2",
            "bridge fdb replace 02:77:00:00:00:02 dev weft1 dst 192.0.2.2",
            "ip neigh replace 10.31.2.0 lladdr 02:77:00:00:00:02 dev weft1 nud permanent",
            "ip neigh replace fe80::77:ff:fe00:2 lladdr 02:77:00:00:00:02 dev weft1 nud permanent",
            "ip route replace 10.31.2.0/24 via 10.31.2.0 dev weft1 onlink proto 77 metric 664298",
            "ip route replace fd77:0:0:2::/64 via fe80::77:ff:fe00:2 dev weft1 proto 77 metric 1002",
        ]
    );
    let go = member.change(gone([2]), NEVER);
    assert_eq!(
        printed(&go),
        [
            "ip route del 10.31.2.0/24 proto 77 metric 664298",
            "ip route del fd77:0:0:2::/64 proto 77 metric 1002",
            "ip neigh del 10.31.2.0 dev weft1",
            "ip neigh del fe80::77:ff:fe00:2 dev weft1",
            "bridge fdb del 02:77:00:00:00:02 dev weft1",
            "nft delete element inet weft peers 192.0.2.2",
        ]
    );
}

#[test]
fn what_did_not_change_is_not_done_again() {
    let mut member = member(Encap::Vxlan, 1500);
    let first = member.snapshot(peers([2, 3]), NEVER);
    assert_eq!(first.len(), 12);
    assert_eq!(member.snapshot(peers([2, 3]), NEVER), []);
    assert_eq!(member.change(set(2, peer(2)), NEVER), []);
    assert_eq!(member.change(gone([9]), NEVER), []);
    let moved = Peer {
        underlay: "192.0.2.99".parse().unwrap(),
        ..peer(2)
    };
    assert_eq!(
        printed(&member.change(set(2, moved), NEVER)),
        [
            "nft add element inet weft peers 192.0.2.99",
            "bridge fdb replace 02:77:00:00:00:02 dev weft1 dst 192.0.2.99",
            "nft delete element inet weft peers 192.0.2.2",
        ]
    );
}

#[test]
fn a_peer_that_leaves_the_link_is_reached_through_the_overlay() {
    let mut member = member(Encap::Auto, 1500);
    let mut uplink = uplink(1500);
    uplink.address = "2001:db8::1".parse().unwrap();
    uplink.on_link = vec![subnet("2001:db8::/64")];
    member.set_uplink(uplink);
    let at = |text: &str| Peer {
        underlay: text.parse().unwrap(),
        v4: None,
        ..peer(2)
    };
    let first = member.snapshot([(name(2), at("2001:db8::2"))].into(), NEVER);
    let route = "ip route replace fd77:0:0:2::/64 via 2001:db8::2 dev if2 proto 77 metric 1002";
    assert_eq!(printed(&first).last().map(String::as_str), Some(route));
    let moved = member.change(set(2, at("2001:db8:9::2")), NEVER);
    assert_eq!(
        printed(&moved)[2..3],
        ["ip route replace fd77:0:0:2::/64 via fe80::77:ff:fe00:2 dev weft1 proto 77 metric 1002",]
    );
}

#[test]
fn changes_without_a_snapshot_change_nothing() {
    let mut member = member(Encap::Vxlan, 1500);
    assert_eq!(member.change(set(2, peer(2)), NEVER), []);
    assert_eq!(member.known(), &Known::Unsynced);
    assert_eq!(member.entries(), &Entries::default());
}

#[test]
fn without_an_uplink_it_is_known_and_not_done() {
    let mut member = Member::new(
        network(Encap::Vxlan),
        vec![subnet("10.31.1.0/24")],
        Mac([2; 6]),
    );
    assert_eq!(member.snapshot(peers([2]), NEVER), []);
    assert_eq!(member.change(set(3, peer(3)), NEVER), []);
    assert_eq!(member.wanted(), None);
    assert!(member.set_uplink(uplink(1500)));
    assert!(!member.set_uplink(uplink(1500)), "the same again");
    assert_eq!(member.entries().routes.len(), 2);
    assert!(member.wanted().is_some());
}

#[test]
fn what_is_wrong_is_said_in_words() {
    let mut nowhere = Member::new(network(Encap::Vxlan), vec![], Mac([2; 6]));
    let no_uplink = "no v4 address of this host is known; give --iface or --node-ip";
    assert_eq!(nowhere.problem().as_deref(), Some(no_uplink));
    nowhere.set_uplink(uplink(100));
    let nothing = "the MTU of eth0 is 100: nothing fits into a VXLAN packet";
    assert_eq!(nowhere.problem().as_deref(), Some(nothing));
    assert_eq!(nowhere.path(), None);
    assert!(nowhere.uplink().is_some());
    let left_out = "fd77:0:0:1::/64 is left out: the MTU of eth0 leaves 1279, and IPv6 needs 1280";
    assert_eq!(
        member(Encap::Vxlan, 1329).problem().as_deref(),
        Some(left_out)
    );
    assert_eq!(member(Encap::Vxlan, 1330).problem(), None);
}

#[test]
fn an_mtu_too_small_for_ipv6_leaves_ipv4() {
    let mut member = member(Encap::Vxlan, 1500);
    member.snapshot(peers([2, 3]), NEVER);
    assert_eq!(member.entries().routes.len(), 4);
    assert_eq!(member.wanted().unwrap().addresses.len(), 2);
    assert!(member.set_uplink(uplink(1329)));
    let wanted = member.wanted().unwrap();
    assert_eq!((wanted.device.mtu, wanted.addresses.len()), (1279, 1));
    assert_eq!(
        (member.entries().routes.len(), member.entries().fdb.len()),
        (2, 2)
    );
    member.set_uplink(uplink(1330));
    assert_eq!(member.entries().routes.len(), 4);
}

#[test]
fn encap_decides_whether_anybody_is_routed_directly() {
    for (encap, direct) in [(Encap::Vxlan, 0), (Encap::Auto, 1)] {
        let mut member = member(encap, 1500);
        let away = Peer {
            underlay: "198.51.100.3".parse().unwrap(),
            ..peer(3)
        };
        let peers = [(name(2), peer(2)), (name(3), away)];
        member.snapshot(peers.into(), NEVER);
        let routes = member.entries().routes.iter();
        let near = routes.filter(|(_, via)| matches!(via, Via::Direct(_)));
        assert_eq!(near.count(), direct, "{}", encap.as_str());
    }
}

#[test]
fn a_sudden_loss_is_held_and_its_end_is_known() {
    let mut member = member(Encap::Vxlan, 1500);
    member.snapshot(peers(2..8), NEVER);
    let until = Duration::from_secs(60);
    assert_eq!(member.snapshot(Peers::new(), until), []);
    assert_eq!(member.known(), &Known::Synced(Peers::new()));
    assert_eq!(member.held().until(), Some(until));
    assert_eq!(member.entries().fdb.len(), 6);
    // One of them comes back, as it was: nothing is to be done.
    assert_eq!(member.change(set(2, peer(2)), until), []);
    assert_eq!(member.held().peers().len(), 5);
    assert_eq!(member.let_go(until).len(), 5 * 6);
    assert_eq!(member.entries().fdb.len(), 1);
}

#[test]
fn few_may_go_at_once() {
    let mut member = member(Encap::Vxlan, 1500);
    member.snapshot(peers(2..4), NEVER);
    assert_eq!(member.change(gone([2, 3]), NEVER).len(), 12);
    assert_eq!(member.held().until(), None);
}

/// Two peers change places: for neither of them is a route without its entries.
#[test]
fn peers_may_swap_their_subnets() {
    let mut member = member(Encap::Vxlan, 1500);
    member.snapshot(peers([2, 3]), NEVER);
    let swapped = |number, from: u8| Peer {
        v4: peer(from).v4,
        v6: peer(from).v6,
        ..peer(number)
    };
    let changes = PeerChanges {
        set: [(name(2), swapped(2, 3)), (name(3), swapped(3, 2))].into(),
        ..PeerChanges::default()
    };
    // An IPv6 gateway stands for a MAC, an IPv4 one for a subnet.
    let steps = printed(&member.change(changes, NEVER));
    assert_eq!(steps.len(), 4, "{steps:?}");
    let (neighbours, routes) = steps.split_at(2);
    let v4 = |step: &String| step.starts_with("ip neigh replace 10.31.");
    let v6 = |step: &String| step.starts_with("ip route replace fd77:");
    assert!(
        neighbours.iter().all(v4) && routes.iter().all(v6),
        "{steps:?}"
    );
}

#[test]
fn a_lease_may_be_another() {
    let mut member = member(Encap::Vxlan, 1500);
    let own = member.own().to_vec();
    assert!(!member.renew(network(Encap::Vxlan), own));
    member.snapshot(peers([2]), NEVER);
    let v4 = vec![subnet("10.31.9.0/24")];
    assert!(member.renew(network(Encap::Vxlan), v4));
    assert_eq!(member.entries().routes.len(), 1, "it has no IPv6 any more");
    assert_eq!(member.wanted().unwrap().own, [subnet("10.31.9.0/24")]);
}
