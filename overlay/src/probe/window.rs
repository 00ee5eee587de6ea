//! The last probes of one address.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// So many small probes are remembered: at one every ten seconds, three minutes.
pub const LENGTH: usize = 20;
/// So many in a row without any answer: nothing passes.
const DEAD_AFTER: usize = 5;
/// So many in a row that only the peer's kernel answered: nobody listens there.
const SILENT_AFTER: usize = 3;
/// One packet is lost now and then.
const LOSSY_FROM: usize = 2;
/// So many full-size probes in a row while small ones pass: they do not.
const NO_BIG_AFTER: u8 = 4;
/// While nothing is wrong every so manyth round has a full-size probe.
const BIG_EVERY: u8 = 6;

/// The worse the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Too little is known.
    New,
    Ok,
    /// Its kernel answers that no agent listens: it is down, or older than probes.
    NoAgent,
    Lossy,
    /// Small packets pass, full-size ones do not.
    NoBigPackets,
    Dead,
}

impl Verdict {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Ok => "ok",
            Self::Lossy => "lossy",
            Self::NoAgent => "no agent",
            Self::NoBigPackets => "no big packets",
            Self::Dead => "dead",
        }
    }

    pub fn is_trouble(self) -> bool {
        match self {
            Self::New | Self::Ok => false,
            Self::Lossy | Self::NoAgent | Self::NoBigPackets | Self::Dead => true,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// After so many microseconds.
    Answered(u32),
    Lost,
    /// The peer's kernel says that nobody listens.
    Refused,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Size {
    Small,
    /// As large as the overlay carries.
    Full,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Window {
    /// Oldest first.
    small: VecDeque<Outcome>,
    /// Full-size ones that were lost in a row.
    lost_full: u8,
    rounds: u8,
}

/// What a window shows, in microseconds and from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shown {
    pub verdict: Verdict,
    pub probes: usize,
    pub loss: f64,
    /// Of those that were answered: the middle one and the slowest.
    pub middle_us: Option<u32>,
    pub worst_us: Option<u32>,
}

impl Window {
    /// What to send now. A full-size one more often when the last was lost.
    pub fn round(&mut self) -> &'static [Size] {
        let full = self.rounds == 0 || self.lost_full > 0;
        self.rounds = (self.rounds + 1) % BIG_EVERY;
        if full {
            &[Size::Small, Size::Full]
        } else {
            &[Size::Small]
        }
    }

    pub fn heard(&mut self, size: Size, outcome: Outcome) {
        match (size, outcome) {
            (Size::Small, outcome) => {
                if self.small.len() == LENGTH {
                    self.small.pop_front();
                }
                self.small.push_back(outcome);
            }
            (Size::Full, Outcome::Lost) => self.lost_full = (self.lost_full + 1).min(NO_BIG_AFTER),
            (Size::Full, Outcome::Answered(_) | Outcome::Refused) => self.lost_full = 0,
        }
    }

    pub fn shown(&self) -> Shown {
        let lost = self.lost();
        let mut answered: Vec<u32> = self.small.iter().filter_map(answered).collect();
        answered.sort_unstable();
        Shown {
            verdict: self.verdict(),
            probes: self.small.len(),
            loss: lost as f64 / self.small.len().max(1) as f64,
            middle_us: answered.get(answered.len() / 2).copied(),
            worst_us: answered.last().copied(),
        }
    }

    pub fn verdict(&self) -> Verdict {
        let unanswered = self.small.iter().rev();
        let unanswered = unanswered.take_while(|outcome| answered(outcome).is_none());
        let (mut lost, mut refused) = (0, false);
        for outcome in unanswered {
            lost += 1;
            refused |= *outcome == Outcome::Refused;
        }
        if refused && lost >= SILENT_AFTER {
            Verdict::NoAgent
        } else if lost >= DEAD_AFTER {
            Verdict::Dead
        } else if lost == self.small.len() {
            Verdict::New
        } else if self.lost_full == NO_BIG_AFTER && self.lost() * 2 <= self.small.len() {
            Verdict::NoBigPackets
        } else if self.lost() >= LOSSY_FROM {
            Verdict::Lossy
        } else {
            Verdict::Ok
        }
    }

    fn lost(&self) -> usize {
        let lost = |outcome: &&Outcome| **outcome == Outcome::Lost;
        self.small.iter().filter(lost).count()
    }
}

fn answered(outcome: &Outcome) -> Option<u32> {
    match outcome {
        Outcome::Answered(us) => Some(*us),
        Outcome::Lost | Outcome::Refused => None,
    }
}

#[cfg(test)]
mod tests;
