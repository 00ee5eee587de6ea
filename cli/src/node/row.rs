//! A node as it is listed and shown.

use options::clock;
use proto::v1;
use serde::Serialize;

use crate::{
    lease::lease_state,
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
        Self {
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
