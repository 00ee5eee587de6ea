//! A lease as the store has it, and the peer that it is to others.

use serde_json::Value as Json;

/// A lease as the store has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub life: String,
    pub node_id: String,
    /// IPv4 first.
    pub subnets: Vec<String>,
    pub underlay: Option<String>,
    pub mac: Option<String>,
    pub gone: bool,
    pub expires: Option<u64>,
}

/// A peer in the words in which agents are told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    pub subnets: Vec<String>,
    pub underlay: String,
    pub mac: String,
}

pub fn lease(json: &Json) -> Lease {
    let text = |field: &str| json[field].as_str().map(str::to_owned);
    Lease {
        life: text("life").unwrap_or_default(),
        node_id: text("node_id").unwrap_or_default(),
        subnets: [text("v4"), text("v6")].into_iter().flatten().collect(),
        underlay: text("underlay"),
        mac: text("mac"),
        gone: !json["gone_at"].is_null(),
        expires: json["expires_at"].as_u64(),
    }
}

pub fn peer(lease: &Lease) -> Option<Peer> {
    Some(Peer {
        subnets: lease.subnets.clone(),
        underlay: lease.underlay.clone()?,
        mac: lease.mac.clone()?,
    })
}
