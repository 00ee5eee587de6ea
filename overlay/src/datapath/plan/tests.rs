mod others;
mod passages;
mod published;

use std::time::Duration;

use super::*;
use crate::{
    datapath::{
        device::Vxlan,
        entry::{PROTOCOL, UNREACHABLE_METRIC, gateway, metric},
        firewall::Seen,
        observed::{Address, Fdb, Hop, Neighbour},
        uplink::Uplink,
    },
    feed::{Peer, Peers},
    name::NetworkName,
    network::NetworkSpec,
    subnet::Subnet,
};

const MAC: Mac = Mac([2, 0x77, 0, 0, 0, 1]);
const THEIRS: Mac = Mac([2, 0x55, 0, 0, 0, 1]);

fn blue() -> NetworkName {
    "blue".parse().unwrap()
}

fn subnet(text: &str) -> Subnet {
    text.parse().unwrap()
}

/// One network, one peer.
fn host() -> Host {
    let mut host = unsynced();
    let peer = Peer {
        v4: Some(subnet("10.31.2.0/24")),
        v6: Some(subnet("fd77:0:0:2::/64")),
        underlay: "192.0.2.2".parse().unwrap(),
        mac: Mac([2, 0x77, 0, 0, 0, 2]),
    };
    let peers: Peers = [("n2".parse().unwrap(), peer)].into();
    host.snapshot(&blue(), peers, Duration::MAX);
    host
}

fn unsynced() -> Host {
    let mut host = Host::new(MAC);
    host.join(blue());
    let pools = vec![subnet("10.31.0.0/16"), subnet("fd77::/48")];
    let network = NetworkSpec::new(blue(), pools).network([].iter()).unwrap();
    host.lease(
        network,
        vec![subnet("10.31.1.0/24"), subnet("fd77:0:0:1::/64")],
    );
    let uplink = Uplink {
        index: 2,
        name: "eth0".into(),
        mtu: 1500,
        address: "192.0.2.1".parse().unwrap(),
        on_link: vec![],
        offload: true,
    };
    host.set_uplink(&blue(), uplink);
    host
}

/// A kernel in which all is as `host()` wants it.
fn seen() -> Observed {
    let index = 10;
    let sysctl = |setting: crate::datapath::host::Setting| {
        (setting.sysctl.path, setting.sysctl.value.to_owned())
    };
    let [four, six] = ["10.31.1.0", "fd77:0:0:1::"].map(|text| text.parse().unwrap());
    let firewall = host().firewall().unwrap();
    let mac = Mac([2, 0x77, 0, 0, 0, 2]);
    let neighbour = |text: &str| Neighbour {
        index,
        address: text.parse().unwrap(),
        mac: Some(mac),
        permanent: true,
    };
    Observed {
        links: vec![link()],
        addresses: vec![
            Address {
                index,
                address: four,
                length: 32,
            },
            Address {
                index,
                address: six,
                length: 128,
            },
        ],
        fdb: vec![Fdb {
            index,
            mac,
            to: "192.0.2.2".parse().ok(),
            plain: true,
        }],
        neighbours: vec![neighbour("10.31.2.0"), neighbour("fe80::77:ff:fe00:2")],
        routes: vec![
            route("10.31.1.0/24", Hop::Unreachable),
            route("fd77:0:0:1::/64", Hop::Unreachable),
            overlay("10.31.2.0/24"),
            overlay("fd77:0:0:2::/64"),
        ],
        sysctls: host().settings().into_iter().map(sysctl).collect(),
        firewall: Some(Seen {
            frame: Some(firewall.frame),
            sources: firewall.sources,
            published: firewall.published,
        }),
        ..Observed::default()
    }
}

fn link() -> Link {
    Link {
        index: 10,
        name: "weft1".into(),
        mac: MAC,
        mtu: 1450,
        up: true,
        master: None,
        makes_addresses: false,
        offload: Some(true),
        vxlan: Vxlan {
            vni: 1,
            port: 4789,
            local: "192.0.2.1".parse().ok(),
            lower: Some(2),
            learning: false,
        },
    }
}

fn route(text: &str, hop: Hop) -> SeenRoute {
    let subnet = subnet(text);
    let metric = match hop {
        Hop::Unreachable => UNREACHABLE_METRIC,
        Hop::Gateway { .. } | Hop::Device(_) | Hop::Other => metric(subnet),
    };
    SeenRoute {
        subnet,
        metric,
        protocol: PROTOCOL,
        hop,
    }
}

fn overlay(text: &str) -> SeenRoute {
    let hop = Hop::Gateway {
        gateway: gateway(subnet(text), Mac([2, 0x77, 0, 0, 0, 2])),
        device: 10,
        onlink: subnet(text).family() == Family::V4,
    };
    route(text, hop)
}

fn planned(host: &Host, seen: &Observed) -> Vec<String> {
    let plan = plan(host, seen);
    plan.steps.iter().map(Step::to_string).collect()
}

/// What a plan does after one thing was changed.
fn after(change: impl FnOnce(&mut Observed)) -> Vec<String> {
    let mut seen = seen();
    change(&mut seen);
    planned(&host(), &seen)
}

#[test]
fn a_network_comes_into_a_kernel_that_has_nothing() {
    let steps = planned(&host(), &Observed::default());
    assert_eq!(
        steps,
        [
            "nft replace table inet weft: udp 4789 on eth0, sources: 1, masquerade \
             10.31.1.0/24,fd77:0:0:1::/64",
            "ip link add weft1 address 02:77:00:00:00:01 mtu 1450 type vxlan id 1 local 192.0.2.1 \
             dstport 4789 nolearning dev if2",
            "ip link set weft1 addrgenmode none",
            "ip link set weft1 up",
            "sysctl -w net/ipv4/ip_forward=1",
            "sysctl -w net/ipv6/conf/all/forwarding=1",
            "sysctl -w net/ipv6/conf/weft1/disable_ipv6=0",
            "ip addr add 10.31.1.0 dev weft1",
            "ip addr add fd77:0:0:1:: dev weft1",
            "ip route replace unreachable 10.31.1.0/24 proto 77 metric 4278190080",
            "ip route replace unreachable fd77:0:0:1::/64 proto 77 metric 4278190080",
            "bridge fdb replace 02:77:00:00:00:02 dev weft1 dst 192.0.2.2",
            "ip neigh replace 10.31.2.0 lladdr 02:77:00:00:00:02 dev weft1 nud permanent",
            "ip neigh replace fe80::77:ff:fe00:2 lladdr 02:77:00:00:00:02 dev weft1 nud permanent",
            "ip route replace 10.31.2.0/24 via 10.31.2.0 dev weft1 onlink proto 77 metric 664298",
            "ip route replace fd77:0:0:2::/64 via fe80::77:ff:fe00:2 dev weft1 proto 77 metric 1002",
        ]
    );
}

#[test]
fn where_all_is_right_nothing_is_done() {
    assert!(after(|_| ()).is_empty());
    assert_eq!(plan(&host(), &seen()), Plan::default());
}

#[test]
fn a_network_that_was_left_takes_its_device_along() {
    let mut host = host();
    host.leave(&blue());
    let expected = [
        "ip route del unreachable 10.31.1.0/24 proto 77 metric 4278190080",
        "ip route del unreachable fd77:0:0:1::/64 proto 77 metric 4278190080",
        "nft delete table inet weft",
        "ip link del weft1",
    ];
    let mut steps = planned(&host, &seen());
    steps.sort_unstable();
    let mut sorted = expected;
    sorted.sort_unstable();
    assert_eq!(steps, sorted);
    // Another network of which nothing is known yet may be the one that needs them.
    host.join("red".parse().unwrap());
    assert!(planned(&host, &seen()).is_empty());
}

#[test]
fn the_port_is_guarded_until_the_last_device_is_gone() {
    let mut host = host();
    host.leave(&blue());
    let steps = planned(&host, &seen());
    let place = |begins: &str| steps.iter().position(|step| step.starts_with(begins));
    assert!(
        place("ip link del") < place("nft delete table"),
        "{steps:#?}"
    );
}

#[test]
fn a_farewell_takes_everything_of_ours_and_nothing_else() {
    let mut seen = seen();
    seen.links.push(Link {
        index: 11,
        name: "flannel.1".into(),
        mac: THEIRS,
        ..link()
    });
    seen.links[1].vxlan.port = 8472;
    let theirs = SeenRoute {
        protocol: 4,
        metric: 7,
        ..overlay("10.31.2.0/24")
    };
    seen.routes.push(theirs);
    let steps: Vec<String> = farewell(&seen, MAC).iter().map(Step::to_string).collect();
    assert_eq!(
        steps,
        [
            "ip route del unreachable 10.31.1.0/24 proto 77 metric 4278190080",
            "ip route del unreachable fd77:0:0:1::/64 proto 77 metric 4278190080",
            "ip route del 10.31.2.0/24 proto 77 metric 664298",
            "ip route del fd77:0:0:2::/64 proto 77 metric 1002",
            "ip link del weft1",
            "nft delete table inet weft",
        ]
    );
    assert_eq!(farewell(&Observed::default(), MAC), []);
}

#[test]
fn while_peers_are_not_known_theirs_stay() {
    let mut seen = seen();
    assert!(planned(&unsynced(), &seen).is_empty());
    // The table is made anew, and those who were admitted stay so.
    seen.firewall.as_mut().unwrap().frame = None;
    let steps = planned(&unsynced(), &seen);
    assert_eq!(steps.len(), 1);
    assert!(steps[0].contains("sources: 1"), "{steps:?}");
}

#[test]
fn another_mac_costs_all_neighbours() {
    let steps = after(|seen| seen.links[0].mac = THEIRS);
    assert_eq!(steps.len(), 3, "{steps:#?}");
    assert_eq!(steps[0], "ip link set weft1 address 02:77:00:00:00:01");
    assert!(
        steps[1..]
            .iter()
            .all(|step| step.starts_with("ip neigh replace"))
    );
}

#[test]
fn a_device_that_cannot_be_changed_is_made_anew_with_all_that_was_on_it() {
    let steps = after(|seen| seen.links[0].vxlan.port = 9);
    assert_eq!(steps[0], "ip link del weft1");
    assert!(steps[1].starts_with("ip link add weft1"));
    let anew = planned(&host(), &Observed::default()).len();
    // The table, two settings and two unreachable routes are there.
    assert_eq!(steps.len(), anew - 5 + 1);
    // What is seen of IPv6 is that of the old device.
    let setting = "sysctl -w net/ipv6/conf/weft1/disable_ipv6=0";
    assert!(steps.contains(&setting.into()));
}

#[test]
fn a_small_device_is_told_nothing_of_ipv6() {
    let mut host = host();
    let mut uplink = host.member(&blue()).unwrap().uplink().unwrap().clone();
    uplink.mtu = 1300;
    host.set_uplink(&blue(), uplink);
    let steps = planned(&host, &Observed::default());
    assert!(
        !steps[1..]
            .iter()
            .any(|step| step.contains("addrgenmode") || step.contains("fd77")),
        "{steps:#?}"
    );
}

#[test]
fn two_devices_of_one_network_are_one_too_many() {
    let steps = after(|seen| {
        let mut second = link();
        (second.index, second.name, second.vxlan.port) = (11, "weft1b".into(), 4790);
        seen.links.insert(0, second);
    });
    assert_eq!(steps, ["ip link del weft1b"]);
}

#[test]
fn wanted_and_seen_are_compared_by_their_keys() {
    let wanted = [(1, 'a'), (2, 'b'), (4, 'd')];
    let mut wanted = wanted.iter().map(|(key, value)| (key, value));
    let seen = vec![
        (5, Some('e')),
        (2, Some('x')),
        (1, Some('a')),
        (0, None),
        (5, None),
    ];
    let compared = compare(&mut wanted.clone(), seen.clone(), false);
    assert_eq!(compared.set, [(2, 'b'), (4, 'd')]);
    assert_eq!(compared.drop, [0, 5]);
    let kept = compare(&mut wanted, seen, true);
    assert_eq!(kept.set, [(4, 'd')], "what is there may be the later one");
}
