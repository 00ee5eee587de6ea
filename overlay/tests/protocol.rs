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
            ..Theme::of(&ask::DECISIONS)
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
            if let Err(counterexample) = search::walk((name, &world), None, seed, &mut tally) {
                panic!("WEFT_SEED={seed}: {counterexample}");
            }
        }
    }
    println!("seeds {seeds:?}, applied:{tally}");
}

#[test]
fn races() {
    let most = bound("WEFT_HUNT", 15_000);
    for race in races::COMPARISONS.iter().chain(&races::OTHER) {
        let mut of = race.of.to_vec();
        if let Fence::Compare(decision, _) = race.fence {
            of.push(decision);
        }
        let theme = Theme {
            renamed: false,
            machines: 2,
            faults: false,
            reinstalls: matches!(race.fence, Fence::Compare("remove", _)),
            published: race.say,
            pending: 2,
            ticks: 3,
            ..Theme::of(&of)
        };
        let (name, world) = starts::named(race.from, race.fence);
        let t = std::time::Instant::now();
        match search::breadth_first((name, &world), &theme, most, usize::MAX) {
            Ok(seen) => {
                print!(
                    "{:?} bfs {} {} {:?}; ",
                    race.fence,
                    seen.states,
                    seen.depth,
                    t.elapsed()
                );
                let found = (0..4000).find_map(|seed| {
                    search::walk((name, &world), Some(&theme), seed, &mut Tally::default())
                        .err()
                        .map(|c| (seed, c))
                });
                match found {
                    Some((seed, c)) => println!(
                        "{:?} {:?} seed {seed} {}{c}",
                        race.fence,
                        t.elapsed(),
                        if c.violation.rule != race.rule {
                            "OTHER "
                        } else {
                            ""
                        }
                    ),
                    None => println!("NONE {race:?} {:?}", t.elapsed()),
                }
            }
            Err(c) => println!(
                "{:?} {:?} {}{c}",
                race.fence,
                t.elapsed(),
                if c.violation.rule != race.rule {
                    "OTHER "
                } else {
                    ""
                }
            ),
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
