//! An agent may be stopped between any two steps: what is there then is safe.

use std::{collections::BTreeSet, net::IpAddr};

use model::{kernel::Kernel, make::hosts};
use overlay::{
    datapath::{
        device::Change,
        entry::Via,
        host::Host,
        observed::{Hop, Object, Observed, SeenRoute, Us, ours},
        plan::plan,
        step::{Step, Target},
    },
    subnet::Subnet,
};
use proptest::prelude::*;

use super::{cases, with_leftovers};

proptest! {
    #![proptest_config(cases(300))]

    /// A route that a plan has set has, from then on, the neighbour and the FDB entry
    /// that its peer should have, and the peer may send.
    #[test]
    fn no_route_is_set_before_what_it_needs((host, seen) in with_leftovers(hosts())) {
        let mut kernel = Kernel::under(&host, seen.clone());
        let mut set: BTreeSet<Subnet> = BTreeSet::new();
        for step in plan(&host, &seen).steps {
            let done = kernel.apply(&step).is_ok();
            if let Step::SetRoute(route) = &step
                && matches!(route.target, Target::Overlay { .. })
                && done
            {
                set.insert(route.subnet);
            }
            for subnet in &set {
                let lack = lack(&host, &kernel.observe(), *subnet);
                prop_assert_eq!(lack, None, "{} after {}", subnet, step);
            }
        }
    }

    /// A route of ours that had what it needs keeps it for as long as it is there,
    /// whatever the plan removes. Somebody else's route to a peer stays when that goes.
    #[test]
    fn no_route_outlives_what_it_needs((host, seen) in with_leftovers(hosts())) {
        let mut kernel = Kernel::under(&host, seen.clone());
        for step in plan(&host, &seen).steps {
            let before = kernel.observe();
            let _ = kernel.apply(&step);
            if !(step.removes() && matches!(step, Step::DropFdb { .. } | Step::DropNeighbour { .. })) {
                continue;
            }
            let now = kernel.observe();
            let us = Us::among(host.mac(), &now.links);
            for route in now.routes.iter().filter(|route| ours(Object::Route(route), &us)) {
                let was_backed = is_backed(&before, route);
                prop_assert!(!was_backed || is_backed(&now, route), "{:?} after {}", route, step);
            }
        }
    }

    /// No device is up, by this plan, on a port that is not guarded.
    #[test]
    fn the_port_is_guarded_before_a_device_is_up((host, seen) in with_leftovers(hosts())) {
        let mut kernel = Kernel::under(&host, seen.clone());
        let wanted = host.firewall().map(|firewall| firewall.frame);
        for step in plan(&host, &seen).steps {
            let _ = kernel.apply(&step);
            let ups = matches!(step, Step::Create(_) | Step::Change { change: Change::Up, .. });
            let guarded = kernel.observe().firewall.and_then(|table| table.frame) == wanted;
            prop_assert!(!ups || guarded, "{}", step);
        }
    }

    /// Nobody is shut out while something still leads to them.
    #[test]
    fn nobody_is_barred_before_the_routes_are_gone((host, seen) in with_leftovers(hosts())) {
        let steps = plan(&host, &seen).steps;
        let first_bar = steps.iter().position(|step| matches!(step, Step::Bar(_) | Step::NoFirewall));
        let last_drop = steps
            .iter()
            .rposition(|step| matches!(step, Step::DropRoute(_) | Step::DropFdb { .. }));
        if let (Some(bar), Some(drop)) = (first_bar, last_drop) {
            prop_assert!(drop < bar);
        }
    }
}

/// What a wanted route through our device does not have.
fn lack(host: &Host, seen: &Observed, subnet: Subnet) -> Option<String> {
    let member = host
        .members()
        .find(|member| member.entries().routes.get(&subnet).is_some())?;
    let link = seen
        .links
        .iter()
        .find(|link| link.name == format!("weft{}", member.vni()))?;
    let Via::Overlay(gateway) = *member.entries().routes.get(&subnet)? else {
        return None;
    };
    let mac = *member.entries().neighbours.get(&gateway)?;
    let to = *member.entries().fdb.get(&mac)?;
    let neighbour = seen.neighbours.iter().any(|neighbour| {
        (neighbour.index, neighbour.address) == (link.index, gateway)
            && neighbour.mac == Some(mac)
            && neighbour.permanent
    });
    let fdb = seen
        .fdb
        .iter()
        .any(|fdb| (fdb.index, fdb.mac, fdb.to, fdb.plain) == (link.index, mac, Some(to), true));
    let admits = |to: &IpAddr| {
        seen.firewall
            .as_ref()
            .is_some_and(|table| table.sources.contains(to))
    };
    if !neighbour {
        Some(format!("no neighbour {mac}"))
    } else if !fdb {
        Some(format!("no FDB entry for {mac}"))
    } else if !admits(&to) {
        Some(format!("{to} is not admitted"))
    } else {
        None
    }
}

/// Packets for this route find their way.
fn is_backed(seen: &Observed, route: &SeenRoute) -> bool {
    let Hop::Gateway {
        gateway, device, ..
    } = route.hop
    else {
        return false;
    };
    let mut neighbours = seen.neighbours.iter();
    let neighbour = neighbours.find(|neighbour| {
        (neighbour.index, neighbour.address) == (device, gateway) && neighbour.permanent
    });
    let mac = neighbour.and_then(|neighbour| neighbour.mac);
    let mut fdb = seen.fdb.iter();
    mac.is_some_and(|mac| fdb.any(|fdb| (fdb.index, fdb.mac) == (device, mac) && fdb.to.is_some()))
}
