//! What does not work, since when, and when it is tried again.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use options::clock;
use overlay::{
    datapath::{observed::SeenRoute, step::Step},
    time::WallMs,
};
use tracing::{info, warn};

use crate::kernel::Outcome;

const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// So many steps of one round are named in the log.
const SAID: usize = 3;
/// As long as between two looks that nobody asked for.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// A step that fails, by how it prints.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failing {
    pub step: Step,
    pub reason: String,
    pub since: WallMs,
    pub times: u32,
}

#[derive(Debug, Default)]
pub struct Trouble {
    failing: BTreeMap<String, Failing>,
    /// Why nothing can be read at all.
    look: Option<String>,
    blocked: Vec<SeenRoute>,
    /// Rounds in a row that did not end well, each a pause after the one before: what
    /// others do to the kernel meanwhile makes looks, and is no reason to wait longer.
    rounds: u32,
    round_at: Option<Instant>,
}

impl Trouble {
    pub fn is_any(&self) -> bool {
        !self.failing.is_empty() || self.look.is_some()
    }

    pub fn failing(&self) -> impl Iterator<Item = &Failing> {
        self.failing.values()
    }

    /// The one to tell of: what fails on a device that is not there follows from it.
    pub fn first(&self) -> Option<&Failing> {
        let follows = |failing: &&Failing| failing.step.kind() != "device";
        self.failing.values().min_by_key(follows)
    }

    /// Routes of others that stand where ours should.
    pub fn in_the_way(&self) -> &[SeenRoute] {
        &self.blocked
    }

    pub fn look(&self) -> Option<&str> {
        self.look.as_deref()
    }

    pub fn pause(&self) -> Duration {
        let doubled = FIRST_PAUSE * 2u32.saturating_pow(self.rounds.saturating_sub(1).min(16));
        doubled.min(LONGEST_PAUSE)
    }

    pub fn look_failed(&mut self, reason: &str) {
        self.round();
        if self.look.as_deref() != Some(reason) {
            warn!(reason, "the kernel cannot be read");
            self.look = Some(reason.to_owned());
        }
    }

    pub fn blocked(&mut self, routes: &[SeenRoute]) {
        if self.blocked != routes {
            for route in routes {
                warn!(subnet = %route.subnet, metric = route.metric, protocol = route.protocol,
                    "somebody else's route is where ours should be; leaving it alone");
            }
            self.blocked = routes.to_vec();
        }
    }

    /// Takes in what became of some steps. After a full look they are all there was.
    pub fn after(&mut self, outcome: &Outcome, everything: bool) {
        let mut before = if everything {
            self.look = None;
            std::mem::take(&mut self.failing)
        } else {
            BTreeMap::new()
        };
        let mut said = 0;
        for failure in &outcome.failures {
            let name = failure.step.to_string();
            let known = before.remove(&name).or_else(|| self.failing.remove(&name));
            let mut failing = known.unwrap_or_else(|| {
                // Once, and not again while it goes on failing the same way. What
                // comes after the first few mostly follows from them.
                if said < SAID {
                    warn!(step = %name, reason = %failure.reason, "the kernel refused");
                }
                said += 1;
                Failing {
                    step: failure.step.clone(),
                    reason: failure.reason.clone(),
                    since: WallMs(clock::now_ms()),
                    times: 0,
                }
            });
            failing.reason.clone_from(&failure.reason);
            failing.times += 1;
            self.failing.insert(name, failing);
        }
        if said > SAID {
            warn!(
                more = said - SAID,
                "the kernel refused more steps of the same round"
            );
        }
        for (name, failing) in before.iter().take(SAID) {
            info!(step = %name, times = failing.times, "works now");
        }
        if before.len() > SAID {
            info!(more = before.len() - SAID, "more that failed works now");
        }
        if self.is_any() {
            self.round();
        } else {
            self.rounds = 0;
            self.round_at = None;
        }
    }

    fn round(&mut self) {
        let now = Instant::now();
        let early = self.round_at.is_some_and(|at| now < at + self.pause());
        if !early {
            self.rounds += 1;
            self.round_at = Some(now);
        }
    }
}
