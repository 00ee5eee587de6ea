//! Long random walks.

use std::collections::BTreeSet;

use crate::{
    action::Action,
    ask::DECISIONS,
    choice::{self, Theme},
    drain,
    names::Publish,
    tally::Tally,
    trace::{Counterexample, shrunk},
    world::{Outcome, World},
};

/// The length of a walk.
const STEPS: usize = 120;

/// One long way through the states, drained at its end.
pub fn walk(
    start: (&'static str, &World),
    theme: &Theme,
    seed: u64,
    tally: &mut Tally,
) -> Result<(), Box<Counterexample>> {
    let mut random = Random(seed);
    let begin = start.1.time;
    let mut world = start.1.clone();
    let mut trace = Vec::new();
    for _ in 0..STEPS {
        let Some(action) = step(&world, theme, begin, &mut random) else {
            continue;
        };
        world.tickets += 1;
        let before = world.clone();
        match world.act(&action) {
            Ok(Outcome::Idle) => {}
            Ok(outcome) => {
                tally.note(&before, &action, outcome, &world);
                trace.push(action);
            }
            Err(violation) => {
                trace.push(action);
                return Err(Box::new(shrunk(start, trace, violation)));
            }
        }
    }
    drain::drain(&world).map_err(|violation| Box::new(shrunk(start, trace, violation)))
}

/// These decisions and some others: the fewer there are, the deeper a walk comes.
pub fn some_theme(with: &[&str], seed: u64) -> Theme {
    let random = &mut Random(!seed);
    let mut some = with.to_vec();
    some.extend((0..2 + random.below(7)).filter_map(|_| random.pick(DECISIONS.to_vec())));
    let published: Vec<&[Publish]> = vec![
        &[Publish::Own],
        &[Publish::Silent],
        &[Publish::Own, Publish::Apart],
        &[
            Publish::Own,
            Publish::Shared,
            Publish::Silent,
            Publish::Apart,
        ],
    ];
    Theme {
        published: random.pick(published).unwrap_or_default(),
        renamed: random.below(4) == 0,
        faults: random.below(2) == 0,
        reinstalls: random.below(4) == 0,
        ..Theme::of(&some)
    }
}

fn step(world: &World, theme: &Theme, begin: u64, random: &mut Random) -> Option<Action> {
    let judge = random.below(100) < 35;
    let decide = random.below(100) < 65 && world.pending.len() < theme.pending;
    let actions = if judge && !world.pending.is_empty() {
        choice::judgements(world, theme)
    } else if decide {
        let asks = choice::asks(world, theme);
        // First which decision, then which of its kind: some have many forms.
        let kinds: BTreeSet<&str> = asks.iter().map(|(_, ask)| ask.decision()).collect();
        let kind = random.pick(kinds.into_iter().collect())?;
        let of_kind = asks.into_iter().filter(|(_, ask)| ask.decision() == kind);
        let (ctl, ask) = random.pick(of_kind.collect())?;
        let ticket = world.tickets;
        return Some(Action::Decide { ticket, ctl, ask });
    } else {
        let events = choice::events(world, theme, begin);
        let syncs = events
            .iter()
            .filter(|event| matches!(event, Action::Sync { .. }));
        let syncs: Vec<Action> = syncs.cloned().collect();
        if syncs.is_empty() || random.below(2) == 0 {
            events
        } else {
            syncs
        }
    };
    random.pick(actions)
}

/// splitmix64: the same walk for the same seed, everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn pick<T>(&mut self, mut from: Vec<T>) -> Option<T> {
        if from.is_empty() {
            return None;
        }
        let place = self.below(from.len() as u64) as usize;
        Some(from.swap_remove(place))
    }
}
