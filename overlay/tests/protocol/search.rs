//! The searches: every state up to a bound, and long random walks.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
};

use crate::{
    ask::{DECISIONS, Publish},
    choice::{self, Theme},
    digest::digest,
    drain,
    fences::compared,
    invariants::Violation,
    world::{Action, Outcome, Pending, World},
};

/// The length of a walk.
const STEPS: usize = 120;

/// A broken rule, and the way there.
#[derive(Debug)]
pub struct Counterexample {
    pub start: &'static str,
    pub trace: Vec<Action>,
    pub violation: Violation,
}

/// What was met on the way.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// How many transactions of each decision were applied.
    pub applied: BTreeMap<&'static str, u64>,
    /// Which decision compared which kind of key.
    pub compared: BTreeSet<(&'static str, &'static str)>,
}

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
) -> Result<Seen, Counterexample> {
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
            let outcome = match next.act(&action) {
                Ok(outcome) => outcome,
                Err(violation) => {
                    let mut trace = path(&steps, place);
                    trace.push(action);
                    return Err(Counterexample {
                        start: start.0,
                        trace,
                        violation,
                    });
                }
            };
            if outcome == Outcome::Idle || !known.insert(digest(&next)) {
                continue;
            }
            seen.tally.note(&world, &action, outcome, &next);
            if steps.len() >= most_states {
                seen.complete = false;
                seen.states = steps.len();
                return Ok(seen);
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

/// One long way through the states, drained at its end.
pub fn walk(
    start: (&'static str, &World),
    theme: Option<&Theme>,
    seed: u64,
    tally: &mut Tally,
) -> Result<(), Box<Counterexample>> {
    let mut random = Random(seed);
    let some = some_theme(&mut random);
    let theme = theme.unwrap_or(&some);
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

/// A walk looks at some of the decisions only: the fewer, the deeper it comes.
fn some_theme(random: &mut Random) -> Theme {
    let some = (0..2 + random.below(7)).filter_map(|_| random.pick(DECISIONS.to_vec()));
    let some: Vec<&str> = some.collect();
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

/// Leaves out of a trace what the violation does not need.
fn shrunk(
    start: (&'static str, &World),
    mut trace: Vec<Action>,
    violation: Violation,
) -> Counterexample {
    let mut violation = violation;
    loop {
        let length = trace.len();
        for place in (0..trace.len()).rev() {
            let mut shorter = trace.clone();
            shorter.remove(place);
            if let Err((end, same)) = replay(start.1, &shorter)
                && same.rule == violation.rule
            {
                shorter.truncate(end);
                trace = shorter;
                violation = same;
            }
            if place > trace.len() {
                break;
            }
        }
        if trace.len() == length {
            return Counterexample {
                start: start.0,
                trace,
                violation,
            };
        }
    }
}

/// Goes a known way. The error says after how many steps a rule was broken.
pub fn replay(start: &World, trace: &[Action]) -> Result<World, (usize, Violation)> {
    let mut world = start.clone();
    for (place, action) in trace.iter().enumerate() {
        world
            .act(action)
            .map_err(|violation| (place + 1, violation))?;
    }
    drain::drain(&world).map_err(|violation| (trace.len(), violation))?;
    Ok(world)
}

impl Tally {
    fn note(&mut self, before: &World, action: &Action, outcome: Outcome, after: &World) {
        match (action, outcome) {
            (Action::Commit { tickets }, Outcome::Applied(applied)) => {
                let chosen = |pending: &&Pending| tickets.contains(&pending.ticket);
                // Of a group of which some were applied, it is not told apart which.
                let told = applied as usize == tickets.len();
                for pending in before.pending.iter().filter(chosen).filter(|_| told) {
                    *self.applied.entry(pending.ask.decision()).or_default() += 1;
                }
            }
            (Action::Decide { ask, .. }, _) => {
                for compare in after
                    .pending
                    .iter()
                    .last()
                    .iter()
                    .flat_map(|p| &p.txn.compares)
                {
                    let kind = compared(ask, &compare.key);
                    self.compared.insert((ask.decision(), kind));
                }
            }
            _ => {}
        }
    }

    pub fn add(&mut self, other: &Self) {
        for (decision, count) in &other.applied {
            *self.applied.entry(decision).or_default() += count;
        }
        self.compared.extend(&other.compared);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for decision in DECISIONS {
            write!(
                f,
                " {decision} {}",
                self.applied.get(decision).unwrap_or(&0)
            )?;
        }
        Ok(())
    }
}

impl fmt::Display for Counterexample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Violation { rule, what } = &self.violation;
        writeln!(f, "{rule} is broken: {what}")?;
        writeln!(f, "  from: {}", self.start)?;
        for action in &self.trace {
            writeln!(f, "  {action}")?;
        }
        Ok(())
    }
}

/// splitmix64: the same walk for the same seed, everywhere.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
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
