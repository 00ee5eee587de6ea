//! Every state that can be reached, up to a bound.

use std::collections::{BTreeSet, VecDeque};

use crate::{
    action::Action,
    choice::{self, Theme},
    digest::digest,
    drain,
    invariants::Violation,
    tally::Tally,
    trace::Counterexample,
    world::{Outcome, World},
};

/// One state in so many is drained.
const DRAINED: usize = 50;

/// What a search without a counterexample has seen.
#[derive(Debug, Default)]
pub struct Seen {
    pub states: usize,
    pub depth: usize,
    /// No state within the bounds is left out.
    pub complete: bool,
    pub tally: Tally,
}

/// All states that can be reached, the nearest first.
pub fn breadth_first(
    start: (&'static str, &World),
    theme: &Theme,
    most_states: usize,
    most_depth: usize,
) -> Result<Seen, Box<Counterexample>> {
    let mut seen = Seen {
        complete: true,
        ..Seen::default()
    };
    let begin = start.1.time;
    let mut known = BTreeSet::from([digest(start.1)]);
    // Each state with the place of the one before it and the step from there.
    let mut steps: Vec<(usize, Option<Action>)> = vec![(0, None)];
    let mut queue = VecDeque::from([(0, 0, start.1.clone())]);
    while let Some((place, depth, world)) = queue.pop_front() {
        seen.depth = depth;
        if depth == most_depth {
            seen.complete = false;
            continue;
        }
        for action in everything(&world, theme, begin) {
            let mut next = world.clone();
            next.tickets += 1;
            let found = |violation: Violation| {
                let mut trace = path(&steps, place);
                trace.push(action.clone());
                Box::new(Counterexample {
                    start: start.0,
                    trace,
                    violation,
                })
            };
            let outcome = next.act(&action).map_err(found)?;
            if outcome == Outcome::Idle || !known.insert(digest(&next)) {
                continue;
            }
            seen.tally.note(&world, &action, outcome, &next);
            if steps.len() >= most_states {
                seen.complete = false;
                seen.states = steps.len();
                return Ok(seen);
            }
            if steps.len().is_multiple_of(DRAINED) {
                drain::drain(&next).map_err(found)?;
            }
            steps.push((place, Some(action)));
            queue.push_back((steps.len() - 1, depth + 1, next));
        }
    }
    seen.states = steps.len();
    Ok(seen)
}

fn everything(world: &World, theme: &Theme, begin: u64) -> Vec<Action> {
    let mut actions = choice::judgements(world, theme);
    actions.extend(choice::events(world, theme, begin));
    if world.pending.len() < theme.pending {
        let ticket = world.tickets;
        let asks = choice::asks(world, theme);
        actions.extend(
            asks.into_iter()
                .map(|(ctl, ask)| Action::Decide { ticket, ctl, ask }),
        );
    }
    actions
}

fn path(steps: &[(usize, Option<Action>)], mut place: usize) -> Vec<Action> {
    let mut path = Vec::new();
    while let (before, Some(action)) = &steps[place] {
        path.push(action.clone());
        place = *before;
    }
    path.reverse();
    path
}
