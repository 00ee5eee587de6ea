//! The difference between what endpoints need of their host's kernel and what it holds.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::{
    EndpointId,
    link::{Bridge, Device, Form, GATEWAY6, HOST_MAC, LINK_LOCAL_LENGTH, OnLink, Wanted},
    step::{Change, Step},
};
use crate::{
    datapath::{
        entry::PROTOCOL,
        observed::{Address, Hop, Neighbour, SeenRoute},
    },
    record::Mac,
    subnet::Family,
};

/// What the endpoints of a host need.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Desired {
    pub endpoints: BTreeMap<EndpointId, Wanted>,
    pub bridges: BTreeMap<Device, Bridge>,
    /// Every endpoint that the book has, wanted now or not: they are nobody's orphans.
    pub known: BTreeSet<Device>,
    /// The book is whole: what is ours and not in it may go.
    pub whole: bool,
}

/// What a kernel holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    pub links: Vec<SeenLink>,
    pub addresses: Vec<Address>,
    pub neighbours: Vec<Neighbour>,
    /// Of the main table, straight to a device.
    pub routes: Vec<SeenRoute>,
    /// The devices behind which 127.0.0.1 may come from.
    pub from_loopback: BTreeSet<String>,
}

/// A veth device or a bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SeenLink {
    pub index: u32,
    pub name: String,
    pub kind: Kind,
    pub mac: Mac,
    pub mtu: u32,
    pub up: bool,
    pub master: Option<u32>,
    /// As a port of a bridge it gets back what it sent.
    pub hairpin: bool,
    pub makes_addresses: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Veth,
    Bridge,
}

/// Is this device ours? Nobody else's has that MAC; a container's end never does.
pub fn ours(link: &SeenLink) -> bool {
    link.mac == HOST_MAC
}

/// The IPv6 metric that the kernel gives where none is asked for.
const METRIC6: u32 = 1024;

pub fn plan(desired: &Desired, seen: &Seen) -> Vec<Step> {
    let mut steps = Vec::new();
    let names: BTreeMap<String, Device> = desired
        .known
        .iter()
        .map(|device| (device.name(), *device))
        .collect();
    if desired.whole {
        let orphans = seen.links.iter().filter(|link| {
            let wanted = names.get(&link.name).is_some_and(|device| match device {
                Device::Endpoint(_) => link.kind == Kind::Veth,
                Device::Bridge(_) => link.kind == Kind::Bridge,
            });
            !wanted && ours(link)
        });
        steps.extend(orphans.map(|link| Step::Delete {
            index: link.index,
            name: link.name.clone(),
        }));
    }
    for (device, bridge) in &desired.bridges {
        bridge_steps(*device, bridge, seen, &mut steps);
    }
    for wanted in desired.endpoints.values() {
        endpoint_steps(wanted, seen, &mut steps);
    }
    steps
}

fn bridge_steps(device: Device, bridge: &Bridge, seen: &Seen, steps: &mut Vec<Step>) {
    let mut addresses = bridge.addresses.clone();
    // Without it the bridge would have no IPv6 source to look for its containers with.
    let link_local = OnLink {
        address: GATEWAY6.into(),
        length: LINK_LOCAL_LENGTH,
    };
    if addresses.iter().any(|on| on.address.is_ipv6()) {
        addresses.push(link_local);
    }
    let link = find(seen, device, Kind::Bridge);
    if link.is_none() {
        steps.push(Step::MakeBridge(bridge.clone()));
    }
    link_steps(
        device,
        bridge.mtu,
        None,
        bridge.from_loopback,
        seen,
        link,
        steps,
    );
    address_steps(device, &addresses, seen, link, steps);
}

fn endpoint_steps(wanted: &Wanted, seen: &Seen, steps: &mut Vec<Step>) {
    let device = Device::Endpoint(wanted.id);
    let link = find(seen, device, Kind::Veth);
    if link.is_none() {
        steps.push(Step::Make(wanted.id));
    }
    let master = match wanted.form {
        Form::Routed => None,
        Form::Bridge => Some(Device::Bridge(wanted.vni)),
    };
    let routed = wanted.form == Form::Routed;
    let loopback = routed && wanted.from_loopback;
    link_steps(device, wanted.mtu, master, loopback, seen, link, steps);
    if master.is_some() && wanted.published && link.is_none_or(|link| !link.hairpin) {
        let change = Change::Hairpin;
        steps.push(Step::Change { device, change });
    }
    address_steps(device, &wanted.here, seen, link, steps);
    let behind: &[IpAddr] = if routed { &wanted.addresses } else { &[] };
    neighbour_steps(device, behind, wanted.mac, seen, link, steps);
    route_steps(device, behind, seen, link, steps);
}

fn find(seen: &Seen, device: Device, kind: Kind) -> Option<&SeenLink> {
    let name = device.name();
    let mut links = seen.links.iter();
    links.find(|link| link.name == name && link.kind == kind)
}

fn link_steps(
    device: Device,
    mtu: u32,
    master: Option<Device>,
    from_loopback: bool,
    seen: &Seen,
    link: Option<&SeenLink>,
    steps: &mut Vec<Step>,
) {
    let mut when = |differs: bool, change| {
        if differs {
            steps.push(Step::Change { device, change });
        }
    };
    let enslaved = link.and_then(|link| link.master);
    let right = match master {
        None => enslaved.is_none(),
        Some(master) => {
            find(seen, master, Kind::Bridge).is_some_and(|bridge| enslaved == Some(bridge.index))
        }
    };
    // One that is made has the rest already.
    let differs = |test: fn(&SeenLink, u32) -> bool| link.is_some_and(|link| test(link, mtu));
    when(
        differs(|link, _| link.mac != HOST_MAC),
        Change::Mac(HOST_MAC),
    );
    when(differs(|link, mtu| link.mtu != mtu), Change::Mtu(mtu));
    when(
        link.is_none_or(|link| link.makes_addresses),
        Change::NoOwnAddresses,
    );
    when(!right, Change::Master(master));
    when(link.is_none_or(|link| !link.up), Change::Up);
    let has_loopback = link.is_some_and(|link| seen.from_loopback.contains(&link.name));
    when(
        from_loopback != has_loopback,
        Change::FromLoopback(from_loopback),
    );
}

fn address_steps(
    device: Device,
    wanted: &[OnLink],
    seen: &Seen,
    link: Option<&SeenLink>,
    steps: &mut Vec<Step>,
) {
    let here = |address: &&Address| link.is_some_and(|link| link.index == address.index);
    let there: BTreeSet<OnLink> = seen
        .addresses
        .iter()
        .filter(here)
        .map(|seen| OnLink {
            address: seen.address,
            length: seen.length,
        })
        .collect();
    for &address in there.iter().filter(|there| !wanted.contains(there)) {
        // Another link-local address may be the kernel's own.
        let own = matches!(address.address, IpAddr::V6(v6) if v6.is_unicast_link_local());
        if !own {
            steps.push(Step::DropAddress { device, address });
        }
    }
    for &address in wanted.iter().filter(|wanted| !there.contains(wanted)) {
        steps.push(Step::SetAddress { device, address });
    }
}

fn neighbour_steps(
    device: Device,
    addresses: &[IpAddr],
    mac: Mac,
    seen: &Seen,
    link: Option<&SeenLink>,
    steps: &mut Vec<Step>,
) {
    let mut missing: BTreeSet<IpAddr> = addresses.iter().copied().collect();
    let here = seen.neighbours.iter();
    let here = here.filter(|seen| link.is_some_and(|link| link.index == seen.index));
    for neighbour in here.filter(|neighbour| neighbour.permanent) {
        let address = neighbour.address;
        if !addresses.contains(&address) {
            steps.push(Step::DropNeighbour { device, address });
        } else if neighbour.mac == Some(mac) {
            missing.remove(&address);
        }
    }
    steps.extend(missing.into_iter().map(|address| Step::SetNeighbour {
        device,
        address,
        mac,
    }));
}

fn route_steps(
    device: Device,
    addresses: &[IpAddr],
    seen: &Seen,
    link: Option<&SeenLink>,
    steps: &mut Vec<Step>,
) {
    let mut missing: BTreeSet<IpAddr> = addresses.iter().copied().collect();
    for route in &seen.routes {
        let here = link.is_some_and(|link| route.hop == Hop::Device(link.index));
        if !here || route.protocol != PROTOCOL {
            continue;
        }
        let subnet = route.subnet;
        let whole = subnet.length() == subnet.family().bits();
        let metric = match subnet.family() {
            Family::V4 => 0,
            Family::V6 => METRIC6,
        };
        let right = whole && route.metric == metric && addresses.contains(&subnet.address());
        if right {
            missing.remove(&subnet.address());
        } else {
            steps.push(Step::DropRoute {
                device,
                subnet,
                metric: route.metric,
            });
        }
    }
    let missing = missing.into_iter();
    steps.extend(missing.map(|address| Step::SetRoute { device, address }));
}

#[cfg(test)]
mod tests;
