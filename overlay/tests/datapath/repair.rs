//! Whatever one thing somebody does to what is ours, one plan repairs it.

use std::{cell::Cell, collections::BTreeSet};

use model::{kernel::Kernel, make::hosts, tamper::Tampering};
use overlay::datapath::{
    host::Host,
    observed::{Object, ours},
    plan::plan,
    step::Step,
};
use proptest::{prelude::*, test_runner::TestRunner};

use super::{cases, right::wrong, settled};

/// What bears no mark of ours any more is somebody's, and in our place: that is said.
fn is_disowned(kernel: &Kernel, tampering: &Tampering) -> bool {
    match tampering {
        Tampering::RouteChanged(_, into) => !ours(Object::Route(into), &kernel.us()),
        _ => false,
    }
}

fn repaired(host: &Host, tampered: &Kernel, tampering: &Tampering) -> Result<(), TestCaseError> {
    let mut kernel = tampered.clone();
    let first = plan(host, &kernel.observe());
    let refused = kernel.apply_all(&first.steps);
    let text = || first.steps.iter().map(Step::to_string).collect::<Vec<_>>();
    prop_assert_eq!(refused, [], "{:?}: {:#?}", tampering, text());
    let second = plan(host, &kernel.observe());
    prop_assert_eq!(second.steps, [], "{:?}: {:#?}", tampering, text());
    if is_disowned(tampered, tampering) {
        let Tampering::RouteChanged(old, into) = tampering else {
            return Ok(());
        };
        if (old.subnet, old.metric) == (into.subnet, into.metric) {
            prop_assert!(second.blocked.contains(into), "{:?}", tampering);
            return Ok(());
        }
    }
    let left = wrong(host, &kernel.observe());
    prop_assert_eq!(left, Vec::<String>::new(), "{:?}: {:#?}", tampering, text());
    Ok(())
}

#[test]
fn one_plan_repairs_whatever_one_thing_was_done() {
    let done = Cell::new(0);
    TestRunner::new(cases(40))
        .run(&hosts(), |host| {
            let kernel = settled(&host);
            for tampering in kernel.tamperings(&host) {
                let mut tampered = kernel.clone();
                if tampered.tamper(&tampering).is_ok() {
                    done.set(done.get() + 1);
                    repaired(&host, &tampered, &tampering)?;
                }
            }
            Ok(())
        })
        .unwrap();
    println!("{} tamperings", done.get());
    assert!(done.get() > 2_000, "{} tamperings", done.get());
}

/// The enumeration speaks of every kind of object.
#[test]
fn every_kind_of_object_is_tampered_with() {
    let kinds = Cell::new(BTreeSet::new());
    TestRunner::new(cases(40))
        .run(&hosts(), |host| {
            let mut all = kinds.take();
            for tampering in settled(&host).tamperings(&host) {
                let text = format!("{tampering:?}");
                let end = text.find(['(', ' ', '{']).unwrap_or(text.len());
                all.insert(text[..end].to_owned());
            }
            kinds.set(all);
            Ok(())
        })
        .unwrap();
    let kinds = kinds.take();
    assert_eq!(kinds.len(), 18, "{kinds:?}");
}
