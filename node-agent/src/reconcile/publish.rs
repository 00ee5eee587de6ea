//! Ports that are to be published, and who waits until they are.

use std::collections::BTreeSet;

use overlay::datapath::{
    firewall::{Published, published::Follow},
    step::Step,
};
use tokio::{sync::oneshot, time::Instant};

use super::Reconciler;

/// Somebody who asked for ports, and is answered when they are in the kernel.
pub(super) struct Asker {
    /// What changes by it.
    changes: BTreeSet<Published>,
    /// Only a look brings it about.
    needs_look: bool,
    reply: oneshot::Sender<Result<(), String>>,
}

impl Reconciler {
    pub(super) fn publish_ports(
        &mut self,
        ports: BTreeSet<Published>,
        reply: oneshot::Sender<Result<(), String>>,
    ) {
        let nothing = BTreeSet::new();
        let before = self.host.ports().known().unwrap_or(&nothing);
        let changes = before.symmetric_difference(&ports).copied().collect();
        let needs_look = match self.host.publish(ports) {
            Ok(Follow::Steps(steps)) => {
                self.steps.extend(steps);
                false
            }
            Ok(Follow::Look) => {
                self.looked.settled = false;
                self.look_at = Instant::now();
                true
            }
            Err(error) => {
                // Whoever asked may have gone: then nobody is told.
                let _ = reply.send(Err(error.to_string()));
                return;
            }
        };
        self.askers.push(Asker {
            changes,
            needs_look,
            reply,
        });
    }

    /// Everything was read, and what differed was mended as far as possible.
    pub(super) fn looked_for_ports(&mut self) {
        for asker in &mut self.askers {
            asker.needs_look = false;
        }
    }

    /// Answers those whose ports are in the kernel, or are not for a reason.
    pub(super) fn answer_askers(&mut self) {
        let unreadable = self.trouble.look().map(str::to_owned);
        let pending = self.owed || !self.steps.is_empty();
        for asker in std::mem::take(&mut self.askers) {
            let answer = match &unreadable {
                Some(reason) => Err(format!("the kernel cannot be read: {reason}")),
                None if pending || asker.needs_look => {
                    self.askers.push(asker);
                    continue;
                }
                None => self.is_published(&asker.changes),
            };
            let _ = asker.reply.send(answer);
        }
    }

    fn is_published(&self, changes: &BTreeSet<Published>) -> Result<(), String> {
        let concerns = |step: &Step| match step {
            Step::Firewall(_) | Step::NoFirewall => true,
            Step::Publish(port) | Step::Unpublish(port) => changes.contains(port),
            _ => false,
        };
        let mut failing = self.trouble.failing();
        if let Some(failing) = failing.find(|failing| concerns(&failing.step)) {
            return Err(format!("{}: {}", failing.step, failing.reason));
        }
        let wanted = self.host.ports().known();
        if wanted.is_some_and(|ports| !ports.is_empty()) && self.host.firewall().is_none() {
            return Err("no network is up on this host: no way out of it is known".into());
        }
        Ok(())
    }
}
