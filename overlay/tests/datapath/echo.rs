//! What a kernel tells: its own echo is no reason to look again, and whatever somebody
//! else did is one.

use std::{cell::Cell, time::Duration};

use model::{
    kernel::Kernel,
    make::hosts,
    told::{Routes, Told, told},
};
use overlay::{
    datapath::{
        host::{Host, Sighting},
        observed::Observed,
        plan::plan,
        step::Step,
    },
    subnet::Family,
};
use proptest::{prelude::*, test_runner::TestRunner};

use super::{
    cases,
    increments::{act, with_acts},
    rounds::rounds,
    settled, with_leftovers,
};

/// Everything that is there, as a kernel would tell it.
fn sightings(seen: &Observed) -> Vec<Sighting> {
    let gone = false;
    let fdb = seen.fdb.iter().map(|fdb| Sighting::Fdb { gone, fdb: *fdb });
    let neighbours = seen.neighbours.iter().map(|neighbour| Sighting::Neighbour {
        gone,
        neighbour: *neighbour,
    });
    let addresses = seen.addresses.iter().map(|address| Sighting::Address {
        gone,
        address: *address,
    });
    let routes = seen.routes.iter().map(|route| Sighting::Route {
        gone,
        route: *route,
    });
    fdb.chain(neighbours)
        .chain(addresses)
        .chain(routes)
        .collect()
}

fn expected(host: &Host, kernel: &Kernel, told: &[Told]) -> Option<bool> {
    let devices = kernel.devices();
    let mut all = true;
    for told in told {
        match told {
            // Whoever hears this looks again.
            Told::Link(_) | Told::Table => return None,
            Told::Seen(sighting) => all &= host.expects(sighting, &devices),
        }
    }
    Some(all)
}

proptest! {
    #![proptest_config(cases(300))]

    /// What is as it should be is expected, beside whatever is not ours.
    #[test]
    fn what_should_be_is_expected((host, seen) in with_leftovers(hosts())) {
        let mut kernel = Kernel::under(&host, seen);
        rounds(&host, &mut kernel)?;
        let seen = kernel.observe();
        let blocked = plan(&host, &seen).blocked;
        // Devices of networks for whose packets nothing is wide enough are left as they are.
        let small = host.members().any(|member| member.path().is_none());
        for sighting in sightings(&seen) {
            let known = matches!(&sighting, Sighting::Route { route, .. }
                if blocked.contains(route));
            // A base address that somebody gave another length is worth a look.
            let length = matches!(&sighting, Sighting::Address { address, .. }
                if address.length < Family::of(address.address).bits());
            if !known && !small && !length {
                prop_assert!(host.expects(&sighting, &kernel.devices()), "{:?}", sighting);
            }
        }
    }

    /// The echo of the steps of a change.
    #[test]
    fn the_echo_of_a_change_is_expected((mut host, acts) in with_acts()) {
        let mut kernel = settled(&host);
        let mut now = Duration::ZERO;
        for one in acts {
            for step in act(&mut host, one, &mut now) {
                let before = kernel.observe();
                let _ = kernel.apply(&step);
                let told = told(&before, &kernel.observe(), Routes::Themselves);
                // A route that moves over to our device goes first: one look too many.
                let moves = matches!(&step, Step::DropRoute(_));
                let expected = expected(&host, &kernel, &told);
                prop_assert!(moves || expected != Some(false), "{}: {:?}", step, told);
            }
        }
    }

    /// The echo of a plan, but for what a step takes along.
    #[test]
    fn the_echo_of_what_a_plan_sets_is_expected((host, seen) in with_leftovers(hosts())) {
        let mut kernel = Kernel::under(&host, seen.clone());
        for step in plan(&host, &seen).steps {
            let before = kernel.observe();
            if step.kind() == "device" || step.removes() {
                let _ = kernel.apply(&step);
                continue;
            }
            let _ = kernel.apply(&step);
            let told = told(&before, &kernel.observe(), Routes::Themselves);
            prop_assert_ne!(expected(&host, &kernel, &told), Some(false), "{}: {:?}", step, told);
        }
    }
}

/// Whatever somebody does and the kernel tells is a reason to look again.
#[test]
fn no_tampering_is_expected() {
    let (heard, silent) = (Cell::new(0), Cell::new(0));
    TestRunner::new(cases(40))
        .run(&hosts(), |host| {
            let kernel = settled(&host);
            for tampering in kernel.tamperings(&host) {
                let mut tampered = kernel.clone();
                let Ok(told) = tampered.tamper(&tampering) else {
                    continue;
                };
                if told.is_empty() {
                    silent.set(silent.get() + 1);
                    continue;
                }
                heard.set(heard.get() + 1);
                // It listens with what it knew before.
                let expected = expected(&host, &kernel, &told);
                prop_assert_ne!(expected, Some(true), "{:?}: {:?}", tampering, told);
            }
            Ok(())
        })
        .unwrap();
    println!("{} heard, {} silent", heard.get(), silent.get());
    assert!(heard.get() > 2_000 && silent.get() > 0);
}
