use super::*;
use crate::{
    endpoint::link::HOST_MAC,
    trace::{Firewall, Inside, Underlay},
};

const NEAR: &str = "192.0.2.1";
const FAR: &str = "192.0.2.2";
const CONTAINER: Mac = Mac([2, 0, 0, 0, 1, 0]);

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn stop(node: &str, address: &str, underlay: &str, mac: u8) -> Stop {
    Stop {
        node: node.into(),
        address: ip(address),
        underlay: Some(ip(underlay)),
        mac: Some(Mac([2, 0, 0, 0, 0, mac])),
        container: true,
    }
}

fn course() -> Course {
    Course {
        vni: Vni::try_from(1).unwrap(),
        port: 4789,
        from: stop("h1", "10.32.0.2", NEAR, 1),
        to: stop("h2", "10.32.1.2", FAR, 2),
    }
}

fn leads(device: &str, gateway: Option<&str>) -> Way {
    Way::Leads {
        device: device.into(),
        gateway: gateway.map(ip),
        mtu: None,
        here: false,
    }
}

fn device(name: &str, mtu: u32) -> Device {
    Device {
        name: name.into(),
        up: true,
        mtu,
        ..Device::default()
    }
}

fn inside(address: &str) -> Inside {
    Inside {
        interface: "eth0".into(),
        mac: Some(CONTAINER),
        device: Some(Device {
            mac: Some(CONTAINER),
            ..device("eth0", 1450)
        }),
        addresses: vec![ip(address)],
        way: leads("eth0", Some("169.254.1.1")),
        gateway_mac: Some(HOST_MAC),
        link: "wv1".into(),
        link_device: Some(device("wv1", 1450)),
        ..Inside::default()
    }
}

fn facts(stop: &Stop, other: &Stop, way: Way) -> Facts {
    let reached = Reached {
        small: Ok(()),
        full: Ok(()),
        size: 1500,
    };
    Facts {
        inside: Some(inside(&stop.address.to_string())),
        forwarding: Some(("net.ipv4.ip_forward".into(), "1".into())),
        way,
        neighbour: other.mac,
        forwarding_entry: other.underlay,
        tunnel: Some(Device {
            mac: stop.mac,
            vni: Some(1),
            port: Some(4789),
            local: stop.underlay,
            ..device("weft1", 1450)
        }),
        underlay: Some(Underlay {
            address_here: true,
            way: leads("eth0", None),
            device: Some(device("eth0", 1500)),
            reached: Some(reached.clone()),
        }),
        firewall: Firewall {
            table: true,
            admits: true,
            ..Firewall::default()
        },
        reached: Some(reached),
    }
}

fn both(course: &Course) -> (Facts, Facts) {
    let near = facts(&course.from, &course.to, leads("weft1", Some("10.32.1.0")));
    let mut far = facts(&course.to, &course.from, leads("wv1", None));
    far.neighbour = Some(CONTAINER);
    (near, far)
}

fn first_wrong(course: &Course, near: &Facts, far: &Facts) -> Option<String> {
    let hops = judge(course, Ok(near), Ok(far));
    let wrong = hops.into_iter().find(|hop| hop.wrong.is_some());
    wrong.map(|hop| format!("{} {}", hop.node, hop.object))
}

#[test]
fn nothing_is_wrong_where_all_is_well() {
    let course = course();
    let (near, far) = both(&course);
    assert_eq!(first_wrong(&course, &near, &far), None);
}

#[test]
fn each_thing_that_is_wrong_is_named() {
    type Spoil = fn(&mut Facts, &mut Facts);
    let cases: [(&str, Spoil); 23] = [
        ("h1 container", |near, _| {
            near.inside = None;
        }),
        ("h1 eth0 in the container", |near, _| {
            near.inside.as_mut().unwrap().device = None;
        }),
        ("h1 address 10.32.0.2", |near, _| {
            near.inside.as_mut().unwrap().addresses.clear();
        }),
        ("h1 route in the container", |near, _| {
            near.inside.as_mut().unwrap().way = Way::default();
        }),
        ("h1 neighbour 169.254.1.1 in the container", |near, _| {
            near.inside.as_mut().unwrap().gateway_mac = None;
        }),
        ("h1 device wv1", |near, _| {
            near.inside.as_mut().unwrap().link_device = None;
        }),
        ("h1 net.ipv4.ip_forward", |near, _| {
            near.forwarding.as_mut().unwrap().1 = "0".into();
        }),
        ("h1 route to 10.32.1.2", |near, _| {
            near.way = leads("eth7", None);
        }),
        ("h1 nft table inet weft", |near, _| {
            near.firewall.table = false;
        }),
        ("h1 the rule", |near, _| {
            near.firewall.grown = vec!["the rule".into()];
        }),
        ("h1 device weft1", |near, _| {
            near.tunnel.as_mut().unwrap().port = Some(8472);
        }),
        ("h1 neighbour 10.32.1.0", |near, _| {
            near.neighbour = Some(HOST_MAC);
        }),
        ("h1 fdb 02:00:00:00:00:02", |near, _| {
            near.forwarding_entry = None;
        }),
        ("h1 underlay address 192.0.2.1", |near, _| {
            near.underlay.as_mut().unwrap().address_here = false;
        }),
        ("h1 underlay route to 192.0.2.2", |near, _| {
            near.underlay.as_mut().unwrap().way = Way::default();
        }),
        ("h1 device eth0", |near, _| {
            near.underlay.as_mut().unwrap().device.as_mut().unwrap().mtu = 1499;
        }),
        ("h1 underlay to 192.0.2.2, 1500 bytes", |near, _| {
            near.underlay
                .as_mut()
                .unwrap()
                .reached
                .as_mut()
                .unwrap()
                .full = Err("lost".into());
        }),
        ("h2 guard, for 192.0.2.1", |_, far| {
            far.firewall.admits = false;
        }),
        ("h2 device weft1", |_, far| {
            far.tunnel.as_mut().unwrap().mac = Some(HOST_MAC);
        }),
        ("h2 route to 10.32.1.2", |_, far| {
            far.way = Way::default();
        }),
        ("h2 neighbour 10.32.1.2", |_, far| {
            far.neighbour = Some(HOST_MAC);
        }),
        ("h2 address 10.32.1.2", |_, far| {
            far.inside.as_mut().unwrap().addresses.clear();
        }),
        ("h1 10.32.0.2 to 10.32.1.2, a small packet", |near, _| {
            near.reached.as_mut().unwrap().small = Err("lost".into());
        }),
    ];
    for (name, spoil) in cases {
        let course = course();
        let (mut near, mut far) = both(&course);
        spoil(&mut near, &mut far);
        assert_eq!(first_wrong(&course, &near, &far).as_deref(), Some(name));
    }
}

#[test]
fn who_cannot_be_asked_is_named_behind_what_can_be_seen() {
    let course = course();
    let (near, _) = both(&course);
    let hops = judge(&course, Ok(&near), Err("not connected"));
    let wrong: Vec<&Hop> = hops.iter().filter(|hop| hop.wrong.is_some()).collect();
    assert_eq!(wrong.len(), 1);
    assert_eq!(
        (wrong[0].node.as_str(), wrong[0].object.as_str()),
        ("h2", "agent")
    );
}

#[test]
fn a_peer_on_the_same_link_needs_no_tunnel() {
    let course = course();
    let (mut near, far) = both(&course);
    near.way = leads("eth0", Some(FAR));
    near.neighbour = None;
    near.forwarding_entry = None;
    assert_eq!(first_wrong(&course, &near, &far), None);
}
