//! Which of the packets that were lost might be: pure, so that it can be tested.

use std::{collections::BTreeMap, time::Duration};

use super::diary::{Act, Deed};

/// What was on its way when an act began may be hit by it.
const ON_ITS_WAY: Duration = Duration::from_millis(250);
/// Deeds that are told of with a loss began or ended this long before or after it.
const AROUND: Duration = Duration::from_secs(5);

/// Pings from a container on one host to one on another.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Way {
    /// Which of all flows there ever were.
    pub number: usize,
    pub name: String,
    pub from: u32,
    pub to: u32,
}

/// A ping that was not answered, sent at some time between the two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    pub way: Way,
    pub number: u64,
    pub from: Duration,
    pub to: Duration,
}

/// What an act cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cost {
    pub lost: u64,
    /// Of one flow: from the first that was lost in a row to the next that was not.
    pub longest: Duration,
}

/// Losses in a row of one flow that nothing explains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unexplained {
    pub way: Way,
    pub lost: u64,
    pub from: Duration,
    pub to: Duration,
    pub around: Vec<String>,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    pub costs: BTreeMap<Act, Cost>,
    pub unexplained: Vec<Unexplained>,
}

/// A flow has a ping in each such time.
pub fn judge(mut losses: Vec<Loss>, every: Duration, deeds: &[Deed]) -> Verdict {
    losses.sort_by(|one, other| (&one.way, one.number).cmp(&(&other.way, other.number)));
    let mut verdict = Verdict::default();
    let same_row = |one: &Loss, next: &Loss| one.way == next.way && one.number + 1 == next.number;
    for row in losses.chunk_by(same_row) {
        let mut blamed: BTreeMap<Act, (u64, Duration, Duration)> = BTreeMap::new();
        let mut alone: Vec<&Loss> = Vec::new();
        for loss in row {
            let Some(deed) = explains(loss, deeds) else {
                alone.push(loss);
                continue;
            };
            let (lost, _, to) = blamed.entry(deed.act).or_insert((0, loss.from, loss.to));
            *lost += 1;
            *to = loss.to;
        }
        for (act, (lost, from, to)) in blamed {
            let cost = verdict.costs.entry(act).or_default();
            cost.lost += lost;
            cost.longest = cost.longest.max(to.saturating_sub(from) + every);
        }
        if let (Some(first), Some(last)) = (alone.first(), alone.last()) {
            verdict.unexplained.push(Unexplained {
                way: first.way.clone(),
                lost: alone.len() as u64,
                from: first.from,
                to: last.to,
                around: around(deeds, first.from, last.to),
            });
        }
    }
    verdict
}

/// Deeds near some time, for a person.
pub fn around(deeds: &[Deed], from: Duration, to: Duration) -> Vec<String> {
    let near = deeds
        .iter()
        .filter(|deed| deed.lasts(from, to + AROUND, AROUND));
    near.map(ToString::to_string).collect()
}

/// The last that began of those that may have done it.
fn explains<'a>(loss: &Loss, deeds: &'a [Deed]) -> Option<&'a Deed> {
    deeds.iter().rev().find(|deed| {
        deed.loses.covers(loss.way.from, loss.way.to)
            && deed.lasts(loss.from, loss.to + ON_ITS_WAY, Duration::ZERO)
    })
}

#[cfg(test)]
mod tests;
