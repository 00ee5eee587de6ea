//! Where something is not yet known, nothing is deleted.

use model::{
    kernel::Kernel,
    make::{Standing, doubtful_hosts, host as make, hosts},
};
use overlay::{
    datapath::{
        host::Host,
        member::Known,
        observed::{Hop, Observed},
        plan::plan,
        step::Step,
    },
    network::Vni,
};
use proptest::prelude::*;

use super::{cases, rounds::rounds, with_leftovers};

proptest! {
    #![proptest_config(cases(300))]

    /// No step takes anything from a network whose peers are not all known.
    #[test]
    fn nothing_of_an_unsynced_network_is_dropped((host, seen) in with_leftovers(doubtful_hosts())) {
        let steps = plan(&host, &seen).steps;
        let sets = |subnet| {
            let is = |step: &Step| matches!(step, Step::SetRoute(route) if route.subnet == subnet);
            steps.iter().any(is)
        };
        for step in &steps {
            let of = match step {
                // Something takes its place.
                Step::DropRoute(doomed) if sets(doomed.subnet) => None,
                Step::DropFdb { vni, .. } | Step::DropNeighbour { vni, .. } => Some(*vni),
                Step::DropRoute(doomed) => {
                    let route = seen.routes.iter().find(|route| {
                        (route.subnet, route.metric) == (doomed.subnet, doomed.metric)
                    });
                    route.and_then(|route| network_of(&seen, route.hop))
                }
                _ => None,
            };
            if let Some(vni) = of {
                prop_assert!(is_synced(&host, vni), "{}", step);
            }
        }
    }

    /// While anything is not known, nobody is shut out and no device goes but for the
    /// sake of its own network.
    #[test]
    fn no_stray_is_deleted_before_all_is_known((host, seen) in with_leftovers(doubtful_hosts())) {
        if host.is_complete() {
            return Ok(());
        }
        let before = seen.firewall.clone().map(|table| table.sources).unwrap_or_default();
        let steps = plan(&host, &seen).steps;
        for step in &steps {
            prop_assert!(!matches!(step, Step::Bar(_) | Step::NoFirewall), "{}", step);
            if let Step::Delete { index, .. } = step {
                let link = seen.links.iter().find(|link| link.index == *index).unwrap();
                let carried = host.members().any(|member| u32::from(member.vni()) == link.vxlan.vni);
                prop_assert!(carried, "{}", step);
            }
            if let Step::DropRoute(doomed) = step {
                let route = seen.routes.iter().find(|route| {
                    (route.subnet, route.metric) == (doomed.subnet, doomed.metric)
                });
                let hop = route.map(|route| route.hop);
                let wanted = host.members().any(|member| {
                    member.entries().routes.get(&doomed.subnet).is_some()
                });
                let known = hop.and_then(|hop| network_of(&seen, hop));
                prop_assert!(wanted || known.is_some_and(|vni| is_synced(&host, vni)), "{}", step);
            }
        }
        let mut kernel = Kernel::under(&host, seen);
        kernel.apply_all(&steps);
        let after = kernel.observe().firewall.map(|table| table.sources).unwrap_or_default();
        prop_assert!(before.is_subset(&after), "{:?} of {:?}", after, before);
    }

    /// What a kernel had of a network is all there after a restart that knows nothing
    /// yet: not one entry is gone.
    #[test]
    fn a_restart_takes_nothing((host, known) in hosts().prop_flat_map(|host| (Just(host), 0..5u8))) {
        let seen = super::settled(&host).observe();
        let standing = |at: usize| match (known, at) {
            (0, _) => Standing::Unknown,
            (1, _) => Standing::WithoutUplink,
            (2, _) | (3, 0) => Standing::Unsynced,
            _ => Standing::Synced,
        };
        let mut parts = model::make::parts(&host);
        for (at, part) in parts.iter_mut().enumerate() {
            part.standing = standing(at);
        }
        let again = make(&parts);
        let mut kernel = Kernel::under(&host, seen.clone());
        kernel.apply_all(&plan(&again, &seen).steps);
        let now = kernel.observe();
        prop_assert_eq!((&now.links, &now.addresses), (&seen.links, &seen.addresses));
        prop_assert_eq!((&now.fdb, &now.neighbours), (&seen.fdb, &seen.neighbours));
        prop_assert_eq!(&now.routes, &seen.routes);
        let elements = |seen: &Observed| {
            let table = seen.firewall.clone();
            table.map(|table| (table.sources, table.published))
        };
        prop_assert_eq!(elements(&now), elements(&seen));
    }

    /// Doubt ends somewhere, too: a plan has nothing more to do after two rounds.
    #[test]
    fn doubt_does_not_turn_in_circles((host, seen) in with_leftovers(doubtful_hosts())) {
        let mut kernel = Kernel::under(&host, seen);
        rounds(&host, &mut kernel)?;
    }
}

fn is_synced(host: &Host, vni: Vni) -> bool {
    let mut members = host.members();
    members.any(|member| member.vni() == vni && matches!(member.known(), Known::Synced(_)))
}

/// Whose device this hop leads to.
fn network_of(seen: &Observed, hop: Hop) -> Option<Vni> {
    let (Hop::Gateway { device, .. } | Hop::Device(device)) = hop else {
        return None;
    };
    let link = seen.links.iter().find(|link| link.index == device)?;
    Vni::try_from(link.vxlan.vni).ok()
}
