//! What is right, derived from networks and peers alone: the plan's own idea of it is
//! not asked.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use overlay::{
    datapath::{
        entry::{self, UNREACHABLE_METRIC},
        firewall::Published,
        host::Host,
        member::{Known, Member},
        observed::{Hop, Observed, SeenRoute, Us},
        uplink::Uplink,
    },
    endpoint::Protocol,
    feed::Peer,
    network::Encap,
    record::Mac,
    subnet::{Family, Subnet},
};

/// Everything that is not as it should be, beside the places that somebody else has.
pub fn wrong(host: &Host, seen: &Observed) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut wanted_routes = BTreeSet::new();
    for member in host.members() {
        match member.uplink().filter(|uplink| uplink.mtu >= 200) {
            Some(uplink) => of_member(host, member, uplink, seen, &mut wrong, &mut wanted_routes),
            // Nothing fits into its packets.
            None => continue,
        }
    }
    table(host, seen, &mut wrong);
    filters(host, seen, &mut wrong);
    if host.is_complete() {
        for route in seen
            .routes
            .iter()
            .filter(|route| route.protocol == entry::PROTOCOL)
        {
            if !wanted_routes.contains(&(route.subnet, route.metric)) && !is_idle(host, route, seen)
            {
                wrong.push(format!("left: {route:?}"));
            }
        }
        let us = Us::among(host.mac(), &seen.links);
        for link in &seen.links {
            let wanted = host
                .members()
                .any(|member| u32::from(member.vni()) == link.vxlan.vni);
            if us.devices.contains(&link.index) && !wanted {
                wrong.push(format!("left: {}", link.name));
            }
        }
    }
    wrong
}

/// A route of a network that waits for a better uplink.
fn is_idle(host: &Host, route: &SeenRoute, seen: &Observed) -> bool {
    let (Hop::Gateway { device, .. } | Hop::Device(device)) = route.hop else {
        return false;
    };
    let link = seen.links.iter().find(|link| link.index == device);
    host.members().any(|member| {
        link.is_some_and(|link| link.vxlan.vni == u32::from(member.vni()))
            && member.uplink().is_none_or(|uplink| uplink.mtu < 200)
    })
}

/// Known peers, and those that are held.
pub fn peers(member: &Member) -> Vec<&Peer> {
    let known = match member.known() {
        Known::Synced(peers) => Some(peers.values()),
        // What is in their places may be right as well.
        Known::Restored(_) | Known::Unsynced => None,
    };
    known
        .into_iter()
        .flatten()
        .chain(member.held().peers().values())
        .collect()
}

fn of_member(
    host: &Host,
    member: &Member,
    uplink: &Uplink,
    seen: &Observed,
    wrong: &mut Vec<String>,
    routes: &mut BTreeSet<(Subnet, u32)>,
) {
    let network = member.network();
    let over = if network.underlay == Family::V4 {
        50
    } else {
        70
    };
    let mtu = uplink.mtu - over;
    let fits = |subnet: &Subnet| subnet.family() == Family::V4 || mtu >= 1280;
    let own: Vec<Subnet> = member.own().iter().copied().filter(fits).collect();
    let name = format!("weft{}", network.vni);
    let Some(link) = seen.links.iter().find(|link| link.name == name) else {
        wrong.push(format!("no {name}"));
        return;
    };
    let vxlan = &link.vxlan;
    let is = (
        link.mac,
        link.mtu,
        link.up,
        link.master,
        link.makes_addresses,
        link.offload,
    );
    let should = (host.mac(), mtu, true, None, false, Some(uplink.offload));
    if is != should {
        wrong.push(format!("{name} is {is:?} instead of {should:?}"));
    }
    let is = (
        vxlan.vni,
        vxlan.port,
        vxlan.local,
        vxlan.lower,
        vxlan.learning,
    );
    let vni = network.vni.into();
    let should = (
        vni,
        network.port,
        Some(uplink.address),
        Some(uplink.index),
        false,
    );
    if is != should {
        wrong.push(format!("{name} is {is:?} instead of {should:?}"));
    }

    for subnet in &own {
        let address = subnet.address();
        let good = seen.addresses.iter().any(|seen| {
            let whole = seen.length == subnet.family().bits();
            (seen.index, seen.address) == (link.index, address)
                && (whole || subnet.family() == Family::V6)
        });
        if !good {
            wrong.push(format!("{name} has not {address}"));
        }
        route(*subnet, UNREACHABLE_METRIC, Hop::Unreachable, seen, wrong);
        routes.insert((*subnet, UNREACHABLE_METRIC));
    }
    for address in seen
        .addresses
        .iter()
        .filter(|seen| seen.index == link.index)
    {
        let whole = address.length == Family::of(address.address).bits();
        if whole && own.iter().all(|own| own.address() != address.address) {
            wrong.push(format!("left: {address:?}"));
        }
    }

    let families: Vec<Family> = own.iter().map(|own| own.family()).collect();
    let (mut fdb, mut neighbours) = (BTreeMap::new(), BTreeMap::new());
    // Whether past the tunnel, and to whom.
    let mut ways: BTreeMap<Subnet, (bool, IpAddr)> = BTreeMap::new();
    for peer in peers(member) {
        least(&mut fdb, peer.mac, peer.underlay);
        for subnet in [peer.v4, peer.v6].into_iter().flatten() {
            if !families.contains(&subnet.family()) {
                continue;
            }
            least(&mut neighbours, stands_for(peer.mac, subnet), peer.mac);
            let near = network.encap == Encap::Auto
                && subnet.family() == Family::of(peer.underlay)
                && uplink.on_link.iter().any(|link| link.holds(peer.underlay));
            let gateway = if near {
                peer.underlay
            } else {
                stands_for(peer.mac, subnet)
            };
            least(&mut ways, subnet, (near, gateway));
        }
    }
    let is: BTreeMap<Mac, IpAddr> = seen
        .fdb
        .iter()
        .filter(|fdb| fdb.index == link.index && fdb.plain)
        .filter_map(|fdb| Some((fdb.mac, fdb.to?)))
        .collect();
    let count = seen
        .fdb
        .iter()
        .filter(|fdb| fdb.index == link.index)
        .count();
    if is != fdb || count != fdb.len() {
        wrong.push(format!("FDB of {name} is {is:?} instead of {fdb:?}"));
    }
    let is: BTreeMap<IpAddr, Mac> = seen
        .neighbours
        .iter()
        .filter(|neighbour| neighbour.index == link.index && neighbour.permanent)
        .filter_map(|neighbour| Some((neighbour.address, neighbour.mac?)))
        .collect();
    if is != neighbours {
        wrong.push(format!(
            "neighbours of {name} are {is:?} instead of {neighbours:?}"
        ));
    }
    for (subnet, (near, gateway)) in ways {
        let hop = Hop::Gateway {
            gateway,
            device: if near { uplink.index } else { link.index },
            onlink: !near && gateway.is_ipv4(),
        };
        let metric = entry::metric(subnet);
        route(subnet, metric, hop, seen, wrong);
        routes.insert((subnet, metric));
    }
}

/// For IPv6 the link-local address that a device of this MAC would give itself.
fn stands_for(mac: Mac, subnet: Subnet) -> IpAddr {
    if subnet.family() == Family::V4 {
        return subnet.address();
    }
    let bytes = mac.0;
    let text = format!(
        "fe80::{:02x}{:02x}:{:02x}ff:fe{:02x}:{:02x}{:02x}",
        bytes[0] ^ 0b10,
        bytes[1],
        bytes[2],
        bytes[3],
        bytes[4],
        bytes[5]
    );
    text.parse().expect("an address")
}

fn route(subnet: Subnet, metric: u32, hop: Hop, seen: &Observed, wrong: &mut Vec<String>) {
    let there = seen
        .routes
        .iter()
        .find(|route| (route.subnet, route.metric) == (subnet, metric));
    match there {
        None => wrong.push(format!("no route to {subnet}")),
        // Somebody else's.
        Some(route) if route.protocol != entry::PROTOCOL => {}
        Some(route) if route.hop == hop => {}
        Some(route) => wrong.push(format!("{route:?} instead of {hop:?}")),
    }
}

/// Where something could drop packets of the overlay, they pass; elsewhere nothing is ours.
fn filters(host: &Host, seen: &Observed, wrong: &mut Vec<String>) {
    for (filter, there) in &seen.filters {
        let networks = host.members().filter(|member| member.uplink().is_some());
        let pools: Vec<Subnet> = networks
            .flat_map(|member| member.network().pools())
            .filter(|pool| pool.family() == filter.family)
            .collect();
        let rules = there.rules.iter().flatten();
        let names = |pool: &Subnet| {
            let count = rules.clone().filter(|rule| {
                let words: Vec<&str> = rule.split(' ').collect();
                words.contains(&pool.to_string().as_str())
            });
            count.count()
        };
        if there.could_drop && !pools.is_empty() {
            if there.jumps != [1] || !pools.iter().all(|pool| names(pool) >= 5) {
                wrong.push(format!("{filter}: {there:?} for {pools:?}"));
            }
        } else if host.is_complete() && (there.rules.is_some() || !there.jumps.is_empty()) {
            wrong.push(format!("{filter}: {there:?} for nothing"));
        }
    }
}

fn table(host: &Host, seen: &Observed, wrong: &mut Vec<String>) {
    // The port is guarded also where nothing fits through.
    let members: Vec<&Member> = host
        .members()
        .filter(|member| member.uplink().is_some())
        .collect();
    let Some(table) = &seen.firewall else {
        if !members.is_empty() {
            wrong.push("no table".into());
        }
        return;
    };
    let sources: BTreeSet<IpAddr> = members
        .iter()
        .flat_map(|member| peers(member))
        .map(|peer| peer.underlay)
        .collect();
    if let Some(ports) = host.ports().known() {
        let carried = |port: &&Published| {
            let members = host.joined().filter_map(|(_, member)| member);
            port.protocol == Protocol::Udp
                && members
                    .map(|member| member.network().port)
                    .any(|carried| carried == port.host_port)
        };
        let wanted: BTreeSet<_> = ports
            .iter()
            .filter(|port| !carried(port))
            .copied()
            .collect();
        if table.published != wanted && !members.is_empty() {
            wrong.push(format!("published: {:?}", table.published));
        }
    }
    let missing: Vec<_> = sources.difference(&table.sources).collect();
    if !missing.is_empty() {
        wrong.push(format!("not admitted: {missing:?}"));
    }
    if host.is_complete() && table.sources != sources {
        wrong.push(format!(
            "admitted: {:?} instead of {sources:?}",
            table.sources
        ));
    }
    let Some(frame) = &table.frame else {
        if !members.is_empty() {
            wrong.push("another table".into());
        }
        return;
    };
    for member in members {
        let network = member.network();
        let uplink = member
            .uplink()
            .map(|uplink| uplink.name.clone())
            .unwrap_or_default();
        let publishing = !table.published.is_empty();
        let led = |own: &Subnet| frame.publishing.contains(own) == publishing;
        let masqueraded = |own: &Subnet| frame.masquerade.contains(own) == network.masquerade;
        if !(frame.ports.contains(&network.port)
            && frame.uplinks.contains(&uplink)
            && network.pools().all(|pool| frame.pools.contains(&pool))
            && member.own().iter().all(led)
            && member.own().iter().all(masqueraded))
        {
            wrong.push(format!("{frame:?} for {}", network.name));
        }
    }
}

fn least<K: Ord, V: Ord + Copy>(map: &mut BTreeMap<K, V>, key: K, value: V) {
    let place = map.entry(key).or_insert(value);
    *place = (*place).min(value);
}
