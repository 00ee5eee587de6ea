//! The routes of all networks, and whether a route that is seen is the one wanted.

use std::collections::{BTreeMap, BTreeSet};

use super::{Phases, Place, is_doubted};
use crate::{
    datapath::{
        entry::{PROTOCOL, UNREACHABLE_METRIC, metric},
        host::Host,
        member::Member,
        observed::{Hop, Object, Observed, SeenRoute, Us, ours},
        step::{Doomed, Route, Step, Target},
    },
    network::Vni,
    subnet::Subnet,
};

/// The routes of all networks: those of others, in our place, are returned.
pub(super) fn routes(
    host: &Host,
    places: &BTreeMap<Vni, Place>,
    observed: &Observed,
    us: &Us,
    phases: &mut Phases,
) -> Vec<SeenRoute> {
    let indices: BTreeMap<u32, Vni> = places
        .iter()
        .filter_map(|(vni, place)| Some((place.index?, *vni)))
        .collect();
    let synced: BTreeSet<Vni> = host
        .members()
        .filter(|member| member.known().is_complete())
        .map(Member::vni)
        .collect();
    let complete = host.is_complete();
    let mut blocked = Vec::new();
    // Those that are there as they should be, or cannot be had.
    let mut settled: Vec<(Subnet, u32)> = Vec::new();
    let mut wrong: Vec<&SeenRoute> = Vec::new();
    for seen in &observed.routes {
        let on_device = match seen.hop {
            Hop::Gateway { device, .. } | Hop::Device(device) => Some(device),
            Hop::Unreachable | Hop::Other => None,
        };
        let is_ours = ours(Object::Route(seen), us);
        // It goes with its device.
        if on_device
            .is_some_and(|index| us.devices.contains(&index) && !indices.contains_key(&index))
        {
            continue;
        }
        match wanted_route(host, seen) {
            Some(wanted) if is_exact(seen, wanted, &indices) => {
                settled.push((seen.subnet, seen.metric));
            }
            Some(_) if !is_ours => {
                settled.push((seen.subnet, seen.metric));
                blocked.push(*seen);
            }
            // It leads into a network, and may be the later one.
            Some(_) if on_device.is_some() && doubts(host, seen) => {
                settled.push((seen.subnet, seen.metric));
            }
            Some(_) => wrong.push(seen),
            None => {
                let network = on_device.and_then(|index| indices.get(&index));
                let known = network.is_some_and(|vni| synced.contains(vni));
                if is_ours && (known || complete) {
                    phases.drop_routes.push(Step::DropRoute(doomed(seen)));
                }
            }
        }
    }
    settled.sort_unstable();
    // Setting a route replaces what is in its place, but for a second one that somebody
    // put beside it: then both go, and the right one comes back.
    for wrong in wrong {
        if let Ok(place) = settled.binary_search(&(wrong.subnet, wrong.metric)) {
            settled.remove(place);
            phases.routes.push(Step::DropRoute(doomed(wrong)));
        }
    }
    let is_settled = |route: &Route| {
        let slot = (route.subnet, route.metric());
        settled.binary_search(&slot).is_ok()
    };
    for member in host.members() {
        let Some(wanted) = member.wanted() else {
            continue;
        };
        let own = wanted.own.iter().map(|subnet| unreachable(*subnet));
        let own = own.filter(|route| !is_settled(route));
        // With the addresses: it keeps packets in before there are peers.
        phases.addresses.extend(own.map(Step::SetRoute));
        let peers = member.entries().routes.iter();
        let peers = peers.map(|(subnet, via)| member.route(*subnet, *via));
        let peers = peers.filter(|route| !is_settled(route));
        phases.routes.extend(peers.map(Step::SetRoute));
    }
    blocked
}

/// Is what should be in its place only known from disk?
fn doubts(host: &Host, seen: &SeenRoute) -> bool {
    let mut members = host.members().filter(|member| is_doubted(member));
    members.any(|member| member.entries().routes.get(&seen.subnet).is_some())
}

/// The route that should be where this one is: its prefix and metric are its place.
pub fn wanted_route(host: &Host, seen: &SeenRoute) -> Option<Route> {
    let subnet = seen.subnet;
    if seen.metric == UNREACHABLE_METRIC {
        let own = |member: &Member| {
            member
                .wanted()
                .is_some_and(|wanted| wanted.own.contains(&subnet))
        };
        return host.members().any(own).then(|| unreachable(subnet));
    }
    if seen.metric != metric(subnet) {
        return None;
    }
    host.members().find_map(|member| {
        member.path()?;
        let via = member.entries().routes.get(&subnet)?;
        Some(member.route(subnet, *via))
    })
}

/// Is it that route, to the last field?
pub fn is_exact(seen: &SeenRoute, wanted: Route, devices: &BTreeMap<u32, Vni>) -> bool {
    let hop = match (wanted.target, seen.hop) {
        (
            Target::Overlay {
                vni,
                gateway: wanted,
            },
            Hop::Gateway {
                gateway,
                device,
                onlink,
            },
        ) => {
            // A link-local gateway is on the link without a word.
            let as_said = onlink == wanted.is_ipv4();
            devices.get(&device) == Some(&vni) && gateway == wanted && as_said
        }
        (Target::Direct { gateway, device }, hop) => {
            hop == Hop::Gateway {
                gateway,
                device,
                onlink: false,
            }
        }
        (Target::Unreachable, Hop::Unreachable) => true,
        (Target::Unreachable | Target::Overlay { .. }, _) => false,
    };
    hop && seen.protocol == PROTOCOL
}

fn unreachable(subnet: Subnet) -> Route {
    Route {
        subnet,
        target: Target::Unreachable,
    }
}

pub(super) fn doomed(route: &SeenRoute) -> Doomed {
    Doomed {
        subnet: route.subnet,
        metric: route.metric,
        protocol: route.protocol,
        unreachable: route.hop == Hop::Unreachable,
    }
}
