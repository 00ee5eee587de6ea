//! Chance that can be had again: the same seed, the same throws.

use std::{ops::Range, time::Duration};

/// SplitMix64.
#[derive(Debug, Clone)]
pub struct Dice {
    state: u64,
}

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// A seed that no run before had; say it, so that it can be used again.
    pub fn seed() -> u64 {
        uuid::Uuid::new_v4().as_u64_pair().0
    }

    /// One of so many, from 0.
    pub fn below(&mut self, many: usize) -> usize {
        let many = u64::try_from(many.max(1)).expect("a count fits");
        usize::try_from(self.throw() % many).expect("it is below a usize")
    }

    pub fn time(&mut self, range: &Range<Duration>) -> Duration {
        let share = self.throw() as f64 / u64::MAX as f64;
        range.start + (range.end - range.start).mul_f64(share)
    }

    fn throw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
