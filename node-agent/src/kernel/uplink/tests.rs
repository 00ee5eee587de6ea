use std::net::IpAddr;

use overlay::{datapath::uplink::Uplink, subnet::Family};

use super::{UplinkAsk, UplinkError};
use crate::kernel::{
    Kernel,
    tests::{
        namespace::{run, with_underlay},
        world::{host, network, settle},
    },
};

fn find(ask: &UplinkAsk, family: Family) -> Result<Uplink, UplinkError> {
    Kernel::open().unwrap().find(ask, family, |_| true)
}

fn node_ip(address: &str) -> UplinkAsk {
    UplinkAsk {
        node_ip: Some(address.parse().unwrap()),
        ..UplinkAsk::default()
    }
}

fn iface(name: &str) -> UplinkAsk {
    UplinkAsk {
        iface: Some(name.into()),
        ..UplinkAsk::default()
    }
}

fn towards(addresses: &[&str]) -> UplinkAsk {
    UplinkAsk {
        towards: addresses.iter().map(|text| text.parse().unwrap()).collect(),
        ..UplinkAsk::default()
    }
}

fn is_at(found: &Result<Uplink, UplinkError>, name: &str, address: &str) {
    let found = found.as_ref().unwrap();
    let at: IpAddr = address.parse().unwrap();
    assert_eq!((found.name.as_str(), found.address), (name, at));
}

fn says(found: Result<Uplink, UplinkError>, words: &str) {
    let error = found.unwrap_err().to_string();
    assert!(error.contains(words), "{error}");
}

/// Another link, on which the host has several addresses.
fn second_link() {
    for line in [
        "ip link add eth1 mtu 9000 type veth peer name far1 mtu 9000",
        "ip link set far1 up",
        "ip link set eth1 up",
        "ip addr add 169.254.7.7/16 dev eth1 scope link",
        "ip addr add 198.51.100.1/24 dev eth1",
        "ip addr add 198.51.100.2/24 dev eth1",
        "ip addr add 198.51.100.9/32 dev eth1",
        "ip addr add 2001:db8:60::5/64 dev eth1 nodad preferred_lft 0",
        "ip addr add 2001:db8:60::1/64 dev eth1 nodad",
    ] {
        run(line);
    }
}

#[test]
fn a_controller_on_this_very_host_shows_where_others_come_in() {
    with_underlay(|| {
        second_link();
        let here = find(&towards(&["127.0.0.1", "198.51.100.1"]), Family::V4);
        is_at(&here, "eth1", "198.51.100.1");
    });
}

#[test]
fn the_operator_names_an_address() {
    with_underlay(|| {
        second_link();
        let found = find(&node_ip("192.0.2.1"), Family::V4);
        is_at(&found, "eth0", "192.0.2.1");
        let found = found.unwrap();
        assert_eq!(found.mtu, 1500);
        assert!(found.offload);
        assert_eq!(found.on_link, ["192.0.2.0/24".parse().unwrap()]);
        // Also one that would not be taken unasked.
        is_at(
            &find(&node_ip("198.51.100.2"), Family::V4),
            "eth1",
            "198.51.100.2",
        );
        let found = find(&node_ip("2001:db8:60::5"), Family::V6);
        is_at(&found, "eth1", "2001:db8:60::5");
        let found = found.unwrap();
        assert_eq!(found.mtu, 9000);
        assert!(
            found
                .on_link
                .iter()
                .all(|link| *link == "2001:db8:60::/64".parse().unwrap())
        );

        says(
            find(&node_ip("192.0.2.77"), Family::V4),
            "no device of this host has",
        );
        says(find(&node_ip("192.0.2.1"), Family::V6), "is not v6");
    });
}

#[test]
fn the_operator_names_a_device() {
    with_underlay(|| {
        second_link();
        run("ip link add eth2 type veth peer name far2");
        let found = find(&iface("eth1"), Family::V4);
        is_at(&found, "eth1", "198.51.100.1");
        let links = found.unwrap().on_link;
        assert_eq!(links, vec!["198.51.100.0/24".parse().unwrap(); 2]);
        is_at(&find(&iface("eth1"), Family::V6), "eth1", "2001:db8:60::1");
        says(
            find(&iface("eth2"), Family::V4),
            "eth2 has no global v4 address",
        );
        says(
            find(&iface("eth9"), Family::V4),
            "--iface eth9: there is no such device",
        );
        says(
            find(&iface("a-name-that-is-too-long"), Family::V4),
            "no such device",
        );
    });
}

#[test]
fn else_the_controllers_show_the_way() {
    with_underlay(|| {
        second_link();
        run("ip route add 203.0.113.0/24 via 198.51.100.254 src 198.51.100.2");
        run("ip -6 route add 2001:db8:70::/64 via 2001:db8:60::fe dev eth1");
        is_at(
            &find(&towards(&["203.0.113.5"]), Family::V4),
            "eth1",
            "198.51.100.2",
        );
        is_at(
            &find(&towards(&["192.0.2.5"]), Family::V4),
            "eth0",
            "192.0.2.1",
        );
        is_at(
            &find(&towards(&["2001:db8:70::5"]), Family::V6),
            "eth1",
            "2001:db8:60::1",
        );
        // Of the other family, on this host, and out of reach.
        let ask = towards(&[
            "2001:db8:70::5",
            "127.0.0.1",
            "192.0.2.1",
            "8.8.8.8",
            "203.0.113.5",
        ]);
        is_at(&find(&ask, Family::V4), "eth1", "198.51.100.2");
        says(
            find(&towards(&["127.0.0.1", "::1"]), Family::V4),
            "no v4 route leads",
        );
        says(find(&towards(&[]), Family::V6), "give --iface or --node-ip");
    });
}

#[test]
fn else_the_default_route_does() {
    with_underlay(|| {
        second_link();
        run("ip route add default via 198.51.100.254 metric 200");
        run("ip route add default via 192.0.2.254 metric 100");
        run("ip -6 route add default via 2001:db8:60::fe dev eth1 metric 300");
        is_at(
            &find(&towards(&["127.0.0.1"]), Family::V4),
            "eth0",
            "192.0.2.1",
        );
        is_at(&find(&towards(&[]), Family::V6), "eth1", "2001:db8:60::1");
        run("ip route del default metric 100");
        is_at(&find(&towards(&[]), Family::V4), "eth1", "198.51.100.1");
        run("ip route add default metric 50 nexthop via 192.0.2.254 nexthop via 198.51.100.254");
        is_at(&find(&towards(&[]), Family::V4), "eth0", "192.0.2.1");
        run("ip route add unreachable default metric 10");
        is_at(&find(&towards(&[]), Family::V4), "eth0", "192.0.2.1");
    });
}

#[test]
fn an_address_on_loopback_leaves_by_a_cable() {
    with_underlay(|| {
        second_link();
        run("ip addr add 10.255.0.1/32 dev lo");
        says(
            find(&node_ip("10.255.0.1"), Family::V4),
            "no v4 route leads",
        );
        run("ip route add default via 198.51.100.254");
        let found = find(&node_ip("10.255.0.1"), Family::V4);
        is_at(&found, "eth1", "10.255.0.1");
        assert_eq!(found.unwrap().mtu, 9000);
        let mut ask = node_ip("10.255.0.1");
        ask.towards = vec!["192.0.2.9".parse().unwrap()];
        is_at(&find(&ask, Family::V4), "eth0", "10.255.0.1");
        // Routers announce it, and packets shall come from it.
        run("ip route replace default via 198.51.100.254 src 10.255.0.1");
        is_at(&find(&towards(&[]), Family::V4), "eth1", "10.255.0.1");
    });
}

#[test]
fn a_way_through_the_overlay_is_none() {
    with_underlay(|| {
        let mut kernel = Kernel::open().unwrap();
        let host = host(&[network(1, Family::V4, "vxlan")], 2..5);
        settle(&mut kernel, &host);
        let ask = towards(&["10.21.3.7", "192.0.2.9"]);
        let found = kernel.find(&ask, Family::V4, |name| name != "eth0");
        is_at(&found, "eth0", "192.0.2.1");
        assert!(!found.unwrap().offload);
    });
}
