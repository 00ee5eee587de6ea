//! What is not ours is left alone.

use std::collections::BTreeSet;

use model::{
    kernel::Kernel,
    make::{doubtful_hosts, hosts, is_foreign},
};
use overlay::{
    datapath::{
        entry::{PROTOCOL, UNREACHABLE_METRIC, metric},
        host::Host,
        observed::{Hop, Object, Observed, Us, ours},
        plan::{farewell, plan},
        step::Step,
    },
    subnet::Subnet,
};
use proptest::prelude::*;

use super::{cases, with_leftovers};

proptest! {
    #![proptest_config(cases(300))]

    /// Whatever is not on a device of ours is the same, byte for byte, after any plan.
    #[test]
    fn what_is_elsewhere_stays_as_it_is((host, seen) in with_leftovers(doubtful_hosts())) {
        let us = Us::among(host.mac(), &seen.links);
        let mut kernel = Kernel::under(&host, seen.clone());
        kernel.apply_all(&plan(&host, &seen).steps);
        let now = kernel.observe();
        let us_now = Us::among(host.mac(), &now.links);
        prop_assert_eq!(is_foreign(&now, &us_now), is_foreign(&seen, &us));
    }

    /// What others have on our devices stays, unless its device goes.
    #[test]
    fn guests_of_our_devices_stay((host, seen) in with_leftovers(doubtful_hosts())) {
        let steps = plan(&host, &seen).steps;
        let mut kernel = Kernel::under(&host, seen.clone());
        kernel.apply_all(&steps);
        let (now, us) = (kernel.observe(), Us::among(host.mac(), &seen.links));
        let stays = |index: u32| now.links.iter().any(|link| link.index == index);
        for address in &seen.addresses {
            let v6_ends = steps.iter().any(|step| step.to_string().contains("mtu 12"));
            if !ours(Object::Address(address), &us) && stays(address.index) && !v6_ends {
                prop_assert!(now.addresses.contains(address), "{:?}", address);
            }
        }
        for route in &seen.routes {
            let Hop::Device(device) = route.hop else { continue };
            // With the last IPv4 address of a device its routes go.
            let has_address = now.addresses.iter().any(|address| address.index == device && address.address.is_ipv4());
            if !ours(Object::Route(route), &us) && stays(device) && has_address {
                prop_assert!(now.routes.contains(route), "{:?}", route);
            }
        }
    }

    /// Routes of ours whose place somebody else has are named, and nobody is put out of
    /// it.
    #[test]
    fn blocked_places_are_reported((host, seen) in with_leftovers(hosts())) {
        let us = Us::among(host.mac(), &seen.links);
        let blocked = plan(&host, &seen).blocked;
        let places = places(&host);
        for route in &seen.routes {
            let taken = places.contains(&(route.subnet, route.metric))
                && !ours(Object::Route(route), &us);
            let on_stray = matches!(route.hop, Hop::Gateway { device, .. } | Hop::Device(device)
                if us.devices.contains(&device));
            if !on_stray {
                prop_assert_eq!(blocked.contains(route), taken, "{:?}", route);
            }
        }
    }

    /// No step names anything that is not ours.
    #[test]
    fn no_step_is_about_somebody_else((host, seen) in with_leftovers(doubtful_hosts())) {
        let us = Us::among(host.mac(), &seen.links);
        let others = seen.routes.iter().filter(|route| !ours(Object::Route(route), &us));
        let others: BTreeSet<(Subnet, u32, u8)> =
            others.map(|route| (route.subnet, route.metric, route.protocol)).collect();
        let slots: BTreeSet<(Subnet, u32)> =
            others.iter().map(|(subnet, metric, _)| (*subnet, *metric)).collect();
        let steps = plan(&host, &seen).steps;
        for step in steps.iter().chain(&farewell(&seen, host.mac())) {
            match step {
                Step::Delete { index, .. } => prop_assert!(us.devices.contains(index), "{}", step),
                Step::DropRoute(doomed) => {
                    let route = (doomed.subnet, doomed.metric, doomed.protocol);
                    prop_assert!(!others.contains(&route), "{}", step);
                }
                Step::SetRoute(route) => {
                    prop_assert!(!slots.contains(&(route.subnet, route.metric())), "{}", step);
                }
                _ => {}
            }
        }
    }

    /// After a farewell nothing of ours is left, and all that is not ours.
    #[test]
    fn a_farewell_leaves_nothing_but_what_is_not_ours((host, seen) in with_leftovers(hosts())) {
        let us = Us::among(host.mac(), &seen.links);
        let mut kernel = Kernel::under(&host, seen.clone());
        prop_assert_eq!(kernel.apply_all(&farewell(&seen, host.mac())), []);
        let now = kernel.observe();
        prop_assert_eq!(is_foreign(&now, &kernel.us()), is_foreign(&seen, &us));
        prop_assert_eq!(kernel.us().devices.len(), 0);
        prop_assert!(now.routes.iter().all(|route| route.protocol != PROTOCOL));
        prop_assert_eq!(now.firewall, None);
        prop_assert_eq!(farewell(&kernel.observe(), host.mac()), []);
    }
}

/// Prefix and metric of all routes that this host wants.
fn places(host: &Host) -> BTreeSet<(Subnet, u32)> {
    let mut places = BTreeSet::new();
    for member in host.members() {
        let Some(wanted) = member.wanted() else {
            continue;
        };
        places.extend(wanted.own.iter().map(|own| (*own, UNREACHABLE_METRIC)));
        let routes = member.entries().routes.iter();
        places.extend(routes.map(|(subnet, _)| (*subnet, metric(*subnet))));
    }
    places
}

/// The list is worth something only if it holds what it should.
#[test]
fn look_alikes_are_among_the_leftovers() {
    use model::make::{Foreign, plant};
    use proptest::{strategy::ValueTree, test_runner::TestRunner};

    let mut runner = TestRunner::deterministic();
    let host = hosts().new_tree(&mut runner).unwrap().current();
    let mut seen = Observed::default();
    plant(Foreign::Flannel, &host, &mut seen);
    assert!(seen.links.iter().any(|link| link.name == "flannel.1"));
    let us = Us::among(host.mac(), &seen.links);
    assert!(us.devices.is_empty());
}
