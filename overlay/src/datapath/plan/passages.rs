//! Our chains in the tables of iptables.

use super::Phases;
use crate::datapath::{
    forward::{Filter, Passage, Seen},
    host::Host,
    observed::Observed,
    step::Step,
};

pub(super) fn passages(host: &Host, observed: &Observed, phases: &mut Phases) {
    for (filter, seen) in &observed.filters {
        let mut rules = host.pass(filter.family).rules();
        if rules.is_empty() || !seen.could_drop {
            if seen.is_any() && host.is_complete() {
                phases.last.push(close(*filter, seen));
            }
            continue;
        }
        if !host.is_complete() {
            // Those of a network of which nothing is known yet stay.
            let known = rules.clone();
            let others = seen.rules.iter().flatten();
            rules.extend(others.filter(|rule| !known.contains(rule)).cloned());
            let held = seen.rules.iter().flatten();
            let missing = known
                .iter()
                .any(|rule| !held.clone().any(|held| held == rule));
            if seen.jumps == [1] && !missing {
                continue;
            }
        }
        if !seen.is(&rules) {
            let filter = *filter;
            let jumps = seen.jumps.len();
            phases.first.push(Step::Pass(Box::new(Passage {
                filter,
                jumps,
                rules,
            })));
        }
    }
}

pub(super) fn close(filter: Filter, seen: &Seen) -> Step {
    Step::NoPass {
        filter,
        jumps: seen.jumps.len(),
    }
}
