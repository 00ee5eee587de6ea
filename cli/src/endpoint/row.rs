//! An endpoint of the fleet as it is listed.

use std::collections::BTreeMap;

use options::clock;
use proto::v1;
use serde::Serialize;

use crate::{
    lease::lease_state,
    output::{Row, joined, or_dash, some},
};

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EndpointRow {
    pub network: String,
    pub node: String,
    pub name: Option<String>,
    pub addresses: Vec<String>,
    pub mac: Option<String>,
    pub ports: Vec<String>,
    pub aliases: Vec<String>,
    pub labels: BTreeMap<String, String>,
    pub container: Option<String>,
    pub key: Option<String>,
    pub id: String,
    pub state: Option<&'static str>,
    pub since: Option<String>,
    pub revision: u64,
}

impl From<v1::Endpoint> for EndpointRow {
    fn from(told: v1::Endpoint) -> Self {
        Self {
            state: lease_state(told.state()),
            network: told.network,
            node: told.node,
            name: some(told.name),
            addresses: told.addresses,
            mac: some(told.mac),
            ports: told.ports.iter().map(port).collect(),
            aliases: told.aliases,
            labels: told.labels,
            container: some(told.container),
            key: some(told.key),
            id: told.id,
            since: clock::utc_or_none(told.since_ms),
            revision: told.revision,
        }
    }
}

/// As one writes it to publish it.
fn port(told: &v1::PublishedPort) -> String {
    let range = |first: u32| match told.count {
        0 | 1 => first.to_string(),
        count => format!("{first}-{}", first.saturating_add(count - 1)),
    };
    let at = match told.host_address.as_str() {
        "" => String::new(),
        v6 if v6.contains(':') => format!("[{v6}]:"),
        v4 => format!("{v4}:"),
    };
    let (outside, inside) = (range(told.host_port), range(told.port));
    format!("{at}{outside}:{inside}/{}", told.protocol)
}

/// As much of a container's id as engines show.
pub fn short(container: Option<&String>) -> String {
    container.map_or("-".into(), |id| id.chars().take(12).collect())
}

impl Row for EndpointRow {
    const COLUMNS: &'static [&'static str] = &[
        "NETWORK",
        "NODE",
        "NAME",
        "ADDRESSES",
        "MAC",
        "PORTS",
        "CONTAINER",
        "STATE",
    ];
    const SPARE: &'static [&'static str] = &["MAC", "CONTAINER", "PORTS", "STATE"];

    fn cells(&self, _now_ms: u64) -> Vec<String> {
        vec![
            self.network.clone(),
            self.node.clone(),
            or_dash(self.name.as_ref().or(self.key.as_ref())),
            joined(&self.addresses),
            or_dash(self.mac.as_ref()),
            or_dash(some(joined(&self.ports)).as_ref()),
            short(self.container.as_ref()),
            self.state.unwrap_or("-").into(),
        ]
    }
}
