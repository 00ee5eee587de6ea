use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

fn key(number: u8) -> Key {
    Key::Session(format!("n{number}").parse().unwrap())
}

fn txn(reads: &[u8], writes: &[u8]) -> Transaction {
    let mut txn = Transaction::default();
    for &read in reads {
        txn.expect(key(read), 0);
    }
    for &write in writes {
        match write % 2 {
            0 => txn.put(key(write), Vec::new()),
            _ => txn.delete(key(write)),
        }
    }
    txn
}

#[test]
fn readers_share_and_writers_do_not() {
    let mut flight = Flight::default();
    flight.enter(&txn(&[1], &[2]));
    assert!(flight.admits(&txn(&[1], &[3])));
    assert!(!flight.admits(&txn(&[2], &[])));
    assert!(!flight.admits(&txn(&[], &[1])));
    assert!(!flight.admits(&txn(&[], &[2])));
    assert!(flight.writes(&key(2)) && !flight.writes(&key(1)));

    flight.enter(&txn(&[1], &[3]));
    flight.leave(&txn(&[1], &[2]));
    assert!(!flight.admits(&txn(&[], &[1])), "one reader is left");
    assert!(flight.admits(&txn(&[2], &[2])));
    flight.leave(&txn(&[1], &[3]));
    assert!(flight.touched.is_empty());
}

#[test]
fn a_transaction_does_not_stand_in_its_own_way() {
    let mut flight = Flight::default();
    let own = txn(&[1, 1], &[1]);
    assert!(flight.admits(&own));
    flight.enter(&own);
    assert!(!flight.admits(&own), "but twice at once it does");
    flight.leave(&own);
    assert!(flight.touched.is_empty());
}

#[derive(Debug, Clone)]
enum Step {
    /// Offer a transaction.
    Offer(Vec<u8>, Vec<u8>),
    /// The answer to one under way.
    Answer(prop::sample::Index),
}

fn step() -> impl Strategy<Value = Step> {
    let keys = || prop::collection::vec(0..8u8, 0..4);
    prop_oneof![
        2 => (keys(), keys()).prop_map(|(reads, writes)| Step::Offer(reads, writes)),
        1 => any::<prop::sample::Index>().prop_map(Step::Answer),
    ]
}

proptest! {
    /// Against the rule itself, pair by pair.
    #[test]
    fn admits_exactly_what_is_independent(steps in prop::collection::vec(step(), 1..60)) {
        let mut flight = Flight::default();
        let mut under_way: Vec<(BTreeSet<u8>, BTreeSet<u8>, Transaction)> = Vec::new();
        for step in steps {
            match step {
                Step::Offer(reads, writes) => {
                    let txn = txn(&reads, &writes);
                    let reads: BTreeSet<u8> = reads.into_iter().collect();
                    let writes: BTreeSet<u8> = writes.into_iter().collect();
                    let independent = under_way.iter().all(|(their_reads, their_writes, _)| {
                        writes.is_disjoint(their_reads)
                            && writes.is_disjoint(their_writes)
                            && reads.is_disjoint(their_writes)
                    });
                    prop_assert_eq!(flight.admits(&txn), independent);
                    if independent {
                        flight.enter(&txn);
                        under_way.push((reads, writes, txn));
                    }
                }
                Step::Answer(which) if !under_way.is_empty() => {
                    let (_, _, txn) = under_way.remove(which.index(under_way.len()));
                    flight.leave(&txn);
                }
                Step::Answer(_) => {}
            }
            for number in 0..8 {
                let written = under_way.iter().any(|(_, writes, _)| writes.contains(&number));
                prop_assert_eq!(flight.writes(&key(number)), written);
            }
        }
        for (_, _, txn) in under_way {
            flight.leave(&txn);
        }
        prop_assert!(flight.touched.is_empty(), "nothing is left behind");
    }
}
