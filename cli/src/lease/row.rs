//! A lease as it is listed.

use options::clock;
use proto::v1;
use serde::Serialize;

use crate::output::{Row, joined, or_dash, some};

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LeaseRow {
    pub network: String,
    pub node: String,
    pub node_id: Option<String>,
    pub life: Option<String>,
    pub subnets: Vec<String>,
    pub underlay: Option<String>,
    pub mac: Option<String>,
    pub kind: Option<&'static str>,
    pub state: Option<&'static str>,
    pub expires_at: Option<String>,
    pub revision: u64,
    #[serde(skip)]
    pub expires_at_ms: u64,
}

impl From<v1::Lease> for LeaseRow {
    fn from(lease: v1::Lease) -> Self {
        Self {
            kind: match lease.kind() {
                v1::LeaseKind::Agent => Some("agent"),
                v1::LeaseKind::Api => Some("api"),
                v1::LeaseKind::Unspecified => None,
            },
            state: lease_state(lease.state()),
            network: lease.network,
            node: lease.node,
            node_id: some(lease.node_id),
            life: some(lease.life),
            subnets: lease.subnets,
            underlay: some(lease.underlay),
            mac: some(lease.mac),
            expires_at: clock::utc_or_none(lease.expires_at_ms),
            revision: lease.revision,
            expires_at_ms: lease.expires_at_ms,
        }
    }
}

pub fn lease_state(state: v1::LeaseState) -> Option<&'static str> {
    match state {
        v1::LeaseState::Alive => Some("alive"),
        v1::LeaseState::Lapsed => Some("lapsed"),
        v1::LeaseState::Unspecified => None,
    }
}

impl Row for LeaseRow {
    const COLUMNS: &'static [&'static str] = &[
        "NETWORK", "NODE", "SUBNETS", "UNDERLAY", "MAC", "KIND", "STATE", "EXPIRES",
    ];
    const SPARE: &'static [&'static str] = &["MAC", "KIND", "UNDERLAY", "EXPIRES", "STATE"];

    fn cells(&self, now_ms: u64) -> Vec<String> {
        vec![
            self.network.clone(),
            self.node.clone(),
            joined(&self.subnets),
            or_dash(self.underlay.as_ref()),
            or_dash(self.mac.as_ref()),
            self.kind.unwrap_or("-").into(),
            self.state.unwrap_or("-").into(),
            clock::from_now(self.expires_at_ms, now_ms),
        ]
    }
}
