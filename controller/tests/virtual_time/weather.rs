//! How bad the world is: which faults a run has, and how often. Each seed has some of
//! them, so that one does not always hide another.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use crate::dice::Dice;

/// How many of a thousand calls, messages or moments meet each fault.
#[derive(Debug)]
pub struct Weather {
    /// The store says that it does not answer, and did nothing.
    pub lost_asks: u32,
    /// It says so, and did it.
    pub lost_answers: u32,
    /// It says so, and does it later.
    pub late_asks: u32,
    /// A watch ends with a word, or without one.
    pub watch_ends: u32,
    /// The longest that a call takes on its way, each way.
    pub store_delay: Duration,
    /// The longest that one message of a watch takes.
    pub watch_lag: Duration,
    /// The longest that a message between agent and controller takes.
    pub line_delay: Duration,
    calm: AtomicBool,
}

impl Weather {
    pub fn of(dice: &mut Dice) -> Self {
        let mut share = |most: usize| match dice.below(3) {
            0 => 0,
            _ => dice.below(most) as u32,
        };
        let (lost_asks, lost_answers, late_asks) = (share(60), share(60), share(30));
        let watch_ends = share(40);
        let mut delay = |most: &[u64]| {
            let ms = dice.pick(most).copied().unwrap_or(1);
            Duration::from_millis(ms)
        };
        Self {
            lost_asks,
            lost_answers,
            late_asks,
            watch_ends,
            store_delay: delay(&[2, 20, 200, 2000]),
            watch_lag: delay(&[2, 20, 200, 4000]),
            line_delay: delay(&[2, 20, 200, 2000]),
            calm: AtomicBool::new(false),
        }
    }

    /// From now on nothing fails.
    pub fn calm(&self) {
        self.calm.store(true, Ordering::Relaxed);
    }

    pub fn is_calm(&self) -> bool {
        self.calm.load(Ordering::Relaxed)
    }

    /// Does this happen now?
    pub fn strikes(&self, dice: &mut Dice, share: u32) -> bool {
        dice.per_mille(share) && !self.is_calm()
    }

    /// How long something takes whose longest is this.
    pub fn pause(&self, dice: &mut Dice, longest: Duration) -> Duration {
        let pause = dice.pause(longest);
        if self.is_calm() {
            pause.min(Duration::from_millis(2))
        } else {
            pause
        }
    }
}
