//! An endpoint of this host as its agent shows it.

use std::collections::BTreeMap;

use options::clock;
use serde::Serialize;
use socket::words::{Shown, State};

use super::row::short;
use crate::output::{Row, joined, or_dash, some};

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HereRow {
    pub network: String,
    pub name: Option<String>,
    pub addresses: Vec<String>,
    pub mac: String,
    pub ports: Vec<String>,
    pub aliases: Vec<String>,
    pub labels: BTreeMap<String, String>,
    pub container: Option<String>,
    pub key: String,
    pub id: String,
    pub device: String,
    pub netns: String,
    pub interface: String,
    pub state: &'static str,
    pub reason: Option<String>,
    pub since: Option<String>,
    pub seq: u64,
}

impl From<Shown> for HereRow {
    fn from(shown: Shown) -> Self {
        let endpoint = shown.endpoint;
        Self {
            network: endpoint.network.to_string(),
            name: endpoint.who.name,
            addresses: endpoint.addresses.iter().map(ToString::to_string).collect(),
            mac: endpoint.mac.to_string(),
            ports: endpoint.publish.iter().map(ToString::to_string).collect(),
            aliases: endpoint.who.aliases,
            labels: endpoint.who.labels,
            container: endpoint.who.container,
            key: endpoint.key.to_string(),
            id: shown.id.to_string(),
            device: shown.device,
            netns: endpoint.sandbox.path,
            interface: endpoint.sandbox.interface,
            state: match shown.state {
                State::Ready => "ready",
                State::Failing => "failing",
                State::Vanished => "vanished",
            },
            reason: shown.reason,
            since: clock::utc_or_none(endpoint.since.0),
            seq: endpoint.seq,
        }
    }
}

impl Row for HereRow {
    const COLUMNS: &'static [&'static str] = &[
        "NETWORK",
        "NAME",
        "ADDRESSES",
        "MAC",
        "PORTS",
        "CONTAINER",
        "DEVICE",
        "STATE",
        "REASON",
    ];
    const SPARE: &'static [&'static str] = &["MAC", "CONTAINER", "DEVICE", "PORTS"];

    fn cells(&self, _now_ms: u64) -> Vec<String> {
        vec![
            self.network.clone(),
            self.name.clone().unwrap_or_else(|| self.key.clone()),
            joined(&self.addresses),
            self.mac.clone(),
            or_dash(some(joined(&self.ports)).as_ref()),
            short(self.container.as_ref()),
            self.device.clone(),
            self.state.into(),
            or_dash(self.reason.as_ref()),
        ]
    }
}
