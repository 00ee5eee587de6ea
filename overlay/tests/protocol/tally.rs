//! What the searches met on their way.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use crate::{
    action::Action,
    ask::DECISIONS,
    fences::compared,
    world::{Outcome, Pending, World},
};

/// What was met on the way.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// How many transactions of each decision were applied.
    pub applied: BTreeMap<&'static str, u64>,
    /// Which decision compared which kind of key.
    pub compared: BTreeSet<(&'static str, &'static str)>,
}

impl Tally {
    pub fn note(&mut self, before: &World, action: &Action, outcome: Outcome, after: &World) {
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
