//! Which subnet comes next: never-used before longest-free, O(log n).
//!
//! Subnets are counted by their number among all blocks of their length, so that
//! widening a pool changes no number. "Used" covers what is claimed and what waits
//! in the queue of returned subnets; never-used is the gap between the used.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
};

use crate::txn::Revision;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allocation {
    /// Disjoint, never adjacent runs of used numbers: first to last.
    used: BTreeMap<u128, u128>,
    /// The returned subnets that nobody claims, longest free first.
    queue: BTreeSet<(Revision, u128)>,
    queued: BTreeMap<u128, Revision>,
}

impl Allocation {
    /// Says all there is to know of one number: whether it is claimed, and since
    /// which revision it counts as returned.
    pub fn set(&mut self, number: u128, claimed: bool, freed: Option<Revision>) {
        if let Some(old) = self.queued.remove(&number) {
            self.queue.remove(&(old, number));
        }
        if let Some(revision) = freed
            && !claimed
        {
            self.queued.insert(number, revision);
            self.queue.insert((revision, number));
        }
        if claimed || freed.is_some() {
            self.mark_used(number);
        } else {
            self.mark_unused(number);
        }
    }

    /// The next to give: the first never-used at or after `start` (then from the
    /// pool's beginning), else the longest free. `skip` tells which are being taken.
    pub fn next(
        &self,
        pool: &RangeInclusive<u128>,
        start: u128,
        skip: impl Fn(u128) -> bool,
    ) -> Option<u128> {
        let start = start.clamp(*pool.start(), *pool.end());
        self.never_used(start..=*pool.end())
            .chain(self.never_used(*pool.start()..=start))
            .find(|&number| !skip(number))
            .or_else(|| {
                self.queue
                    .iter()
                    .map(|&(_, number)| number)
                    .find(|number| pool.contains(number) && !skip(*number))
            })
    }

    /// The numbers in the range that were never used.
    fn never_used(&self, range: RangeInclusive<u128>) -> impl Iterator<Item = u128> + '_ {
        let last = *range.end();
        let mut next = Some(*range.start());
        std::iter::from_fn(move || {
            let mut candidate = next?;
            if let Some((_, &end)) = self.used.range(..=candidate).next_back()
                && end >= candidate
            {
                candidate = end.checked_add(1)?;
            }
            next = candidate.checked_add(1);
            (candidate <= last).then_some(candidate)
        })
    }

    fn run_of(&self, number: u128) -> Option<(u128, u128)> {
        let (&first, &last) = self.used.range(..=number).next_back()?;
        (last >= number).then_some((first, last))
    }

    fn mark_used(&mut self, number: u128) {
        if self.run_of(number).is_some() {
            return;
        }
        let before = number.checked_sub(1).and_then(|n| self.run_of(n));
        let after = number.checked_add(1).and_then(|n| self.run_of(n));
        let first = before.map_or(number, |(first, _)| first);
        let last = after.map_or(number, |(_, last)| last);
        if let Some((first, _)) = after {
            self.used.remove(&first);
        }
        self.used.insert(first, last);
    }

    fn mark_unused(&mut self, number: u128) {
        let Some((first, last)) = self.run_of(number) else {
            return;
        };
        self.used.remove(&first);
        if first < number {
            self.used.insert(first, number - 1);
        }
        if number < last {
            self.used.insert(number + 1, last);
        }
    }
}

#[cfg(test)]
mod tests;
