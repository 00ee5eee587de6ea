use super::*;
use crate::datapath::device::Vxlan;

const OURS: Mac = Mac([2, 0x77, 0, 0, 0, 1]);
const THEIRS: Mac = Mac([2, 0x55, 0, 0, 0, 1]);

fn link(name: &str, vni: u32, port: u16, mac: Mac) -> Link {
    Link {
        index: 10,
        name: name.into(),
        mac,
        mtu: 1450,
        up: true,
        master: None,
        makes_addresses: false,
        offload: None,
        vxlan: Vxlan {
            vni,
            port,
            local: None,
            lower: None,
            learning: false,
        },
    }
}

/// One device of ours, number 10.
fn us() -> Us {
    Us {
        mac: OURS,
        devices: [10].into(),
    }
}

#[test]
fn devices_that_are_ours_and_those_that_only_look_so() {
    for (link, expected, why) in [
        (link("weft1", 1, 4789, OURS), true, "name and MAC"),
        (
            link("weft1", 1, 4789, THEIRS),
            true,
            "somebody changed its MAC",
        ),
        (link("other0", 1, 4789, OURS), true, "somebody renamed it"),
        (
            link("weft1", 1, 9999, THEIRS),
            true,
            "of a port that the network left",
        ),
        (
            link("weft2", 1, 4789, OURS),
            true,
            "renamed to what is another's name",
        ),
        (
            link("flannel.1", 1, 8472, THEIRS),
            false,
            "flannel has the VNI 1, too",
        ),
        (link("vxlan.calico", 4096, 4789, THEIRS), false, "calico's"),
        (
            link("cilium_vxlan", 0, 8472, THEIRS),
            false,
            "has no VNI at all",
        ),
        (
            link("weft0", 0, 4789, THEIRS),
            false,
            "0 is no network's VNI",
        ),
        (
            link("weft2", 1, 4789, THEIRS),
            false,
            "a name of ours with another VNI",
        ),
        (
            link("weft01", 1, 4789, THEIRS),
            false,
            "not how we write it",
        ),
        (link("weftbr1", 1, 4789, THEIRS), false, "a longer name"),
        (
            link("other0", 1, 4789, THEIRS),
            false,
            "both name and MAC are gone",
        ),
    ] {
        assert_eq!(
            ours(Object::Link(&link), &us()),
            expected,
            "{}: {why}",
            link.name
        );
    }
}

#[test]
fn we_are_known_by_our_devices() {
    let mut links = [
        link("weft1", 1, 4789, THEIRS),
        link("flannel.1", 1, 8472, THEIRS),
        link("other0", 7, 4789, OURS),
    ];
    for (index, link) in (10..).zip(&mut links) {
        link.index = index;
    }
    let us = Us::among(OURS, &links);
    assert_eq!(us.devices, [10, 12].into());
}

#[test]
fn addresses_that_are_ours_and_those_that_only_look_so() {
    for (index, address, length, expected) in [
        (10, "10.31.1.0", 32, true),
        (10, "10.31.7.7", 32, true),
        (10, "fd77:1::", 128, true),
        // A bridge's, a container's, the kernel's.
        (10, "10.31.1.1", 24, false),
        (10, "fd77:1::1", 64, false),
        (10, "fe80::1", 64, false),
        (11, "10.31.1.0", 32, false),
    ] {
        let seen = Address {
            index,
            address: address.parse().unwrap(),
            length,
        };
        assert_eq!(ours(Object::Address(&seen), &us()), expected, "{seen:?}");
    }
}

#[test]
fn entries_belong_to_whom_their_device_belongs() {
    for (index, permanent, expected) in [(10, true, true), (10, false, false), (11, true, false)] {
        let neighbour = Neighbour {
            index,
            address: "10.31.2.0".parse().unwrap(),
            mac: Some(THEIRS),
            permanent,
        };
        assert_eq!(
            ours(Object::Neighbour(&neighbour), &us()),
            expected,
            "{neighbour:?}"
        );
    }
    for (index, expected) in [(10, true), (11, false)] {
        let fdb = Fdb {
            index,
            mac: THEIRS,
            to: None,
            plain: false,
        };
        assert_eq!(ours(Object::Fdb(&fdb), &us()), expected, "{fdb:?}");
    }
}

#[test]
fn routes_that_are_ours_and_those_that_only_look_so() {
    let subnet: Subnet = "10.31.2.0/24".parse().unwrap();
    let metric = entry::metric(subnet);
    let via = |device| Hop::Gateway {
        gateway: subnet.address(),
        device,
        onlink: true,
    };
    for (protocol, metric, hop, expected, why) in [
        (77, metric, via(10), true, "as we make it"),
        (77, 5, via(10), true, "with another metric"),
        (77, metric, via(2), true, "through another device"),
        (77, 5, Hop::Unreachable, true, "unreachable"),
        (77, 5, Hop::Other, true, "of a kind that we do not make"),
        (4, metric, via(10), true, "only its protocol was changed"),
        (4, metric, Hop::Device(10), true, "and its gateway"),
        (4, metric, via(2), false, "in our place, through the uplink"),
        (4, 7, via(10), false, "somebody's, through our device"),
        (2, 0, Hop::Device(10), false, "the kernel's, of an address"),
        (4, metric, Hop::Unreachable, false, "bears no mark of ours"),
        (4, metric, Hop::Other, false, "nor this"),
    ] {
        let route = SeenRoute {
            subnet,
            metric,
            protocol,
            hop,
        };
        assert_eq!(ours(Object::Route(&route), &us()), expected, "{why}");
    }
}

#[test]
fn one_table_is_ours() {
    for (name, expected) in [
        ("weft", true),
        ("weft2", false),
        ("filter", false),
        ("", false),
    ] {
        assert_eq!(ours(Object::Table(name), &us()), expected, "{name}");
    }
}

#[test]
fn a_setting_is_read_by_its_path() {
    let path = vec!["net".to_owned(), "ipv4".into(), "ip_forward".into()];
    let mut seen = Observed::default();
    let sysctl = Sysctl {
        path: path.clone(),
        value: "1",
    };
    assert_eq!(seen.sysctl(&sysctl), None);
    seen.sysctls.insert(path, "0".into());
    assert_eq!(seen.sysctl(&sysctl), Some("0"));
}
