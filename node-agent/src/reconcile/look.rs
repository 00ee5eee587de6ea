//! Reading the kernel, and doing what differs.

use std::{collections::BTreeMap, time::Duration};

use overlay::datapath::{plan::plan, step::Step};
use rustix::time::{ClockId, clock_gettime};
use tokio::{task::block_in_place, time::Instant};
use tracing::{debug, info};

use super::Reconciler;
use crate::kernel::{Outcome, events::Events};

/// The kernel tells of many things at once: they are looked at together.
const SETTLE: Duration = Duration::from_millis(3);
/// Looking takes no more than this share of the time, however large the tables are.
const SHARE: u32 = 100;
/// While somebody keeps changing things, the time between looks is so many times as
/// long as a look.
const BREATH: u32 = 4;
/// So many steps make more notifications than are worth hearing: afterwards everything
/// is looked at instead.
const DEAF: usize = 4_000;

/// The last full look.
pub(super) struct Looked {
    pub at: Instant,
    /// CPU time: that a look had to wait for others is no reason to wait with the next.
    pub took: Duration,
    /// The kernel was as it should be: what differs next time was changed by others.
    pub settled: bool,
}

impl Reconciler {
    /// Reads everything, and mends what differs.
    pub(super) fn look(&mut self, events: &mut Option<Events>) {
        // Whatever they were, they are part of the difference.
        let told = !std::mem::take(&mut self.steps).is_empty();
        let (began, used) = (Instant::now(), cpu_time());
        let settings = self.host.settings();
        let frames = self.host.frames();
        if let Err(error) = block_in_place(|| self.kernel.recognise_firewall(&frames)) {
            // Then it is installed again.
            debug!(%error);
        }
        let observed = match block_in_place(|| self.kernel.look(&settings, self.host.mac())) {
            Ok(observed) => observed,
            Err(error) => {
                self.trouble.look_failed(&options::sentence(&error));
                self.look_at = Instant::now() + self.trouble.pause();
                return;
            }
        };
        let plan = plan(&self.host, &observed);
        drop(observed);
        self.looked.at = began;
        self.looked.took = cpu_time().saturating_sub(used);
        self.metrics.looks.inc();
        self.metrics
            .look_seconds
            .observe(began.elapsed().as_secs_f64());
        self.owed = false;
        if self.looked.settled && !told && !plan.steps.is_empty() {
            self.count_drift(&plan.steps);
        }
        self.trouble.blocked(&plan.blocked);
        self.perform(&plan.steps, true, events);
        self.looked_for_ports();
    }

    /// Does these steps, which are all there is to do or what a change takes.
    pub(super) fn perform(
        &mut self,
        steps: &[Step],
        everything: bool,
        events: &mut Option<Events>,
    ) {
        let deaf = steps.len() > DEAF;
        if deaf {
            *events = None;
        }
        let outcome = self.apply(steps);
        self.settle(&outcome, everything);
        if deaf {
            self.looked.settled = false;
            self.look_soon();
        }
    }

    fn apply(&mut self, steps: &[Step]) -> Outcome {
        if steps.is_empty() {
            return Outcome::default();
        }
        for step in steps {
            debug!(%step);
        }
        let began = Instant::now();
        let outcome = block_in_place(|| self.kernel.apply(steps));
        let took = began.elapsed();
        self.metrics.count_steps(steps, &outcome, took);
        if steps.len() > DEAF {
            info!(
                steps = steps.len(),
                failed = outcome.failures.len(),
                ?took,
                "the kernel is programmed"
            );
        }
        outcome
    }

    /// After steps: when to look again, and what the kernel holds now.
    fn settle(&mut self, outcome: &Outcome, everything: bool) {
        self.trouble.after(outcome, everything);
        let now = Instant::now();
        if self.trouble.is_any() || outcome.uncertain {
            self.looked.settled = false;
            self.look_at = self.look_at.min(now + self.trouble.pause());
            if everything {
                self.look_at = now + self.trouble.pause();
            }
            return;
        }
        if everything {
            self.looked.settled = true;
            let pause = self.settings.look_every.max(self.looked.took * SHARE);
            self.look_at = now + pause;
        }
        if !self.owed {
            self.caught_up();
        }
    }

    pub(super) fn caught_up(&mut self) {
        if self.behind.take().is_some() || self.applied.len() != self.held.revisions.len() {
            self.applied.clone_from(&self.held.revisions);
        }
    }

    /// The kernel has to follow something that only a look can bring about.
    pub(super) fn owe_look(&mut self) {
        self.owed = true;
        self.looked.settled = false;
        self.look_soon();
    }

    /// Looks again in a moment, when there is no more to be heard.
    pub(super) fn look_soon(&mut self) {
        let breath = self.looked.at + self.looked.took * BREATH;
        let soon = (Instant::now() + SETTLE).max(breath);
        self.look_at = self.look_at.min(soon);
    }

    fn count_drift(&mut self, steps: &[Step]) {
        self.repaired += steps.len() as u64;
        let mut kinds: BTreeMap<&'static str, u64> = BTreeMap::new();
        for step in steps {
            *kinds.entry(step.kind()).or_default() += 1;
        }
        for (kind, count) in &kinds {
            self.metrics.drift(kind, *count);
        }
        let first = steps.first().map(ToString::to_string);
        info!(
            steps = steps.len(),
            first, "somebody changed what is ours: putting it back"
        );
    }
}

/// Of this thread, which does not change during a look.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::try_from(time).expect("CPU time is never negative")
}
