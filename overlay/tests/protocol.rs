//! The lease protocol as an executable model: what the real decisions of
//! `overlay::decide`, taken by two controllers from views that lag, can do to each
//! other through a store that judges as etcd does.
//!
//! `docs/decisions/0002-lease-protocol.md` says what holds and why. Longer runs:
//! `WEFT_STATES`, `WEFT_DEPTH` and `WEFT_WALKS` bound the searches, `WEFT_SEED` walks one seed.

#[path = "protocol/ask.rs"]
mod ask;
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
#[path = "protocol/search.rs"]
mod search;
#[path = "protocol/starts.rs"]
mod starts;
#[path = "protocol/state.rs"]
mod state;
#[path = "protocol/store.rs"]
mod store;
#[path = "protocol/world.rs"]
mod world;

use choice::Theme;
use fences::Fence;
use search::Tally;

#[test]
fn breadth_first() {
    let states = bound("WEFT_STATES", 4_000);
    let depth = bound("WEFT_DEPTH", usize::MAX);
    let mut tally = Tally::default();
    for (name, world) in starts::all(Fence::Whole) {
        let theme = Theme {
            pending: 2,
            begun: 3,
            ..Theme::everything()
        };
        match search::breadth_first((name, &world), &theme, states, depth) {
            Ok(seen) => {
                println!(
                    "{:>8} states, depth {:>2}, from {name}",
                    seen.states, seen.depth
                );
                tally.add(&seen.tally);
            }
            Err(counterexample) => panic!("{counterexample}"),
        }
    }
    println!("applied:{tally}");
}

#[test]
fn walks() {
    let walks = bound("WEFT_WALKS", 400) as u64;
    let seeds = match bound("WEFT_SEED", usize::MAX) {
        usize::MAX => 0..walks,
        seed => seed as u64..seed as u64 + 1,
    };
    let mut tally = Tally::default();
    for seed in seeds.clone() {
        for (name, world) in starts::all(Fence::Whole) {
            if let Err(counterexample) = search::walk((name, &world), None, seed, 120, &mut tally) {
                panic!("WEFT_SEED={seed}: {counterexample}");
            }
        }
    }
    println!("seeds {seeds:?}, applied:{tally}");
}

#[test]
fn explore() {
    let walks = bound("WEFT_WALKS", 2000) as u64;
    let mut tally = Tally::default();
    for seed in 0..200 {
        for (name, world) in starts::all(Fence::Whole) {
            search::walk((name, &world), None, seed, 120, &mut tally).unwrap();
        }
    }
    let mut fences = vec![
        Fence::Flight,
        Fence::SkewBound,
        Fence::LifeOfRelease,
        Fence::SidOfClose,
        Fence::RewriteOnOpen,
    ];
    fences.extend(tally.compared.iter().map(|&(d, k)| Fence::Compare(d, k)));
    let only = std::env::var("WEFT_ONLY").ok();
    for fence in fences {
        if only
            .as_ref()
            .is_some_and(|o| !format!("{fence:?}").contains(o))
        {
            continue;
        }
        let must = match fence {
            Fence::Compare(d, _) => Some(d),
            Fence::LifeOfRelease => Some("release"),
            Fence::SidOfClose => Some("close"),
            Fence::SkewBound => Some("reclaim"),
            _ => None,
        };
        let starts = starts::all(fence);
        let found = (0..walks).find_map(|seed| {
            let (name, world) = &starts[seed as usize % starts.len()];
            search::walk((name, world), must, seed, 120, &mut Tally::default())
                .err()
                .map(|c| (seed, c))
        });
        match found {
            Some((seed, c)) => println!("{fence:?} seed {seed}: {c}"),
            None => println!("{fence:?} NONE"),
        }
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
