//! Where something is not yet known, nothing is deleted.

use std::{collections::BTreeSet, time::Duration};

use model::{
    kernel::Kernel,
    make::{Standing, doubtful_hosts, host as make, hosts, peers},
};
use overlay::{
    datapath::{
        host::Host,
        observed::{Hop, Observed},
        plan::plan,
        step::Step,
    },
    network::Vni,
};
use proptest::prelude::*;

use super::{cases, right::wrong, rounds::rounds, with_leftovers};

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

    /// A state file of an earlier day is not believed against the kernel: what it knows and
    /// the kernel has not is made, and what the kernel has stays as it is.
    #[test]
    fn an_older_state_takes_and_changes_nothing(
        (host, others) in hosts().prop_flat_map(|host| {
            let parts = model::make::parts(&host);
            let others: Vec<_> = parts.iter().map(|part| peers(&part.network)).collect();
            (Just(host), others)
        })
    ) {
        let seen = super::settled(&host).observe();
        let mut parts = model::make::parts(&host);
        for (part, older) in parts.iter_mut().zip(others) {
            part.peers = older;
            part.standing = Standing::Restored;
        }
        let again = make(&parts);
        let mut kernel = Kernel::under(&again, seen.clone());
        rounds(&again, &mut kernel)?;
        let now = kernel.observe();
        for (had, has) in [
            (format_all(&seen.fdb), format_all(&now.fdb)),
            (format_all(&seen.neighbours), format_all(&now.neighbours)),
            (format_all(&seen.routes), format_all(&now.routes)),
            (format_all(&seen.addresses), format_all(&now.addresses)),
        ] {
            prop_assert!(had.is_subset(&has), "{:?} is gone", had.difference(&has));
        }
        let sources = |seen: &Observed| {
            seen.firewall.as_ref().map(|table| table.sources.clone()).unwrap_or_default()
        };
        prop_assert!(sources(&seen).is_subset(&sources(&now)));
        for member in again.members().filter(|member| member.path().is_some()) {
            let is_there = |mac| now.fdb.iter().any(|fdb| fdb.mac == mac);
            for (mac, _) in member.entries().fdb.iter() {
                prop_assert!(is_there(*mac), "{} is not restored", mac);
            }
        }
        // A controller says the same as before the restart: all is as it was.
        let mut told = again;
        for part in model::make::parts(&host) {
            told.snapshot(&part.network.name, part.peers, Duration::ZERO);
        }
        told.let_go(Duration::MAX);
        rounds(&told, &mut kernel)?;
        prop_assert_eq!(wrong(&told, &kernel.observe()), Vec::<String>::new());
    }

    /// Doubt ends somewhere, too: a plan has nothing more to do after two rounds.
    #[test]
    fn doubt_does_not_turn_in_circles((host, seen) in with_leftovers(doubtful_hosts())) {
        let mut kernel = Kernel::under(&host, seen);
        rounds(&host, &mut kernel)?;
    }
}

fn format_all<T: std::fmt::Debug>(all: &[T]) -> BTreeSet<String> {
    all.iter().map(|one| format!("{one:?}")).collect()
}

fn is_synced(host: &Host, vni: Vni) -> bool {
    let mut members = host.members();
    members.any(|member| member.vni() == vni && member.known().is_complete())
}

/// Whose device this hop leads to.
fn network_of(seen: &Observed, hop: Hop) -> Option<Vni> {
    let (Hop::Gateway { device, .. } | Hop::Device(device)) = hop else {
        return None;
    };
    let link = seen.links.iter().find(|link| link.index == device)?;
    Vni::try_from(link.vxlan.vni).ok()
}
