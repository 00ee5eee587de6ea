//! The state of the fleet, as fields for programs and as a page for people.

use std::collections::BTreeMap;

use options::{clock, table};
use proto::v1;
use serde::Serialize;

use crate::{
    network::NetworkRow,
    node::{NodeRow, lag},
    output::{Row, counted, or_dash, section, some},
};

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    ready: bool,
    reason: Option<String>,
    controller: String,
    version: String,
    cluster: String,
    revision: u64,
    store: String,
    store_state: String,
    upkeep_held: Option<String>,
    sessions: u64,
    controllers: Vec<ControllerRow>,
    networks: Vec<NetworkRow>,
    /// How many nodes are in each state.
    nodes: BTreeMap<String, u64>,
    lag: Vec<LagRow>,
    troubled: Vec<NodeRow>,
    set_aside: Vec<SetAsideRow>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct ControllerRow {
    id: String,
    listen: String,
    version: String,
    started_at: Option<String>,
    clock_offset_ms: i64,
    #[serde(skip)]
    started_at_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct LagRow {
    quantile: f64,
    lag_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct SetAsideRow {
    key: String,
    reason: String,
    revision: u64,
}

impl Report {
    /// The page: first whether all is well, last what is not.
    pub fn text(&self, url: &str, now_ms: u64, width: Option<usize>) -> String {
        let mut page = self.head(url);
        page.push_str(&section("controllers", &self.controllers, now_ms, width));
        page.push_str(&section("networks", &self.networks, now_ms, width));
        page.push_str(&section("nodes in trouble", &self.troubled, now_ms, width));
        page.push_str(&section(
            "records set aside (they change nothing until they are mended)",
            &self.set_aside,
            now_ms,
            width,
        ));
        page
    }

    fn head(&self, url: &str) -> String {
        let reason = self.reason.as_deref().unwrap_or("no reason given");
        let ready = if self.ready {
            "ready".into()
        } else {
            format!("NOT READY: {reason}")
        };
        let mut lines = vec![
            ("controller", format!("{url}, version {}", self.version)),
            ("state", ready),
            ("store", format!("{}: {}", self.store, self.store_state)),
            (
                "cluster",
                format!("{} at revision {}", self.cluster, self.revision),
            ),
            ("nodes", self.nodes_in_words()),
        ];
        if !self.lag.is_empty() {
            lines.push(("lag", self.lag_in_words()));
        }
        if let Some(held) = &self.upkeep_held {
            lines.push((
                "UPKEEP IS HELD",
                format!("no lease lapses or is reclaimed: {held}"),
            ));
        }
        table::aligned(
            lines
                .into_iter()
                .map(|(name, text)| vec![name.into(), text]),
        )
    }

    /// `200 (198 connected, 2 disconnected), 120 sessions here`
    fn nodes_in_words(&self) -> String {
        let sessions = counted(self.sessions, "session") + " on this controller";
        let total: u64 = self.nodes.values().sum();
        if total == 0 {
            return format!("none, {sessions}");
        }
        let states = self.nodes.iter().filter(|(_, count)| **count != 0);
        let states: Vec<String> = states
            .map(|(state, count)| format!("{count} {state}"))
            .collect();
        format!("{total} ({}), {sessions}", states.join(", "))
    }

    /// `p50 2ms, p99 15ms, max 1.2s`
    fn lag_in_words(&self) -> String {
        let words = |row: &LagRow| {
            let name = if row.quantile >= 1.0 {
                "max".into()
            } else {
                // Three digits after the point, so that 0.999 does not become 99.90000000000001.
                let percent = (row.quantile * 100_000.0).round() / 1000.0;
                format!("p{percent}")
            };
            format!("{name} {}", lag(row.lag_ms))
        };
        self.lag.iter().map(words).collect::<Vec<_>>().join(", ")
    }
}

impl From<v1::Status> for Report {
    fn from(status: v1::Status) -> Self {
        let lag = |lag: v1::LagQuantile| LagRow {
            quantile: lag.quantile,
            lag_ms: lag.lag_ms,
        };
        let set_aside = |record: v1::SetAside| SetAsideRow {
            key: record.key,
            reason: record.reason,
            revision: record.revision,
        };
        let nodes = status.nodes.into_iter();
        Self {
            ready: status.ready,
            reason: some(status.reason),
            controller: status.controller,
            version: status.version,
            cluster: status.cluster,
            revision: status.revision,
            store: status.store,
            store_state: status.store_state,
            upkeep_held: some(status.upkeep_held),
            sessions: status.sessions,
            controllers: status.controllers.into_iter().map(Into::into).collect(),
            networks: status.networks.into_iter().map(Into::into).collect(),
            nodes: nodes.map(|count| (count.state, count.count)).collect(),
            lag: status.lag.into_iter().map(lag).collect(),
            troubled: status.troubled.into_iter().map(Into::into).collect(),
            set_aside: status.set_aside.into_iter().map(set_aside).collect(),
        }
    }
}

impl From<v1::Controller> for ControllerRow {
    fn from(controller: v1::Controller) -> Self {
        Self {
            id: controller.id,
            listen: controller.listen,
            version: controller.version,
            started_at: clock::utc_or_none(controller.started_at_ms),
            clock_offset_ms: controller.clock_offset_ms,
            started_at_ms: controller.started_at_ms,
        }
    }
}

impl Row for ControllerRow {
    const COLUMNS: &'static [&'static str] = &["LISTEN", "VERSION", "STARTED", "CLOCK", "ID"];
    const SPARE: &'static [&'static str] = &["ID", "VERSION", "CLOCK"];

    fn cells(&self, now_ms: u64) -> Vec<String> {
        vec![
            self.listen.clone(),
            self.version.clone(),
            clock::from_now(self.started_at_ms, now_ms),
            format!("{:+}ms", self.clock_offset_ms),
            self.id.clone(),
        ]
    }
}

impl Row for SetAsideRow {
    const COLUMNS: &'static [&'static str] = &["KEY", "REVISION", "REASON"];
    const SPARE: &'static [&'static str] = &["REVISION"];

    fn cells(&self, _now_ms: u64) -> Vec<String> {
        let reason = some(self.reason.clone());
        vec![
            self.key.clone(),
            self.revision.to_string(),
            or_dash(reason.as_ref()),
        ]
    }
}

#[cfg(test)]
mod tests;
