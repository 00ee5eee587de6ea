use super::*;
use crate::{endpoint::Bandwidth, network::Vni, subnet::Subnet};

const ID: &str = "0123456789abc";

fn id() -> EndpointId {
    ID.parse().expect("an id")
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn wanted(form: Form) -> Wanted {
    let addresses = vec![address("10.31.1.5"), address("fd77:1:1::5")];
    Wanted {
        id: id(),
        vni: Vni::FIRST,
        form,
        mtu: 1450,
        here: form.here(&addresses, &subnets(), false),
        addresses,
        mac: Mac([0x0a, 0, 0, 0, 0, 5]),
        from_loopback: false,
        published: false,
        bandwidth: Bandwidth::default(),
    }
}

fn subnets() -> Vec<Subnet> {
    ["10.31.1.0/24", "fd77:1:1::/64"]
        .map(|subnet| subnet.parse().expect("a subnet"))
        .to_vec()
}

fn desired(form: Form) -> Desired {
    let mut desired = Desired {
        whole: true,
        known: [Device::Endpoint(id())].into(),
        ..Desired::default()
    };
    desired.endpoints.insert(id(), wanted(form));
    if form == Form::Bridge {
        let device = Device::Bridge(Vni::FIRST);
        let bridge = Bridge::of(Vni::FIRST, 1450, &subnets(), false);
        desired.known.insert(device);
        desired.bridges.insert(device, bridge);
    }
    desired
}

fn link(index: u32, name: &str, kind: Kind) -> SeenLink {
    SeenLink {
        index,
        name: name.into(),
        kind,
        mac: HOST_MAC,
        mtu: 1450,
        up: true,
        master: None,
        makes_addresses: false,
        hairpin: false,
    }
}

/// A kernel in which everything is as it should be.
fn right(form: Form) -> Seen {
    let device = Device::Endpoint(id()).name();
    let mut seen = Seen::default();
    let mut own = link(7, &device, Kind::Veth);
    let at = |index, text: &str, length| Address {
        index,
        address: address(text),
        length,
    };
    match form {
        Form::Routed => {
            seen.addresses.push(at(7, "fe80::1", 64));
            let mac = Some(Mac([0x0a, 0, 0, 0, 0, 5]));
            for (text, metric) in [("10.31.1.5", 0), ("fd77:1:1::5", METRIC6)] {
                let to = address(text);
                seen.neighbours.push(Neighbour {
                    index: 7,
                    address: to,
                    mac,
                    permanent: true,
                });
                let bits = Family::of(to).bits();
                seen.routes.push(SeenRoute {
                    subnet: format!("{to}/{bits}").parse().expect("a subnet"),
                    metric,
                    protocol: PROTOCOL,
                    hop: Hop::Device(7),
                });
            }
        }
        Form::Bridge => {
            own.master = Some(8);
            seen.links.push(link(8, "weftbr1", Kind::Bridge));
            seen.addresses.extend([
                at(8, "10.31.1.1", 24),
                at(8, "fd77:1:1::1", 64),
                at(8, "fe80::1", 64),
            ]);
        }
    }
    seen.links.push(own);
    seen
}

fn printed(steps: &[Step]) -> Vec<String> {
    steps.iter().map(ToString::to_string).collect()
}

#[test]
fn what_is_right_is_left_alone() {
    for form in [Form::Routed, Form::Bridge] {
        let steps = plan(&desired(form), &right(form));
        assert_eq!(printed(&steps), Vec::<String>::new(), "{form}");
    }
}

#[test]
fn a_new_one_is_made_up_before_its_routes() {
    let steps = printed(&plan(&desired(Form::Routed), &Seen::default()));
    let device = format!("wv{ID}");
    assert_eq!(
        steps,
        [
            format!("ip link add {device} type veth"),
            format!("ip link set {device} addrgenmode none"),
            format!("ip link set {device} up"),
            format!("ip addr add fe80::1/64 dev {device}"),
            format!(
                "ip neigh replace 10.31.1.5 lladdr 0a:00:00:00:00:05 dev {device} nud permanent"
            ),
            format!(
                "ip neigh replace fd77:1:1::5 lladdr 0a:00:00:00:00:05 dev {device} nud permanent"
            ),
            format!("ip route replace 10.31.1.5 dev {device} proto 77"),
            format!("ip route replace fd77:1:1::5 dev {device} proto 77"),
        ]
    );
}

#[test]
fn each_thing_that_is_changed_is_put_back() {
    let mends = |form, change: &dyn Fn(&mut Seen)| {
        let mut seen = right(form);
        change(&mut seen);
        printed(&plan(&desired(form), &seen))
    };
    let device = format!("wv{ID}");
    let routed = |change: &dyn Fn(&mut Seen)| mends(Form::Routed, change);
    assert_eq!(
        routed(&|seen| seen.links[0].mtu = 1300),
        [format!("ip link set {device} mtu 1450")]
    );
    assert_eq!(
        routed(&|seen| seen.links[0].mac = Mac([2; 6])),
        [format!("ip link set {device} address {HOST_MAC}")]
    );
    assert_eq!(
        routed(&|seen| seen.links[0].up = false),
        [format!("ip link set {device} up")]
    );
    assert_eq!(
        routed(&|seen| seen.links[0].master = Some(99)),
        [format!("ip link set {device} nomaster")]
    );
    assert_eq!(
        routed(&|seen| seen.neighbours[0].mac = None),
        [format!(
            "ip neigh replace 10.31.1.5 lladdr 0a:00:00:00:00:05 dev {device} nud permanent"
        )]
    );
    assert_eq!(
        routed(&|seen| seen.routes[1].metric = 9),
        [
            format!("ip route del fd77:1:1::5/128 dev {device} metric 9"),
            format!("ip route replace fd77:1:1::5 dev {device} proto 77"),
        ]
    );
    assert_eq!(
        routed(&|seen| seen.addresses.clear()),
        [format!("ip addr add fe80::1/64 dev {device}")]
    );
    let bridged = |change: &dyn Fn(&mut Seen)| mends(Form::Bridge, change);
    assert_eq!(
        bridged(&|seen| seen.links[1].master = None),
        [format!("ip link set {device} master weftbr1")]
    );
    assert_eq!(
        bridged(&|seen| seen.addresses.retain(|seen| seen.address.is_ipv6())),
        ["ip addr add 10.31.1.1/24 dev weftbr1"]
    );
}

#[test]
fn what_nobody_knows_goes_only_when_the_book_is_whole() {
    let mut seen = right(Form::Routed);
    seen.links.push(link(9, "wvfffffffffffff", Kind::Veth));
    // Renamed while it was up.
    seen.links.push(link(10, "other0", Kind::Veth));
    let mut foreign = link(11, "wveeeeeeeeeeeee", Kind::Veth);
    foreign.mac = Mac([2; 6]);
    seen.links.push(foreign);
    let mut desired = desired(Form::Routed);
    assert_eq!(
        printed(&plan(&desired, &seen)),
        ["ip link del wvfffffffffffff", "ip link del other0"]
    );
    desired.whole = false;
    assert_eq!(printed(&plan(&desired, &seen)), Vec::<String>::new());
}

#[test]
fn one_that_is_not_wanted_now_is_nobodys_orphan() {
    let mut desired = desired(Form::Routed);
    desired.endpoints.clear();
    let steps = plan(&desired, &right(Form::Routed));
    assert_eq!(printed(&steps), Vec::<String>::new());
}

#[test]
fn a_container_that_its_engine_sets_up_finds_its_gateway() {
    let addresses = [address("10.31.1.5")];
    let here = Form::Routed.here(&addresses, &subnets(), true);
    let here: Vec<String> = here.iter().map(ToString::to_string).collect();
    assert_eq!(here, ["10.31.1.1/32"]);
    let gateway = Form::Routed.gateway(subnets()[0], true);
    assert_eq!(gateway.address, address("10.31.1.1"));
    assert_eq!(gateway.mac, None);
}
