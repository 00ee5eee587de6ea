//! The difference between what a host wants and what its kernel holds.
//!
//! Every prefix of a plan is safe: the port is guarded before a device is up, no route
//! is there before the neighbour and the FDB entry that it needs, and none stays after
//! them. What is not ours is left alone, and where something is not yet known, nothing
//! is deleted.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::{
    device::{Change, Device, Difference, Link, name},
    firewall::published,
    host::Host,
    member::{Known, Member, Wanted},
    observed::{Object, Observed, SeenRoute, Us, ours},
    step::Step,
    uplink::LEAST_MTU_V6,
};
use crate::{network::Vni, record::Mac, subnet::Family};

use compare::compare;
use passages::{close, passages};
use routes::{doomed, routes};
pub(super) use routes::{is_exact, wanted_route};

mod compare;
mod passages;
mod routes;

/// What is to be done, and what somebody else stands in the way of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    pub steps: Vec<Step>,
    /// Routes of others with a prefix and metric that ours should have.
    pub blocked: Vec<SeenRoute>,
}

/// Steps by when they are done.
#[derive(Default)]
struct Phases {
    first: Vec<Step>,
    devices: Vec<Step>,
    addresses: Vec<Step>,
    fdb: Vec<Step>,
    neighbours: Vec<Step>,
    routes: Vec<Step>,
    drop_routes: Vec<Step>,
    drop_neighbours: Vec<Step>,
    drop_fdb: Vec<Step>,
    last: Vec<Step>,
}

/// A network's device as it is found, before the plan.
struct Place {
    /// Where it is, and what it holds that will still be there.
    index: Option<u32>,
    keeps_neighbours: bool,
}

pub fn plan(host: &Host, observed: &Observed) -> Plan {
    let us = Us::among(host.mac(), &observed.links);
    let mut phases = Phases::default();
    let mut places = BTreeMap::new();
    // Devices first: until they are gone the port is guarded.
    if host.is_complete() {
        strays(host, observed, &us, &mut phases);
    }
    guard(host, observed, &mut phases);
    passages(host, observed, &mut phases);
    for member in host.members() {
        let Some(wanted) = member.wanted() else {
            continue;
        };
        let place = device(&wanted.device, observed, &us, &mut phases);
        entries(member, &wanted, &place, observed, &us, &mut phases);
        places.insert(member.vni(), place);
    }
    settings(host, &places, observed, &mut phases);
    let blocked = routes(host, &places, observed, &us, &mut phases);
    Plan {
        steps: phases.in_order(),
        blocked,
    }
}

/// The steps that take every trace of Weft out of a kernel.
pub fn farewell(observed: &Observed, mac: Mac) -> Vec<Step> {
    let us = Us::among(mac, &observed.links);
    let mut steps: Vec<Step> = observed
        .routes
        .iter()
        .filter(|route| ours(Object::Route(route), &us))
        .map(|route| Step::DropRoute(doomed(route)))
        .collect();
    let links = observed.links.iter();
    steps.extend(
        links
            .filter(|link| us.devices.contains(&link.index))
            .map(delete),
    );
    let filters = observed.filters.iter().filter(|(_, seen)| seen.is_any());
    steps.extend(filters.map(|(filter, seen)| close(*filter, seen)));
    // Last: until then nobody else may use the port.
    if observed.firewall.is_some() {
        steps.push(Step::NoFirewall);
    }
    steps
}

fn guard(host: &Host, observed: &Observed, phases: &mut Phases) {
    let nothing = BTreeSet::new();
    let before = observed.firewall.as_ref();
    let published = before.map_or(&nothing, |seen| &seen.published);
    let Some(mut firewall) = host.firewall_beside(published) else {
        let may_go = host.ports().known().is_some() || published.is_empty();
        if before.is_some() && host.is_complete() && may_go {
            phases.last.push(Step::NoFirewall);
        }
        return;
    };
    let intact = before.filter(|seen| seen.frame.as_ref() == Some(&firewall.frame));
    let Some(seen) = intact else {
        if let Some(before) = before.filter(|_| !host.is_complete()) {
            firewall.sources.extend(&before.sources);
        }
        phases.first.push(Step::Firewall(Box::new(firewall)));
        return;
    };
    let missing = firewall.sources.difference(&seen.sources);
    phases
        .first
        .extend(missing.map(|address| Step::Admit(*address)));
    let ports = published::changes(&seen.published, &firewall.published);
    phases.first.extend(ports);
    if host.is_complete() {
        let stale = seen.sources.difference(&firewall.sources);
        phases.last.extend(stale.map(|address| Step::Bar(*address)));
    }
}

fn settings(host: &Host, places: &BTreeMap<Vni, Place>, observed: &Observed, phases: &mut Phases) {
    let made = places.iter().filter(|(_, place)| place.index.is_none());
    let made: Vec<String> = made.map(|(vni, _)| name(*vni)).collect();
    for setting in host.settings() {
        // What is seen of a device that is made anew is that of the old one.
        let is_new = setting.sysctl.path.iter().any(|part| made.contains(part));
        let seen = observed.sysctl(&setting.sysctl);
        if setting.is_due(seen.filter(|_| !is_new)) {
            // One that belongs to a device follows the device.
            phases.devices.push(Step::Sysctl(setting.sysctl));
        }
    }
}

fn device(device: &Device, observed: &Observed, us: &Us, phases: &mut Phases) -> Place {
    let same =
        |link: &&Link| us.devices.contains(&link.index) && link.vxlan.vni == u32::from(device.vni);
    let mut links: Vec<&Link> = observed.links.iter().filter(same).collect();
    links.sort_by_key(|link| (link.vxlan.port != device.port, link.name != device.name()));
    let mut links = links.into_iter();
    let difference = links.next().map(|link| (link, device.difference(link)));
    // A second one would be in the way.
    phases.devices.extend(links.map(delete));
    match difference {
        Some((link, Difference::Changes(changes))) => {
            let keeps_neighbours = !changes
                .iter()
                .any(|change| matches!(change, Change::Mac(_)));
            let vni = device.vni;
            let changes = changes.into_iter();
            phases
                .devices
                .extend(changes.map(|change| Step::Change { vni, change }));
            Place {
                index: Some(link.index),
                keeps_neighbours,
            }
        }
        Some((link, Difference::Remake)) => {
            phases.devices.push(delete(link));
            create(device, phases)
        }
        None => create(device, phases),
    }
}

fn create(device: &Device, phases: &mut Phases) -> Place {
    let vni = device.vni;
    phases.devices.push(Step::Create(Box::new(device.clone())));
    let mut change = |change| phases.devices.push(Step::Change { vni, change });
    // Below there is no IPv6 that could be told.
    if device.mtu >= LEAST_MTU_V6 {
        change(Change::NoOwnAddresses);
    }
    if !device.offload {
        change(Change::Offload(false));
    }
    change(Change::Up);
    Place {
        index: None,
        keeps_neighbours: false,
    }
}

fn delete(link: &Link) -> Step {
    Step::Delete {
        index: link.index,
        name: link.name.clone(),
    }
}

/// Addresses, FDB and neighbours of one network.
fn entries(
    member: &Member,
    wanted: &Wanted,
    place: &Place,
    observed: &Observed,
    us: &Us,
    phases: &mut Phases,
) {
    let vni = member.vni();
    let here = |index: u32| place.index == Some(index);
    let synced = member.known().is_complete();
    let doubted = is_doubted(member);

    let mut addresses: BTreeSet<IpAddr> = wanted.addresses.iter().copied().collect();
    for seen in observed.addresses.iter().filter(|seen| here(seen.index)) {
        let family = Family::of(seen.address);
        // IPv6 has an address once, of whatever length.
        let fits = seen.length == family.bits() || family == Family::V6;
        let good = fits && addresses.remove(&seen.address);
        if !good && !doubted && ours(Object::Address(seen), us) {
            let address = seen.address;
            phases.last.push(Step::DropAddress { vni, address });
        }
    }
    let missing = addresses.into_iter();
    phases
        .addresses
        .extend(missing.map(|address| Step::SetAddress { vni, address }));

    let seen = observed.fdb.iter().filter(|seen| here(seen.index));
    let seen = seen.map(|seen| (seen.mac, seen.to.filter(|_| seen.plain)));
    let fdb = compare(&mut member.entries().fdb.iter(), seen.collect(), doubted);
    let set = fdb.set.into_iter();
    phases
        .fdb
        .extend(set.map(|(mac, to)| Step::SetFdb { vni, mac, to }));
    if synced {
        let drop = fdb.drop.into_iter();
        phases
            .drop_fdb
            .extend(drop.map(|mac| Step::DropFdb { vni, mac }));
    }

    let wanted = &member.entries().neighbours;
    let seen = observed.neighbours.iter().filter(|seen| {
        here(seen.index)
            && place.keeps_neighbours
            && (ours(Object::Neighbour(seen), us) || wanted.get(&seen.address).is_some())
    });
    let seen = seen.map(|seen| (seen.address, seen.mac.filter(|_| seen.permanent)));
    let neighbours = compare(&mut wanted.iter(), seen.collect(), doubted);
    let set = neighbours.set.into_iter();
    phases
        .neighbours
        .extend(set.map(|(address, mac)| Step::SetNeighbour { vni, address, mac }));
    if synced {
        let drop = neighbours.drop.into_iter();
        phases
            .drop_neighbours
            .extend(drop.map(|address| Step::DropNeighbour { vni, address }));
    }
}

/// What the kernel has in the place of an entry may be the later one.
fn is_doubted(member: &Member) -> bool {
    matches!(member.known(), Known::Restored(_))
}

/// Devices of networks that this host has left.
fn strays(host: &Host, observed: &Observed, us: &Us, phases: &mut Phases) {
    let wanted: BTreeSet<u32> = host.members().map(|member| member.vni().into()).collect();
    let stray = observed
        .links
        .iter()
        .filter(|link| us.devices.contains(&link.index) && !wanted.contains(&link.vxlan.vni));
    phases.last.extend(stray.map(delete));
}

impl Phases {
    fn in_order(self) -> Vec<Step> {
        let mut steps = self.first;
        for mut phase in [
            self.devices,
            self.addresses,
            self.fdb,
            self.neighbours,
            self.routes,
            self.drop_routes,
            self.drop_neighbours,
            self.drop_fdb,
            self.last,
        ] {
            steps.append(&mut phase);
        }
        steps
    }
}

#[cfg(test)]
mod tests;
