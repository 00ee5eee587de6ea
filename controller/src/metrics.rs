//! The numbers of this controller, for Prometheus.

use std::sync::Arc;

use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry as Prometheus,
};

use overlay::{subnet, time::WallMs};

use crate::{
    keeper::{Link, State},
    roster::quantile,
    services::status,
};

const QUANTILES: [f64; 3] = [0.5, 0.9, 0.99];

/// What is counted as it happens.
#[derive(Clone)]
pub struct Metrics {
    prometheus: Arc<Prometheus>,
    sampled: Sampled,
    pub commit_seconds: Histogram,
    pub group_size: Histogram,
    pub conflicts: Counter,
    pub splits: Counter,
    pub store_errors: Counter,
    pub store_loads: Counter,
    pub stuck_readers: Counter,
    pub resyncs: Counter,
    /// Calls that the gate refused, and connections that did not come through the door.
    pub denied: Counter,
    pub handshakes_failed: Counter,
    /// From a change's publication to an agent's word that its kernel holds it.
    pub applied_seconds: Histogram,
}

/// What is read off the state when somebody asks.
#[derive(Clone, Default)]
struct Sampled {
    leases: Family<LeaseLabels, Gauge>,
    endpoints: Family<NetworkLabels, Gauge>,
    pool: Family<PoolLabels, Gauge>,
    nodes: Family<StateLabels, Gauge>,
    sessions: Gauge,
    ready: Gauge,
    lag: Family<QuantileLabels, Gauge<f64, std::sync::atomic::AtomicU64>>,
    set_aside: Gauge,
    upkeep_held: Gauge,
    store_up: Gauge,
    revision: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LeaseLabels {
    network: String,
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NetworkLabels {
    network: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PoolLabels {
    network: String,
    family: &'static str,
    subnets: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QuantileLabels {
    quantile: String,
}

impl Default for Metrics {
    fn default() -> Self {
        let seconds = || {
            Histogram::new([
                0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
            ])
        };
        let mut metrics = Self {
            prometheus: Arc::default(),
            sampled: Sampled::default(),
            commit_seconds: seconds(),
            group_size: Histogram::new([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0]),
            conflicts: Counter::default(),
            splits: Counter::default(),
            store_errors: Counter::default(),
            store_loads: Counter::default(),
            stuck_readers: Counter::default(),
            resyncs: Counter::default(),
            denied: Counter::default(),
            handshakes_failed: Counter::default(),
            applied_seconds: seconds(),
        };
        metrics.prometheus = Arc::new(metrics.registry());
        metrics
    }
}

impl Metrics {
    fn registry(&self) -> Prometheus {
        let mut registry = Prometheus::with_prefix("weft");
        let sampled = &self.sampled;
        registry.register(
            "leases",
            "Leases by network and state",
            sampled.leases.clone(),
        );
        registry.register(
            "endpoints",
            "Endpoints by network",
            sampled.endpoints.clone(),
        );
        registry.register(
            "pool_subnets",
            "Subnets of a pool: total, leased, reserved, free",
            sampled.pool.clone(),
        );
        registry.register(
            "sessions",
            "Agents connected to this controller",
            sampled.sessions.clone(),
        );
        registry.register(
            "ready_sessions",
            "Agents connected to this controller that say they are ready",
            sampled.ready.clone(),
        );
        registry.register(
            "nodes",
            "Nodes of the fleet by state: connected, disconnected, api, idle",
            sampled.nodes.clone(),
        );
        registry.register(
            "feed_lag_seconds",
            "Age of the oldest change a session has yet to apply, by quantile",
            sampled.lag.clone(),
        );
        registry.register(
            "set_aside_records",
            "Store records that cannot be read",
            sampled.set_aside.clone(),
        );
        registry.register(
            "upkeep_held",
            "1 while no lease lapses or is reclaimed here, because clocks of controllers disagree",
            sampled.upkeep_held.clone(),
        );
        registry.register(
            "store_up",
            "1 while the store is followed",
            sampled.store_up.clone(),
        );
        registry.register(
            "store_revision",
            "The newest revision applied here",
            sampled.revision.clone(),
        );
        registry.register(
            "commit_seconds",
            "Time of a group commit",
            self.commit_seconds.clone(),
        );
        registry.register(
            "commit_group_size",
            "Requests committed together",
            self.group_size.clone(),
        );
        registry.register(
            "conflicts",
            "Requests decided again after another's write",
            self.conflicts.clone(),
        );
        registry.register(
            "group_splits",
            "Groups the store refused as a whole",
            self.splits.clone(),
        );
        registry.register(
            "store_errors",
            "Commits without an answer",
            self.store_errors.clone(),
        );
        registry.register(
            "store_loads",
            "Times the whole store was loaded",
            self.store_loads.clone(),
        );
        registry.register(
            "feed_stuck_readers",
            "Streams dropped because nobody read them",
            self.stuck_readers.clone(),
        );
        registry.register(
            "feed_resyncs",
            "Slow streams that were given a snapshot",
            self.resyncs.clone(),
        );
        registry.register(
            "denied_calls",
            "Calls that the caller's certificate, or lack of one, does not allow",
            self.denied.clone(),
        );
        registry.register(
            "failed_handshakes",
            "Connections that did not come to speak TLS",
            self.handshakes_failed.clone(),
        );
        registry.register(
            "feed_applied_seconds",
            "From publication to an agent's kernel",
            self.applied_seconds.clone(),
        );
        registry
    }

    /// Reads the state; to be called in the keeper's task.
    pub fn sample(&self, state: &State, now: WallMs) {
        let sampled = &self.sampled;
        sampled.leases.clear();
        sampled.endpoints.clear();
        sampled.pool.clear();
        for (network, space) in state.registry().spaces() {
            let lapsed = space
                .leases()
                .values()
                .filter(|lease| lease.value.lapsed(now))
                .count();
            for (state, count) in [("alive", space.leases().len() - lapsed), ("lapsed", lapsed)] {
                let labels = LeaseLabels {
                    network: network.to_string(),
                    state,
                };
                sampled
                    .leases
                    .get_or_create(&labels)
                    .set(whole(count as u128));
            }
            let labels = NetworkLabels {
                network: network.to_string(),
            };
            let count = whole(space.attached().len() as u128);
            sampled.endpoints.get_or_create(&labels).set(count);
            for family in subnet::Family::BOTH {
                let Some(pool) = space.pool_use(family) else {
                    continue;
                };
                let counts = [
                    ("total", pool.total),
                    ("leased", pool.leased),
                    ("reserved", pool.reserved),
                    ("free", pool.free()),
                ];
                for (subnets, count) in counts {
                    let labels = PoolLabels {
                        network: network.to_string(),
                        family: family.as_str(),
                        subnets,
                    };
                    sampled.pool.get_or_create(&labels).set(whole(count));
                }
            }
        }
        sampled.nodes.clear();
        for (state, count) in status::counts(state) {
            let count = whole(count.into());
            sampled
                .nodes
                .get_or_create(&StateLabels { state })
                .set(count);
        }
        sampled.sessions.set(whole(state.roster.count() as u128));
        let ready = state.roster.iter().filter(|(_, present)| present.ready);
        sampled.ready.set(whole(ready.count() as u128));
        let lags = state.roster.lags(&state.feed());
        for share in QUANTILES {
            let labels = QuantileLabels {
                quantile: share.to_string(),
            };
            sampled
                .lag
                .get_or_create(&labels)
                .set(quantile(&lags, share).as_secs_f64());
        }
        sampled
            .set_aside
            .set(whole(state.registry().set_aside().len() as u128));
        let held = !state.upkeep_held.is_empty();
        sampled.upkeep_held.set(held.into());
        sampled.store_up.set(i64::from(state.link == Link::Live));
        sampled
            .revision
            .set(whole(state.registry().revision().into()));
    }

    pub fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.prometheus).expect("writing to a string cannot fail");
        text
    }
}

fn whole(count: u128) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
