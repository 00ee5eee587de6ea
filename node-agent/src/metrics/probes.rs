//! The numbers of probes: of few peers, however large the fleet is.

use std::sync::atomic::AtomicU64;

use overlay::probe::window::{Outcome, Size};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};
use socket::words::Probe;

#[derive(Clone)]
pub struct Probes {
    loss: Family<PeerLabels, Gauge<f64, AtomicU64>>,
    rtt: Family<PeerLabels, Gauge<f64, AtomicU64>>,
    verdict: Family<VerdictLabels, Gauge>,
    outcomes: Family<OutcomeLabels, Counter>,
    seconds: Histogram,
    /// Questions of peers, and what else came to that port.
    pub answers: Counter,
    pub ignored: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PeerLabels {
    network: String,
    peer: String,
    family: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct VerdictLabels {
    network: String,
    verdict: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    size: &'static str,
    result: &'static str,
}

impl Default for Probes {
    fn default() -> Self {
        Self {
            loss: Family::default(),
            rtt: Family::default(),
            verdict: Family::default(),
            outcomes: Family::default(),
            seconds: Histogram::new([
                0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0,
            ]),
            answers: Counter::default(),
            ignored: Counter::default(),
        }
    }
}

impl Probes {
    pub fn outcome(&self, size: Size, outcome: Outcome) {
        let size = match size {
            Size::Small => "small",
            Size::Full => "full",
        };
        let result = match outcome {
            Outcome::Answered(us) => {
                self.seconds.observe(f64::from(us) / 1e6);
                "answered"
            }
            Outcome::Lost => "lost",
            Outcome::Refused => "refused",
        };
        let labels = OutcomeLabels { size, result };
        self.outcomes.get_or_create(&labels).inc();
    }

    /// These peers are probed, and no others.
    pub fn show(&self, probes: &[Probe]) {
        self.loss.clear();
        self.rtt.clear();
        self.verdict.clear();
        for probe in probes {
            let network = probe.network.to_string();
            let labels = PeerLabels {
                network: network.clone(),
                peer: probe.to.to_string(),
                family: probe.family.as_str(),
            };
            if let Some(us) = probe.rtt_us {
                let rtt = self.rtt.get_or_create(&labels);
                rtt.set(f64::from(us) / 1e6);
            }
            self.loss.get_or_create(&labels).set(probe.loss);
            let verdict = probe.verdict.as_str();
            let labels = VerdictLabels { network, verdict };
            self.verdict.get_or_create(&labels).inc();
        }
    }

    pub fn register(&self, all: &mut Registry) {
        all.register(
            "probe_loss_ratio",
            "Share of the last probes of a peer that were lost",
            self.loss.clone(),
        );
        all.register(
            "probe_rtt_seconds",
            "There and back through the overlay, the middle one of the last probes of a peer",
            self.rtt.clone(),
        );
        all.register(
            "probe_verdicts",
            "Addresses of peers by what their probes show",
            self.verdict.clone(),
        );
        all.register("probes", "Probes of peers", self.outcomes.clone());
        all.register(
            "probe_seconds",
            "There and back through the overlay, all probes",
            self.seconds.clone(),
        );
        all.register(
            "probes_answered",
            "Probes by peers that were answered",
            self.answers.clone(),
        );
        all.register(
            "probes_ignored",
            "What came to the port of probes and was no peer's question",
            self.ignored.clone(),
        );
    }
}
