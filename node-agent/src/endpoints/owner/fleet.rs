//! What the fleet is told of this host's endpoints, and who waits until it knows.

use std::{sync::Arc, time::Duration};

use overlay::endpoint::{EndpointId, Public, book::Line};
use socket::words::{Attached, Reason, Refusal};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use super::{super::door::Answer, Owner, reply};
use crate::{
    metrics::Metrics,
    session::{Endpoints, Known},
};

/// A session that is being opened says everything in less.
const PATIENCE: Duration = Duration::from_secs(5);

/// The way to the fleet and back.
pub struct Fleet {
    pub told: watch::Sender<Endpoints>,
    pub known: watch::Receiver<Known>,
    metrics: Metrics,
    pub(super) asking: Vec<Asking>,
}

/// Who is answered when the fleet knows.
pub(super) struct Asking {
    attached: Box<Attached>,
    answer: Answer<Attached>,
    version: u64,
    until: Instant,
}

impl Fleet {
    pub fn new(
        told: watch::Sender<Endpoints>,
        known: watch::Receiver<Known>,
        metrics: Metrics,
    ) -> Self {
        Self {
            told,
            known,
            metrics,
            asking: Vec::new(),
        }
    }

    /// Waits until the fleet knows more, or somebody has waited for long enough.
    pub(super) async fn news(&mut self) {
        let until = self.asking.iter().map(|asking| asking.until).min();
        let Some(until) = until else {
            return std::future::pending().await;
        };
        // Both are cancel-safe: what changed is found to have changed.
        tokio::select! {
            // Without a session the agent ends.
            _ = self.known.changed() => {}
            () = sleep_until(until) => {}
        }
    }
}

impl Owner {
    /// What became of these endpoints is told to the fleet.
    pub(super) fn tell(&self, lines: &[Line]) {
        let changed: Vec<EndpointId> = lines
            .iter()
            .filter_map(|line| match line {
                Line::Attached(endpoint) => Some(endpoint.id()),
                Line::Detached { network, key, .. } | Line::Named { network, key, .. } => {
                    Some(EndpointId::of(network, key))
                }
                Line::Held { .. }
                | Line::Released { .. }
                | Line::Past { .. }
                | Line::Seq(_)
                | Line::Torn(_) => None,
            })
            .collect();
        if changed.is_empty() {
            return;
        }
        self.fleet.told.send_modify(|told| {
            told.version += 1;
            for id in changed {
                match self.book.endpoint(id) {
                    Some(endpoint) => {
                        let network = told.networks.entry(endpoint.network.clone());
                        let public = Arc::new(Public::from(endpoint));
                        network.or_default().insert(id, public);
                    }
                    None => {
                        for network in told.networks.values_mut() {
                            network.remove(&id);
                        }
                    }
                }
            }
            for (network, endpoints) in &told.networks {
                self.fleet.metrics.endpoints(network, endpoints.len());
            }
            told.networks.retain(|_, endpoints| !endpoints.is_empty());
        });
    }

    /// Everything, as the book has it.
    pub(super) fn tell_all(&self) {
        let all: Vec<Line> = self.book.lines().collect();
        self.tell(&all);
    }

    /// Answers when the fleet knows.
    pub(super) fn answer_when_known(&mut self, attached: Attached, answer: Answer<Attached>) {
        let version = self.fleet.told.borrow().version;
        self.fleet.asking.push(Asking {
            attached: Box::new(attached),
            answer,
            version,
            until: Instant::now() + PATIENCE,
        });
        self.heed_fleet();
    }

    pub(super) fn heed_fleet(&mut self) {
        let now = Instant::now();
        let known = self.fleet.known.borrow().clone();
        for asking in std::mem::take(&mut self.fleet.asking) {
            let endpoint = &asking.attached.endpoint;
            let of_it = known.networks.get(&endpoint.network);
            let refused = of_it.and_then(|of_it| of_it.refused.get(&endpoint.id()));
            let text = if let Some(reason) = refused {
                format!("it is attached, and the controller does not keep it: {reason}")
            } else if known.has(&endpoint.network, asking.version) {
                reply(asking.answer, Ok(*asking.attached));
                continue;
            } else if asking.until <= now {
                let why = of_it.and_then(|of_it| of_it.problem.clone());
                let why = why.unwrap_or_else(|| "no controller answers".into());
                format!("it is attached, and the fleet does not know yet: {why}")
            } else {
                self.fleet.asking.push(asking);
                continue;
            };
            reply(asking.answer, Err(Refusal::new(Reason::NotReady, text)));
        }
    }
}
