//! The chains and rules of the table, as they follow from a frame.
//!
//! A packet of the overlay meets two of them. `ingress` sees it first, on the uplink,
//! and lets only known peers pass; it is the cheapest place there is. `guard` sees
//! every packet from anywhere else, too, and must know that one from an uplink was
//! looked at. Both ask for the protocol and the port first, so that all other traffic
//! of the host pays one comparison per port in each. Unless something is masqueraded or
//! published, nothing here asks for the state of a connection: the question alone would
//! turn on the connection tracking of the whole namespace, which costs more than all of
//! these rules.

use std::collections::BTreeMap;

use overlay::{
    datapath::firewall::Frame,
    subnet::{Family, Subnet},
};

use super::{
    abi::hook,
    ports::MAPS,
    rule::{Rule, Side},
    sources::set_of,
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    pub name: &'static str,
    /// None: only reached from other chains.
    pub base: Option<Base>,
    pub rules: Vec<Rule>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    pub kind: &'static str,
    pub hook: u32,
    pub priority: i32,
    pub devices: Vec<String>,
}

/// The names of the overlay's own devices begin so: VXLAN devices and bridges, and the
/// host's ends of the containers' links.
const OURS: [&str; 2] = ["weft", "wv"];

const PRIORITY_INGRESS: i32 = -500;
const PRIORITY_RAW: i32 = -300;
const PRIORITY_DESTINATION_NAT: i32 = -100;
const PRIORITY_SOURCE_NAT: i32 = 100;

/// All chains of the table.
pub fn chains(frame: &Frame, indices: &BTreeMap<String, u32>) -> Vec<Chain> {
    let mut chains = Vec::new();
    if !frame.uplinks.is_empty() {
        chains.push(regular("known", known()));
        chains.push(Chain {
            name: "ingress",
            base: Some(Base {
                kind: "filter",
                hook: hook::INGRESS,
                priority: PRIORITY_INGRESS,
                devices: frame.uplinks.iter().cloned().collect(),
            }),
            rules: to_each_port(frame, |rule| rule.goto("known")),
        });
    }
    chains.push(regular("nested", nested()));
    chains.push(regular("inside", inside(frame)));
    chains.push(regular("vx", vx(frame, indices)));
    chains.push(base(
        "guard",
        "filter",
        hook::PREROUTING,
        PRIORITY_RAW,
        // Not a jump: nothing is to come back.
        to_each_port(frame, |rule| rule.goto("vx")),
    ));
    if is_tracked(frame) {
        chains.push(base(
            "outraw",
            "filter",
            hook::OUTPUT,
            PRIORITY_RAW,
            outraw(frame),
        ));
    }
    if !frame.masquerade.is_empty() {
        chains.push(base(
            "masq",
            "nat",
            hook::POSTROUTING,
            PRIORITY_SOURCE_NAT,
            masq(frame),
        ));
    }
    if !frame.publishing.is_empty() {
        chains.extend(publishing(frame));
    }
    chains
}

/// What leads published ports on, which is asked once for a connection.
fn publishing(frame: &Frame) -> [Chain; 6] {
    let maps = MAPS.map(|map| Rule::new().led_on(map.family, map.of_one_address, map.name));
    let here = || Rule::new().for_this_host().goto("published");
    let loopback6 = "::1/128".parse().expect("it is a constant");
    [
        regular("published", maps.into()),
        base(
            "pub_in",
            "nat",
            hook::PREROUTING,
            PRIORITY_DESTINATION_NAT,
            vec![here()],
        ),
        base(
            "pub_out",
            "nat",
            hook::OUTPUT,
            PRIORITY_DESTINATION_NAT,
            // From this address IPv6 sends to no other device: better refused than lost.
            vec![
                Rule::new().address_of(Side::Destination, loopback6).leave(),
                here(),
            ],
        ),
        base(
            "hairpin",
            "nat",
            hook::POSTROUTING,
            PRIORITY_SOURCE_NAT,
            hairpin(frame),
        ),
        regular("loopback", loopback()),
        base(
            "pub_raw",
            "filter",
            hook::PREROUTING,
            PRIORITY_RAW,
            OURS.map(|prefix| Rule::new().in_prefix(prefix).goto("loopback"))
                .into(),
        ),
    ]
}

/// Answers have to come back this way: a container that is led to itself or to its
/// neighbour on a bridge, and the host at 127.0.0.1, get another address.
fn hairpin(frame: &Frame) -> Vec<Rule> {
    let own = frame.publishing.iter();
    own.flat_map(|&own| {
        let within = Rule::new()
            .of_what_is_led_on()
            .address_of(Side::Source, own)
            .address_of(Side::Destination, own)
            .masquerade();
        let local = (own.family() == Family::V4).then(|| {
            Rule::new()
                .address_of(Side::Source, loopback4())
                .address_of(Side::Destination, own)
                .masquerade()
        });
        [Some(within), local]
    })
    .flatten()
    .collect()
}

/// So that the host's 127.0.0.1 is led on, the kernel is told to take such addresses on
/// the devices of containers; from there they must not come.
fn loopback() -> Vec<Rule> {
    [Side::Source, Side::Destination]
        .map(|side| Rule::new().address_of(side, loopback4()).counted().drop())
        .into()
}

fn loopback4() -> Subnet {
    "127.0.0.0/8".parse().expect("it is a constant")
}

/// What reaches the port on an uplink. No route can be asked for at ingress, so this
/// drops what is only to be forwarded as well.
fn known() -> Vec<Rule> {
    let mut rules: Vec<Rule> = Family::BOTH
        .map(|family| {
            Rule::new()
                .address_in(family, Side::Source, set_of(family))
                .accept()
        })
        .into();
    rules.push(Rule::new().counted().drop());
    rules
}

/// What reaches the port on any device, before it is routed.
fn vx(frame: &Frame, indices: &BTreeMap<String, u32>) -> Vec<Rule> {
    let mut rules = Vec::new();
    for (name, &index) in indices {
        // Guarded at ingress already. The hook there is bound to the device until
        // Linux 6.15 and to its name since then, so only a device that still has both
        // is surely behind it: a re-created one, or a renamed one, is looked at here.
        let rule = Rule::new().in_index(index).in_name(name);
        rules.push(untracked(frame, rule).accept());
    }
    for prefix in OURS {
        rules.push(Rule::new().in_prefix(prefix).goto("inside"));
    }
    // Whatever else comes this way may be masqueraded to an address that peers trust.
    rules.extend(no_known_vtep());
    rules.push(Rule::new().for_another_host().accept());
    // A peer at another device: underlays are not symmetric, and an address may be on
    // `lo`. That answers go back the same way tells it from a container's forgery.
    for family in Family::BOTH {
        rules.push(
            Rule::new()
                .address_in(family, Side::Source, set_of(family))
                .answered_the_same_way()
                .accept(),
        );
    }
    rules.push(Rule::new().counted().drop());
    rules
}

/// What containers send to the port. Outside of the overlay is every VTEP, and
/// masquerading would lend them the host's address, which peers trust.
fn inside(frame: &Frame) -> Vec<Rule> {
    let mut rules: Vec<Rule> = frame
        .pools
        .iter()
        .map(|&pool| {
            Rule::new()
                .address_of(Side::Destination, pool)
                .goto("nested")
        })
        .collect();
    rules.push(Rule::new().counted().drop());
    rules
}

/// What containers send to the port of each other: a VXLAN of their own. It is
/// forwarded, but no address of this host takes it. Broadcasts, multicasts and the
/// routers' anycast of IPv6 are such addresses too, so what is asked for is not "not
/// local" but "unicast".
fn nested() -> Vec<Rule> {
    let mut rules = no_known_vtep();
    rules.push(Rule::new().for_another_host().accept());
    rules.push(Rule::new().counted().drop());
    rules
}

fn no_known_vtep() -> Vec<Rule> {
    Family::BOTH
        .map(|family| {
            Rule::new()
                .address_in(family, Side::Destination, set_of(family))
                .counted()
                .drop()
        })
        .into()
}

/// The source port of the overlay's packets differs from flow to flow: tracked, each
/// would be a connection that nobody ever answers.
fn outraw(frame: &Frame) -> Vec<Rule> {
    let ports = frame.ports.iter();
    ports
        .flat_map(|&port| {
            frame
                .uplinks
                .iter()
                .map(move |uplink| Rule::new().udp_to(port).out_name(uplink).notrack())
        })
        .collect()
}

/// Asked once for a connection, so its order costs nothing.
fn masq(frame: &Frame) -> Vec<Rule> {
    let to = |subnet| Rule::new().address_of(Side::Destination, subnet).leave();
    let mut rules: Vec<Rule> = frame.pools.iter().copied().map(to).collect();
    rules.extend(MULTICAST.map(|group| to(group.parse().expect("it is a constant"))));
    for prefix in OURS {
        rules.push(Rule::new().out_prefix(prefix).leave());
    }
    rules.push(Rule::new().out_name("lo").leave());
    for &subnet in &frame.masquerade {
        rules.push(Rule::new().address_of(Side::Source, subnet).masquerade());
    }
    rules
}

const MULTICAST: [&str; 2] = ["224.0.0.0/4", "ff00::/8"];

fn untracked(frame: &Frame, rule: Rule) -> Rule {
    if is_tracked(frame) {
        rule.notrack()
    } else {
        rule
    }
}

/// Connections are tracked because of what is masqueraded or published, if anything is.
fn is_tracked(frame: &Frame) -> bool {
    !(frame.masquerade.is_empty() && frame.publishing.is_empty())
}

fn to_each_port(frame: &Frame, end: impl Fn(Rule) -> Rule) -> Vec<Rule> {
    let ports = frame.ports.iter();
    ports.map(|&port| end(Rule::new().udp_to(port))).collect()
}

fn regular(name: &'static str, rules: Vec<Rule>) -> Chain {
    Chain {
        name,
        base: None,
        rules,
    }
}

fn base(
    name: &'static str,
    kind: &'static str,
    hook: u32,
    priority: i32,
    rules: Vec<Rule>,
) -> Chain {
    Chain {
        name,
        base: Some(Base {
            kind,
            hook,
            priority,
            devices: Vec::new(),
        }),
        rules,
    }
}
