use super::*;

fn overlay(vni: Vni) -> Target {
    Target::Overlay {
        vni,
        gateway: address("10.31.2.0"),
    }
}
use crate::{
    datapath::{firewall::Frame, forward::Backend},
    endpoint::Protocol,
    subnet::Family,
};

fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn subnet(text: &str) -> Subnet {
    text.parse().unwrap()
}

fn route(text: &str, target: Target) -> Route {
    Route {
        subnet: subnet(text),
        target,
    }
}

fn every() -> Vec<Step> {
    let vni = Vni::FIRST;
    let mac = Mac([2, 0x77, 0, 0, 0, 2]);
    let local = address("192.0.2.1");
    let change = |change| Step::Change { vni, change };
    let frame = Frame {
        ports: [4789, 4790].into(),
        uplinks: ["eth0".to_owned(), "eth1".into()].into(),
        pools: [subnet("10.31.0.0/16")].into(),
        masquerade: [subnet("10.31.1.0/24")].into(),
        publishing: [].into(),
    };
    let port = |at: Option<&str>| Published {
        protocol: Protocol::Tcp,
        at: at.map(address),
        host_port: 8080,
        to: address("10.31.1.5"),
        to_port: 80,
    };
    let filter = Filter {
        backend: Backend::Legacy,
        family: Family::V6,
    };
    let doomed = |unreachable| {
        Step::DropRoute(Doomed {
            subnet: subnet("10.31.2.0/24"),
            metric: 1002,
            protocol: 77,
            unreachable,
        })
    };
    vec![
        Step::Sysctl(Sysctl {
            path: ["net", "ipv6", "conf", "eth0.7", "accept_ra"]
                .map(str::to_owned)
                .into(),
            value: "2",
        }),
        Step::Firewall(Box::new(Firewall {
            frame: frame.clone(),
            sources: [address("192.0.2.2"), address("192.0.2.3")].into(),
            published: [port(None)].into(),
        })),
        Step::Firewall(Box::new(Firewall {
            frame: Frame {
                masquerade: [].into(),
                ..frame
            },
            ..Firewall::default()
        })),
        Step::NoFirewall,
        Step::Admit(address("2001:db8::2")),
        Step::Bar(address("192.0.2.2")),
        Step::Publish(port(None)),
        Step::Unpublish(port(Some("192.0.2.1"))),
        Step::Pass(Box::new(Passage {
            filter,
            jumps: 0,
            rules: vec![String::new(); 5],
        })),
        Step::NoPass { filter, jumps: 1 },
        Step::Create(Box::new(Device {
            vni,
            port: 4789,
            mac: Mac([2, 0x77, 0, 0, 0, 1]),
            mtu: 1450,
            local,
            lower: 2,
            offload: true,
        })),
        Step::Delete {
            index: 10,
            name: "weft9".into(),
        },
        change(Change::Rename),
        change(Change::Mac(mac)),
        change(Change::Mtu(1450)),
        change(Change::NoMaster),
        change(Change::NoOwnAddresses),
        change(Change::NoLearning),
        change(Change::Source { local, lower: 2 }),
        change(Change::Offload(false)),
        change(Change::Up),
        Step::SetAddress {
            vni,
            address: address("10.31.1.0"),
        },
        Step::DropAddress {
            vni,
            address: address("fd77::"),
        },
        Step::SetFdb {
            vni,
            mac,
            to: address("192.0.2.2"),
        },
        Step::DropFdb { vni, mac },
        Step::SetNeighbour {
            vni,
            address: address("10.31.2.0"),
            mac,
        },
        Step::DropNeighbour {
            vni,
            address: address("10.31.2.0"),
        },
        Step::SetRoute(route("10.31.2.0/24", overlay(vni))),
        Step::SetRoute(route(
            "fd77:1:2::/64",
            Target::Direct {
                gateway: address("2001:db8::2"),
                device: 2,
            },
        )),
        Step::SetRoute(route("10.31.1.0/24", Target::Unreachable)),
        doomed(false),
        doomed(true),
    ]
}

#[test]
fn a_step_prints_as_the_command_that_one_would_type() {
    let printed: Vec<String> = every().iter().map(Step::to_string).collect();
    let expected = [
        "sysctl -w net/ipv6/conf/eth0.7/accept_ra=2",
        "nft replace table inet weft: udp 4789,4790 on eth0,eth1, sources: 2, masquerade 10.31.1.0/24, published: 1",
        "nft replace table inet weft: udp 4789,4790 on eth0,eth1, sources: 0",
        "nft delete table inet weft",
        "nft add element inet weft peers 2001:db8::2",
        "nft delete element inet weft peers 192.0.2.2",
        "nft add element inet weft pub4 { tcp . 8080 : 10.31.1.5 . 80 }",
        "nft delete element inet weft pubat4 { 192.0.2.1 . tcp . 8080 }",
        "ip6tables-legacy -I FORWARD -j WEFT-FORWARD, which accepts packets of the overlay by 5 rules",
        "ip6tables-legacy delete WEFT-FORWARD",
        "ip link add weft1 address 02:77:00:00:00:01 mtu 1450 type vxlan id 1 local 192.0.2.1 \
         dstport 4789 nolearning dev if2",
        "ip link del weft9",
        "ip link set weft1 name",
        "ip link set weft1 address 02:77:00:00:00:02",
        "ip link set weft1 mtu 1450",
        "ip link set weft1 nomaster",
        "ip link set weft1 addrgenmode none",
        "ip link set weft1 type vxlan nolearning",
        "ip link set weft1 type vxlan local 192.0.2.1 dev 2",
        "ip link set weft1 tx-checksum-ip-generic off",
        "ip link set weft1 up",
        "ip addr add 10.31.1.0 dev weft1",
        "ip addr del fd77:: dev weft1",
        "bridge fdb replace 02:77:00:00:00:02 dev weft1 dst 192.0.2.2",
        "bridge fdb del 02:77:00:00:00:02 dev weft1",
        "ip neigh replace 10.31.2.0 lladdr 02:77:00:00:00:02 dev weft1 nud permanent",
        "ip neigh del 10.31.2.0 dev weft1",
        "ip route replace 10.31.2.0/24 via 10.31.2.0 dev weft1 onlink proto 77 metric 664298",
        "ip route replace fd77:1:2::/64 via 2001:db8::2 dev if2 proto 77 metric 132072",
        "ip route replace unreachable 10.31.1.0/24 proto 77 metric 4278190080",
        "ip route del 10.31.2.0/24 proto 77 metric 1002",
        "ip route del unreachable 10.31.2.0/24 proto 77 metric 1002",
    ];
    for (printed, expected) in printed.iter().zip(expected) {
        assert_eq!(printed, expected);
    }
    assert_eq!(printed.len(), expected.len());
}

#[test]
fn what_removes_prints_as_a_removal() {
    for step in every() {
        let text = step.to_string();
        let removes = text.contains(" del ") || text.contains("delete");
        assert_eq!(step.removes(), removes, "{text}");
    }
}

#[test]
fn steps_are_counted_by_what_they_concern() {
    let kinds = [
        ("sysctl", "sysctl"),
        ("nft add element inet weft pub", "port"),
        ("nft delete element inet weft pub", "port"),
        ("nft add element", "source"),
        ("nft delete element", "source"),
        ("ip6tables", "forward"),
        ("nft", "firewall"),
        ("ip link", "device"),
        ("ip addr", "address"),
        ("bridge fdb", "fdb"),
        ("ip neigh", "neighbour"),
        ("ip route", "route"),
    ];
    for step in every() {
        let text = step.to_string();
        let kind = kinds.iter().find(|(begins, _)| text.starts_with(begins));
        assert_eq!(Some(step.kind()), kind.map(|(_, kind)| *kind), "{text}");
    }
}

#[test]
fn a_route_is_replaced_in_the_place_that_its_subnet_gives_it() {
    let overlay = route("10.31.2.0/24", overlay(Vni::FIRST));
    let direct = Target::Direct {
        gateway: address("192.0.2.2"),
        device: 2,
    };
    assert_eq!(overlay.metric(), route("10.31.2.0/24", direct).metric());
    let unreachable = route("10.31.2.0/24", Target::Unreachable);
    assert!(unreachable.metric() > overlay.metric());
}

/// Whatever is done for a peer is known to be for it, and not for another.
#[test]
fn a_step_serves_the_peer_that_it_is_done_for() {
    let peer = |number: u8| Peer {
        v4: format!("10.31.{number}.0/24").parse().ok(),
        v6: format!("fd77:1:{number}::/64").parse().ok(),
        underlay: address(&format!("192.0.2.{number}")),
        mac: Mac([2, 0x77, 0, 0, 0, number]),
    };
    let reach = entry::Reach {
        families: vec![Family::V4, Family::V6],
        direct: Vec::new(),
    };
    let mut entries = entry::Entries::default();
    entries.add(&peer(2), &reach);
    let vni = Vni::FIRST;
    let fdb = entries
        .fdb
        .iter()
        .map(|(&mac, &to)| Step::SetFdb { vni, mac, to });
    let neighbours = entries.neighbours.iter();
    let neighbours = neighbours.map(|(&address, &mac)| Step::SetNeighbour { vni, address, mac });
    let target = Target::Unreachable;
    let routes = entries
        .routes
        .iter()
        .map(|(&subnet, _)| Step::SetRoute(Route { subnet, target }));
    let admit = entries
        .sources
        .iter()
        .map(|(source, ())| Step::Admit(*source));
    let steps: Vec<Step> = fdb.chain(neighbours).chain(routes).chain(admit).collect();
    assert_eq!(steps.len(), 6);
    for step in steps {
        assert!(step.serves(vni, &peer(2)), "{step}");
        assert!(!step.serves(vni, &peer(3)), "{step}");
        assert!(!step.removes(), "{step}");
    }
    assert!(!Step::NoFirewall.serves(vni, &peer(2)));
}
