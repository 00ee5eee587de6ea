//! The lease protocol as an executable model: what the real decisions of
//! `overlay::decide`, taken by two controllers from views that lag, can do to each
//! other through a store that judges as etcd does.
//!
//! `docs/decisions/0002-lease-protocol.md` says what holds and why. For longer runs:
//! `WEFT_STATES` and `WEFT_DEPTH` bound the breadth-first searches, `WEFT_WALKS` is the
//! number of walks from each start, `WEFT_SEED` repeats one walk.

#[path = "protocol/action.rs"]
mod action;
#[path = "protocol/agent.rs"]
mod agent;
#[path = "protocol/ask.rs"]
mod ask;
#[path = "protocol/breadths.rs"]
mod breadths;
#[path = "protocol/choice.rs"]
mod choice;
#[path = "protocol/digest.rs"]
mod digest;
#[path = "protocol/drain.rs"]
mod drain;
#[path = "protocol/fences.rs"]
mod fences;
#[path = "protocol/invariants.rs"]
mod invariants;
#[path = "protocol/names.rs"]
mod names;
#[path = "protocol/past.rs"]
mod past;
#[path = "protocol/races.rs"]
mod races;
#[path = "protocol/search.rs"]
mod search;
#[path = "protocol/starts.rs"]
mod starts;
#[path = "protocol/state.rs"]
mod state;
#[path = "protocol/store.rs"]
mod store;
#[path = "protocol/tally.rs"]
mod tally;
#[path = "protocol/trace.rs"]
mod trace;
#[path = "protocol/walk.rs"]
mod walk;
#[path = "protocol/world.rs"]
mod world;

use std::{collections::BTreeSet, ops::Range};

use fences::Fence;
use races::Race;
use tally::Tally;
use trace::Counterexample;

/// No rule can be broken within the bounds.
#[test]
fn breadth_first() {
    let states = bound("WEFT_STATES", 10_000);
    let depth = bound("WEFT_DEPTH", usize::MAX);
    let mut tally = Tally::default();
    for breadth in breadths::BREADTHS {
        let (name, world) = starts::named(breadth.from, Fence::Whole);
        match search::breadth_first((name, &world), &breadth.theme(), states, depth) {
            Ok(seen) => {
                let all = if seen.complete { "all " } else { "" };
                let (states, depth) = (seen.states, seen.depth);
                println!(
                    "{all}{states} states, depth {depth}, from {name}: {:?}",
                    breadth.of
                );
                tally.add(&seen.tally);
            }
            Err(counterexample) => panic!("{counterexample}"),
        }
    }
    println!("applied:{tally}");
}

/// Nor on long ways, and each state on them can be drained.
#[test]
fn walks() {
    let mut tally = Tally::default();
    for seed in seeds(250) {
        if let Some(counterexample) = walked(Fence::Whole, &[], seed, &mut tally) {
            panic!("WEFT_SEED={seed}: {counterexample}");
        }
    }
    println!("applied:{tally}");
}

/// Without a fence, the race that it is there for breaks the rule.
#[test]
fn each_fence_holds_something_off() {
    for race in races::COMPARISONS.iter().chain(&races::OTHER) {
        let Race { fence, rule, .. } = race;
        match hunt(race) {
            Some(found) if found.violation.rule == *rule => println!("without {fence:?}: {found}"),
            Some(other) => panic!("without {fence:?}, {rule} should break first: {other}"),
            None => panic!("without {fence:?} nothing breaks"),
        }
    }
}

/// Every comparison that a decision makes has its race, or the reason why it has none.
#[test]
fn each_comparison_is_argued() {
    let mut tally = Tally::default();
    for seed in 0..150 {
        walked(Fence::Whole, &[], seed, &mut tally);
    }
    let raced = races::COMPARISONS
        .iter()
        .filter_map(|race| match race.fence {
            Fence::Compare(decision, kind) => Some((decision, kind)),
            Fence::Whole
            | Fence::Flight
            | Fence::SkewBound
            | Fence::LifeOfRelease
            | Fence::SidOfClose
            | Fence::RewriteOnOpen => None,
        });
    let spared = races::SPARED
        .iter()
        .map(|spare| (spare.decision, spare.kind));
    let argued: BTreeSet<_> = raced.chain(spared).collect();
    assert_eq!(argued, tally.compared);
}

/// The model finds no use for these; they stand as a second line.
#[test]
fn spare_comparisons_are_spare() {
    for spare in races::SPARED {
        let fence = Fence::Compare(spare.decision, spare.kind);
        for seed in seeds(12) {
            let found = walked(fence, &[spare.decision], seed, &mut Tally::default());
            if let Some(found) = found {
                panic!("{fence:?} is needed, though {}: {found}", spare.why);
            }
        }
    }
}

/// The shortest way to break a rule, or else any.
fn hunt(race: &Race) -> Option<Box<Counterexample>> {
    let (name, world) = starts::named(race.from, race.fence);
    let theme = race.theme();
    let states = bound("WEFT_STATES", 10_000);
    if let Err(found) = search::breadth_first((name, &world), &theme, states, usize::MAX) {
        return Some(found);
    }
    let mut walks =
        seeds(4000).map(|seed| walk::walk((name, &world), &theme, seed, &mut Tally::default()));
    walks.find_map(Result::err)
}

/// One walk from each start.
fn walked(
    fence: Fence,
    with: &[&str],
    seed: u64,
    tally: &mut Tally,
) -> Option<Box<Counterexample>> {
    let theme = walk::some_theme(with, seed);
    let starts = starts::all(fence);
    let mut walks = starts
        .iter()
        .map(|(name, world)| walk::walk((name, world), &theme, seed, tally));
    walks.find_map(Result::err)
}

fn seeds(default: usize) -> Range<u64> {
    match bound("WEFT_SEED", usize::MAX) {
        usize::MAX => 0..bound("WEFT_WALKS", default) as u64,
        seed => seed as u64..seed as u64 + 1,
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "longer runs and replays are asked for by hand"
)]
fn bound(name: &str, default: usize) -> usize {
    match std::env::var(name) {
        Ok(text) => text.parse().expect("a number"),
        Err(_) => default,
    }
}
