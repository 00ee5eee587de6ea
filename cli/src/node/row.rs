//! A node as it is listed and shown.

use options::clock;
use proto::v1;
use serde::Serialize;

use crate::{
    lease::lease_state,
    mesh::{percent, time},
    output::{Row, joined, or_dash, some},
};

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NodeRow {
    pub name: String,
    pub id: Option<String>,
    pub state: String,
    /// Null where the controller asked does not know.
    pub ready: Option<bool>,
    pub reason: Option<String>,
    pub networks: Vec<String>,
    pub subnets: Vec<String>,
    /// The worst of its networks; null where nothing has been reported.
    pub lag_ms: Option<u64>,
    /// The least of its networks.
    pub mtu: Option<u32>,
    /// So often its agent put back what somebody had changed.
    pub repaired: Option<u64>,
    /// Since when its kernel refuses something, and how long between two tries.
    pub failing_since_ms: Option<u64>,
    pub retry_ms: Option<u64>,
    /// Peers that its agent probes, and those to which packets do not pass as they should.
    pub probed: Option<u32>,
    pub probes_troubled: Option<u32>,
    pub worst_peer: Option<String>,
    pub worst_verdict: Option<String>,
    pub worst_loss: Option<f64>,
    pub worst_rtt_us: Option<u32>,
    pub controller: Option<String>,
    pub address: Option<String>,
    pub agent_version: Option<String>,
    pub joined_at: Option<String>,
}

/// A node with what it has in each network.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NodeDetail {
    #[serde(flatten)]
    pub node: NodeRow,
    pub attachments: Vec<AttachmentRow>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AttachmentRow {
    pub network: String,
    pub subnets: Vec<String>,
    pub underlay: Option<String>,
    pub mac: Option<String>,
    /// What its kernel holds; null where the controller asked does not know.
    pub applied_revision: Option<u64>,
    pub feed_revision: u64,
    pub lag_ms: Option<u64>,
    /// What its agent says, and when it said so; null where the controller asked does
    /// not know, or the agent does not say.
    pub mtu: Option<u32>,
    pub peers: Option<u64>,
    pub troubled: Vec<TroubledRow>,
    pub reported_at: Option<String>,
    pub state: Option<&'static str>,
    /// When the lease may be reclaimed; null while its session lives.
    pub expires_at: Option<String>,
    #[serde(skip)]
    pub expires_at_ms: u64,
}

/// A peer whose entries a node's kernel refuses.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TroubledRow {
    #[serde(skip)]
    pub network: String,
    pub node: String,
    pub reason: Option<String>,
}

impl From<v1::Node> for NodeRow {
    fn from(node: v1::Node) -> Self {
        let lags = node.networks.iter().filter_map(|network| network.lag_ms);
        let mtus = node.networks.iter().map(|network| network.mtu);
        let probes = || {
            node.networks
                .iter()
                .filter_map(|network| network.probes.as_ref())
        };
        let sum = |count: fn(&v1::Probes) -> u32| {
            let counts = probes().map(count);
            counts.reduce(u32::saturating_add)
        };
        let is_failing = node.failing_since_ms != 0;
        let worst = probes().max_by_key(|probes| probes.troubled);
        let worst = worst.and_then(|probes| probes.worst.first()).cloned();
        Self {
            mtu: mtus.filter(|mtu| *mtu != 0).min(),
            repaired: node.ready.map(|_| node.repaired),
            failing_since_ms: is_failing.then_some(node.failing_since_ms),
            retry_ms: is_failing.then_some(node.retry_ms),
            probed: sum(|probes| probes.probed),
            probes_troubled: sum(|probes| probes.troubled),
            worst_loss: worst
                .as_ref()
                .map(|worst| f64::from(worst.loss_permille) / 1e3),
            worst_rtt_us: worst
                .as_ref()
                .map(|worst| worst.rtt_us)
                .filter(|us| *us != 0),
            worst_verdict: worst.as_ref().map(|worst| worst.verdict.clone()),
            worst_peer: worst.map(|worst| worst.node),
            lag_ms: lags.max(),
            networks: node.networks.iter().map(|n| n.network.clone()).collect(),
            subnets: node.networks.into_iter().flat_map(|n| n.subnets).collect(),
            name: node.name,
            id: some(node.id),
            state: node.state,
            ready: node.ready,
            reason: some(node.reason),
            controller: some(node.controller),
            address: some(node.address),
            agent_version: some(node.agent_version),
            joined_at: clock::utc_or_none(node.joined_at_ms),
        }
    }
}

impl From<v1::Node> for NodeDetail {
    fn from(node: v1::Node) -> Self {
        Self {
            attachments: node.networks.iter().cloned().map(Into::into).collect(),
            node: node.into(),
        }
    }
}

impl From<v1::NodeNetwork> for AttachmentRow {
    fn from(network: v1::NodeNetwork) -> Self {
        // Peers without an MTU are known before there is a way to them; an agent that
        // says neither is older than these words.
        let said = network.mtu != 0 || network.peers != 0;
        let state = lease_state(network.state());
        let troubled = network.troubled.into_iter();
        Self {
            lag_ms: network.lag_ms,
            mtu: Some(network.mtu).filter(|mtu| *mtu != 0),
            peers: Some(network.peers).filter(|_| said),
            troubled: troubled
                .map(|peer| TroubledRow {
                    network: network.network.clone(),
                    node: peer.node,
                    reason: some(peer.reason),
                })
                .collect(),
            reported_at: clock::utc_or_none(network.reported_at_ms),
            state,
            expires_at: clock::utc_or_none(network.expires_at_ms),
            expires_at_ms: network.expires_at_ms,
            network: network.network,
            subnets: network.subnets,
            underlay: some(network.underlay),
            mac: some(network.mac),
            applied_revision: Some(network.applied_revision).filter(|revision| *revision != 0),
            feed_revision: network.feed_revision,
        }
    }
}

impl Row for NodeRow {
    const COLUMNS: &'static [&'static str] = &[
        "NAME", "STATE", "READY", "NETWORKS", "SUBNETS", "ADDRESS", "LAG", "REASON",
    ];
    const SPARE: &'static [&'static str] = &["ADDRESS", "NETWORKS", "SUBNETS", "READY", "LAG"];

    fn cells(&self, _now_ms: u64) -> Vec<String> {
        let ready = match self.ready {
            Some(true) => "yes",
            Some(false) => "no",
            None => "-",
        };
        vec![
            self.name.clone(),
            self.state.clone(),
            ready.into(),
            joined(&self.networks),
            joined(&self.subnets),
            or_dash(self.address.as_ref()),
            self.lag_ms.map_or("-".into(), lag),
            or_dash(self.reason.as_ref()),
        ]
    }
}

impl Row for AttachmentRow {
    const COLUMNS: &'static [&'static str] = &[
        "NETWORK", "SUBNETS", "UNDERLAY", "MAC", "MTU", "PEERS", "STATE", "EXPIRES", "APPLIED",
        "FEED", "LAG",
    ];
    const SPARE: &'static [&'static str] = &[
        "MAC", "FEED", "UNDERLAY", "APPLIED", "EXPIRES", "MTU", "PEERS",
    ];

    fn cells(&self, now_ms: u64) -> Vec<String> {
        let number = |number: Option<u64>| number.map_or("-".into(), |number| number.to_string());
        vec![
            self.network.clone(),
            joined(&self.subnets),
            or_dash(self.underlay.as_ref()),
            or_dash(self.mac.as_ref()),
            number(self.mtu.map(u64::from)),
            number(self.peers),
            self.state.unwrap_or("-").into(),
            clock::from_now(self.expires_at_ms, now_ms),
            number(self.applied_revision),
            self.feed_revision.to_string(),
            self.lag_ms.map_or("-".into(), lag),
        ]
    }
}

impl Row for TroubledRow {
    const COLUMNS: &'static [&'static str] = &["NETWORK", "PEER", "REASON"];
    const SPARE: &'static [&'static str] = &["NETWORK"];

    fn cells(&self, _now_ms: u64) -> Vec<String> {
        vec![
            self.network.clone(),
            self.node.clone(),
            or_dash(self.reason.as_ref()),
        ]
    }
}

/// The worst that the probes of a node show: `h4 DEAD`, `h2 LOSSY 12%`, `h3 0.44ms`
pub fn probed(node: &NodeRow) -> String {
    let (Some(peer), Some(verdict)) = (&node.worst_peer, &node.worst_verdict) else {
        return String::new();
    };
    let more = match node.probes_troubled {
        Some(troubled @ 2..) => format!(" and {} more", troubled - 1),
        _ => String::new(),
    };
    let shown = match (verdict.as_str(), node.worst_rtt_us) {
        ("ok", Some(us)) => time(us),
        ("ok" | "new", _) => verdict.clone(),
        ("lossy", _) => format!("LOSSY {}", percent(node.worst_loss.unwrap_or(0.0))),
        (word, _) => word.to_uppercase(),
    };
    format!("{peer} {shown}{more}")
}

/// Short lags to the millisecond, long ones as people say them.
pub fn lag(ms: u64) -> String {
    match ms {
        0..1000 => format!("{ms}ms"),
        1000..60_000 => format!("{}.{}s", ms / 1000, ms % 1000 / 100),
        _ => clock::rough(ms),
    }
}

#[cfg(test)]
mod tests;
