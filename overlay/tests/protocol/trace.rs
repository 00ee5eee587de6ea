//! A counterexample, without the steps that it does not need.

use std::fmt;

use crate::{action::Action, drain, invariants::Violation, world::World};

/// A broken rule, and the way there.
#[derive(Debug)]
pub struct Counterexample {
    pub start: &'static str,
    pub trace: Vec<Action>,
    pub violation: Violation,
}

/// Leaves out of a trace what the violation does not need.
pub fn shrunk(
    start: (&'static str, &World),
    mut trace: Vec<Action>,
    violation: Violation,
) -> Counterexample {
    let mut violation = violation;
    loop {
        let length = trace.len();
        for place in (0..length).rev() {
            if place >= trace.len() {
                continue;
            }
            let mut shorter = trace.clone();
            shorter.remove(place);
            if let Err((end, same)) = replay(start.1, &shorter)
                && same.rule == violation.rule
            {
                shorter.truncate(end);
                trace = shorter;
                violation = same;
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
fn replay(start: &World, trace: &[Action]) -> Result<World, (usize, Violation)> {
    let mut world = start.clone();
    for (place, action) in trace.iter().enumerate() {
        world
            .act(action)
            .map_err(|violation| (place + 1, violation))?;
    }
    drain::drain(&world).map_err(|violation| (trace.len(), violation))?;
    Ok(world)
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
