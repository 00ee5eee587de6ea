//! How long an agent without a session waits before it tries the next controller.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);
/// Controllers that come back have all their agents within five seconds, however long
/// they were away.
const LONGEST: Duration = Duration::from_secs(4);

/// Doubles with every failure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    next: Duration,
}

impl Default for Pause {
    fn default() -> Self {
        Self { next: FIRST }
    }
}

impl Pause {
    /// Half to all of its length, by a number from 0 to 1: thousands of agents do not
    /// come back as one.
    pub fn take(&mut self, random: f64) -> Duration {
        let now = self.next;
        self.next = (now * 2).min(LONGEST);
        now.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_to_less_than_five_seconds_and_is_spread() {
        let mut shortest = Pause::default();
        let mut longest = Pause::default();
        let mut last = Duration::ZERO;
        for _ in 0..100 {
            let (short, long) = (shortest.take(0.0), longest.take(1.0));
            assert_eq!(short * 2, long);
            assert!(long >= last && long < Duration::from_secs(5), "{long:?}");
            last = long;
        }
        assert_eq!(last, LONGEST);
        assert_eq!(Pause::default().take(1.0), FIRST);
    }
}
