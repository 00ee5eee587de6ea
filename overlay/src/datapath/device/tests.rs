use super::*;

fn device() -> Device {
    Device {
        vni: Vni::FIRST,
        port: 4789,
        mac: Mac([2, 0x77, 0, 0, 0, 1]),
        mtu: 1450,
        local: "192.0.2.1".parse().unwrap(),
        lower: 2,
        offload: true,
    }
}

/// The device as it should be.
fn link() -> Link {
    Link {
        index: 10,
        name: "weft1".into(),
        mac: device().mac,
        mtu: 1450,
        up: true,
        master: None,
        makes_addresses: false,
        offload: Some(true),
        vxlan: Vxlan {
            vni: 1,
            port: 4789,
            local: Some(device().local),
            lower: Some(2),
            learning: false,
        },
    }
}

fn changes(change: impl FnOnce(&mut Link)) -> Vec<String> {
    let mut link = link();
    change(&mut link);
    match device().difference(&link) {
        Difference::Changes(changes) => changes.iter().map(Change::to_string).collect(),
        Difference::Remake => vec!["remake".into()],
    }
}

#[test]
fn a_device_as_it_should_be_is_left_alone() {
    assert!(changes(|_| ()).is_empty());
    assert!(changes(|link| link.index = 77).is_empty());
    assert!(
        changes(|link| link.offload = None).is_empty(),
        "nobody can tell"
    );
}

#[test]
fn each_field_is_put_right_by_a_change_of_its_own() {
    let source = "type vxlan local 192.0.2.1 dev 2";
    let only = |change: fn(&mut Link), text: &str| assert_eq!(changes(change), [text]);
    only(|link| link.name = "vxlan7".into(), "name");
    only(
        |link| link.mac = Mac([2, 0, 0, 0, 0, 9]),
        "address 02:77:00:00:00:01",
    );
    only(|link| link.mtu = 1500, "mtu 1450");
    only(|link| link.up = false, "up");
    only(|link| link.master = Some(3), "nomaster");
    only(|link| link.makes_addresses = true, "addrgenmode none");
    only(
        |link| link.offload = Some(false),
        "tx-checksum-ip-generic on",
    );
    only(|link| link.vxlan.learning = true, "type vxlan nolearning");
    only(
        |link| link.vxlan.local = Some("192.0.2.9".parse().unwrap()),
        source,
    );
    only(|link| link.vxlan.lower = Some(9), source);
    only(|link| link.vxlan.lower = None, source);
}

#[test]
fn what_the_kernel_does_not_change_is_made_anew() {
    let only = |change: fn(&mut Link)| assert_eq!(changes(change), ["remake"]);
    only(|link| link.vxlan.vni = 2);
    only(|link| link.vxlan.port = 8472);
    only(|link| link.vxlan.local = Some("2001:db8::1".parse().unwrap()));
    // Its socket has a family all the same, and nobody can tell which.
    only(|link| link.vxlan.local = None);
}

#[test]
fn a_device_comes_up_after_everything_else() {
    let changes = changes(|link| {
        link.name = "vxlan7".into();
        link.mac = Mac([2, 0, 0, 0, 0, 9]);
        link.mtu = 1500;
        link.makes_addresses = true;
        link.up = false;
    });
    let order = [
        "name",
        "address 02:77:00:00:00:01",
        "mtu 1450",
        "addrgenmode none",
        "up",
    ];
    assert_eq!(changes, order);
}

/// A device that comes into the range of IPv6 has the kernel's defaults there; one that
/// is below cannot be told anything about IPv6.
#[test]
fn ipv6_begins_anew_at_1280() {
    assert_eq!(
        changes(|link| link.mtu = 1279),
        ["mtu 1450", "addrgenmode none"]
    );
    assert_eq!(changes(|link| link.mtu = 1280), ["mtu 1450"]);
    let small = Device {
        mtu: 1250,
        ..device()
    };
    let mut link = link();
    link.makes_addresses = true;
    assert_eq!(
        small.difference(&link),
        Difference::Changes(vec![Change::Mtu(1250)])
    );
}

#[test]
fn another_ipv6_source_takes_another_device() {
    let six = Device {
        local: "2001:db8::1".parse().unwrap(),
        ..device()
    };
    let mut link = link();
    link.vxlan.local = Some(six.local);
    assert_eq!(six.difference(&link), Difference::Changes(Vec::new()));
    link.vxlan.local = Some("2001:db8::2".parse().unwrap());
    assert_eq!(six.difference(&link), Difference::Remake);
}
