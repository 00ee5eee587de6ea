use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

fn fleet(nodes: usize) -> BTreeSet<NodeName> {
    let name = |number| format!("host-{number}").parse().unwrap();
    (0..nodes).map(name).collect()
}

fn choices(fleet: &BTreeSet<NodeName>) -> BTreeMap<NodeName, BTreeSet<NodeName>> {
    let of = |own: &NodeName| {
        let peers = fleet.iter().filter(|peer| *peer != own);
        chosen(own, peers).into_iter().cloned().collect()
    };
    fleet.iter().map(|own| (own.clone(), of(own))).collect()
}

#[test]
fn their_number_grows_as_the_logarithm() {
    let expected = [(1, 0), (2, 2), (5, 4), (200, 11), (1_000, 14), (10_000, 19)];
    for (nodes, count) in expected {
        assert_eq!(rings(nodes), count, "{nodes}");
    }
}

#[test]
fn in_a_small_fleet_everybody_probes_everybody() {
    for nodes in 1..=5 {
        for (own, chosen) in choices(&fleet(nodes)) {
            assert_eq!(chosen.len(), nodes - 1, "{own} of {nodes}");
        }
    }
}

#[test]
fn every_node_is_probed_by_about_as_many_as_it_probes() {
    for nodes in [10, 50, 300, 1_000] {
        let mut probed: BTreeMap<NodeName, usize> = BTreeMap::new();
        for (_, chosen) in choices(&fleet(nodes)) {
            assert_eq!(chosen.len(), rings(nodes).min(nodes - 1));
            for peer in chosen {
                *probed.entry(peer).or_default() += 1;
            }
        }
        let (count, least, most) = (rings(nodes), probed.values().min(), probed.values().max());
        assert_eq!(probed.len(), nodes);
        assert!(
            *least.unwrap() * 2 >= count,
            "{nodes}: {least:?} of {count}"
        );
        assert!(*most.unwrap() <= count * 2, "{nodes}: {most:?} of {count}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn one_that_goes_changes_few_choices(nodes in 60_usize..140, gone in 0_usize..60) {
        let before = fleet(nodes);
        let gone = before.iter().nth(gone).unwrap();
        let after: BTreeSet<NodeName> = before.iter().filter(|name| *name != gone).cloned().collect();
        prop_assume!(rings(nodes) == rings(nodes - 1));
        let (before, after) = (choices(&before), choices(&after));
        let new = after.iter().map(|(own, chosen)| chosen.difference(&before[own]).count());
        let new: usize = new.sum();
        prop_assert!(new <= 2 * rings(nodes), "{new}");
    }

    #[test]
    fn guests_are_everybody_once_before_anybody_twice(nodes in 3_usize..60) {
        let fleet = fleet(nodes);
        let own = fleet.first().unwrap().clone();
        let others = || fleet.iter().filter(|peer| **peer != own);
        let mut last = own.clone();
        let mut seen = BTreeSet::new();
        for _ in 1..nodes {
            last = next_guest(&last, others(), |_| false).unwrap().clone();
            prop_assert!(seen.insert(last.clone()), "{} twice", last);
        }
        prop_assert_eq!(seen.len(), nodes - 1);
        let again = next_guest(&last, others(), |_| false).unwrap();
        prop_assert_eq!(Some(again), next_guest(&own, others(), |_| false));
        prop_assert_eq!(next_guest(&last, others(), |_| true), None);
    }
}
