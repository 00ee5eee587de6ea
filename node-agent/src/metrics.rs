//! The numbers of this agent, for Prometheus.

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use overlay::{
    datapath::{host::Host, member::Member, step::Step},
    name::NetworkName,
};
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use crate::kernel::Outcome;
pub use certificate::Certificate;
use probes::Probes;
use traffic::Traffic;

mod certificate;
mod probes;
mod traffic;

#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    peers: Family<NetworkLabel, Gauge>,
    held: Family<NetworkLabel, Gauge>,
    ready: Gauge,
    lag: Gauge<f64, AtomicU64>,
    steps: Family<StepLabels, Counter>,
    failing: Gauge,
    drift: Family<KindLabel, Counter>,
    pub certificate: Certificate,
    pub probes: Probes,
    pub traffic: Traffic,
    endpoints: Family<NetworkLabel, Gauge>,
    /// From the moment it is asked for; those that were there before count, too.
    pub attach_seconds: Histogram,
    pub attach_refused: Counter,
    apply_seconds: Histogram,
    pub look_seconds: Histogram,
    pub looks: Counter,
    pub overruns: Counter,
    pub sessions: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NetworkLabel {
    network: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabel {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StepLabels {
    kind: &'static str,
    result: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        let seconds = || {
            Histogram::new([
                0.0001, 0.0005, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
            ])
        };
        let mut metrics = Self {
            registry: Arc::default(),
            peers: Family::default(),
            held: Family::default(),
            ready: Gauge::default(),
            lag: Gauge::default(),
            steps: Family::default(),
            failing: Gauge::default(),
            drift: Family::default(),
            certificate: Certificate::default(),
            probes: Probes::default(),
            traffic: Traffic::default(),
            endpoints: Family::default(),
            attach_seconds: seconds(),
            attach_refused: Counter::default(),
            apply_seconds: seconds(),
            look_seconds: seconds(),
            looks: Counter::default(),
            overruns: Counter::default(),
            sessions: Counter::default(),
        };
        metrics.registry = Arc::new(metrics.register());
        metrics
    }
}

impl Metrics {
    pub fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a string does not fail");
        text
    }

    pub fn count_steps(&self, steps: &[Step], outcome: &Outcome, took: Duration) {
        self.apply_seconds.observe(took.as_secs_f64());
        for step in steps {
            self.step(step, "done").inc();
        }
        for failure in &outcome.failures {
            self.step(&failure.step, "refused").inc();
        }
    }

    pub fn drift(&self, kind: &'static str, count: u64) {
        self.drift.get_or_create(&KindLabel { kind }).inc_by(count);
    }

    pub fn sample(&self, host: &Host, ready: bool, failing: usize, lag: Option<Duration>) {
        self.ready.set(ready.into());
        self.failing.set(i64::try_from(failing).unwrap_or(i64::MAX));
        self.lag.set(lag.unwrap_or_default().as_secs_f64());
        for (name, member) in host.joined() {
            let label = NetworkLabel {
                network: name.to_string(),
            };
            let peers = member.map_or(0, |member| {
                let known = member.known().peers();
                known.map_or(0, |peers| peers.len())
            });
            let held = member
                .map(Member::held)
                .map_or(0, |held| held.peers().len());
            let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
            self.peers.get_or_create(&label).set(number(peers));
            self.held.get_or_create(&label).set(number(held));
        }
    }

    pub fn endpoints(&self, network: &NetworkName, count: usize) {
        let label = NetworkLabel {
            network: network.to_string(),
        };
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.endpoints.get_or_create(&label).set(count);
    }

    fn step(&self, step: &Step, result: &'static str) -> Counter {
        let kind = step.kind();
        let labels = StepLabels { kind, result };
        self.steps.get_or_create(&labels).clone()
    }

    fn register(&self) -> Registry {
        let mut all = Registry::with_prefix("weft_agent");
        all.register("peers", "Peers of a network", self.peers.clone());
        all.register(
            "held_peers",
            "Peers that are gone with most others at once, and kept for a while",
            self.held.clone(),
        );
        all.register(
            "endpoints",
            "Containers that are attached to a network on this host",
            self.endpoints.clone(),
        );
        all.register(
            "attach_seconds",
            "From the request to attach a container to its answer",
            self.attach_seconds.clone(),
        );
        all.register(
            "attach_refused",
            "Requests to attach a container that were refused",
            self.attach_refused.clone(),
        );
        all.register(
            "ready",
            "1: every peer is programmed and the feed is live",
            self.ready.clone(),
        );
        all.register(
            "feed_lag_seconds",
            "Age of the oldest word of a controller that the kernel does not hold yet",
            self.lag.clone(),
        );
        all.register("steps", "Changes made to the kernel", self.steps.clone());
        all.register(
            "failing_steps",
            "Changes that the kernel refuses now; they are tried again",
            self.failing.clone(),
        );
        all.register(
            "drift_repaired",
            "Objects that somebody else changed or removed, put back",
            self.drift.clone(),
        );
        all.register(
            "apply_seconds",
            "Changing the kernel, a round",
            self.apply_seconds.clone(),
        );
        all.register(
            "look_seconds",
            "Reading all that is ours in the kernel",
            self.look_seconds.clone(),
        );
        all.register(
            "looks",
            "Full comparisons with the kernel",
            self.looks.clone(),
        );
        all.register(
            "netlink_overruns",
            "Notifications lost; everything was looked at instead",
            self.overruns.clone(),
        );
        all.register("sessions", "Sessions opened", self.sessions.clone());
        self.certificate.register(&mut all);
        self.probes.register(&mut all);
        self.traffic.register(&mut all);
        all
    }
}
