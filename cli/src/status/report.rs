//! The state of the fleet, as fields for programs and as a page for people.

use std::collections::{BTreeMap, BTreeSet};

use options::{clock, table};
use proto::v1;
use serde::Serialize;

use super::{Look, line::Line};
use crate::{
    failure::Failure,
    network::NetworkRow,
    node::{NodeRow, lag},
    output::{Row, counted, or_dash, section, some},
};

/// However small the screen is.
const LEAST_LINES: usize = 5;

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// One that answers is.
    ready: bool,
    reason: Option<String>,
    controller: String,
    version: String,
    cluster: String,
    revision: u64,
    store: String,
    store_state: String,
    upkeep_held: Option<String>,
    /// Of the controllers that answer.
    sessions: u64,
    controllers: Vec<ControllerRow>,
    networks: Vec<NetworkRow>,
    /// How many nodes are in each state.
    nodes: BTreeMap<String, u64>,
    /// Nodes that are gone, not ready, behind, or whose packets do not pass.
    troubled: u64,
    /// Nodes whose session none of the controllers has that answer: nothing but their
    /// leases is known.
    unknown: u64,
    lag: Vec<LagRow>,
    /// The troubled first.
    listed: Vec<Line>,
    unlisted: u64,
    set_aside: Vec<SetAsideRow>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct ControllerRow {
    id: Option<String>,
    listen: Option<String>,
    /// By which it was asked; null: it was not.
    url: Option<String>,
    /// `ready`, or why it is not, or does not answer.
    state: String,
    sessions: Option<u64>,
    version: Option<String>,
    started_at: Option<String>,
    clock_offset_ms: Option<i64>,
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
    /// What all controllers say together; the failure of the first where none says
    /// anything. So many nodes are listed at most.
    pub fn of(looks: Vec<Look>, most: usize) -> Result<Self, Failure> {
        let mut answered: Vec<(String, v1::Status)> = Vec::new();
        let mut failed: Vec<(String, Failure)> = Vec::new();
        for Look { url, answer } in looks {
            match answer {
                Ok(status) => answered.push((url, status)),
                Err(failure) => failed.push((url, failure)),
            }
        }
        // What is the whole fleet's is taken from one that is ready.
        let first = answered.iter().position(|(_, status)| status.ready);
        let Some((_, first)) = answered.get(first.unwrap_or(0)).cloned() else {
            let failures = failed.into_iter().map(|(_, failure)| failure);
            return Err(Failure::of_all(failures.collect()));
        };
        let nodes: BTreeMap<String, u64> = first
            .nodes
            .iter()
            .map(|count| (count.state.clone(), count.count))
            .collect();
        let count = |state: &str| nodes.get(state).copied().unwrap_or(0);
        let statuses = || answered.iter().map(|(_, status)| status);
        let sessions = statuses().map(|status| status.sessions).sum();
        let troubled_here: u64 = statuses().map(|status| status.troubled_here).sum();
        let listed = listed(statuses(), most);
        let held = statuses().map(|status| status.upkeep_held.clone());
        let set_aside = |record: v1::SetAside| SetAsideRow {
            key: record.key,
            reason: record.reason,
            revision: record.revision,
        };
        Ok(Self {
            ready: first.ready,
            reason: some(first.reason),
            controller: first.controller,
            version: first.version,
            cluster: first.cluster,
            revision: first.revision,
            store: first.store,
            store_state: first.store_state,
            upkeep_held: held.filter_map(some).next(),
            sessions,
            controllers: controllers(&first.controllers, &answered, failed),
            networks: first.networks.into_iter().map(Into::into).collect(),
            troubled: troubled_here + count("disconnected"),
            unknown: count("connected").saturating_sub(sessions),
            lag: lags(statuses()),
            unlisted: nodes
                .values()
                .sum::<u64>()
                .saturating_sub(listed.len() as u64),
            listed,
            nodes,
            set_aside: first.set_aside.into_iter().map(set_aside).collect(),
        })
    }

    pub fn is_ready(&self) -> bool {
        self.ready
    }

    /// The page: first whether all is well, and the nodes in what room is left.
    pub fn text(&self, now_ms: u64, width: Option<usize>, height: Option<usize>) -> String {
        let mut page = self.head();
        page.push_str(&section("controllers", &self.controllers, now_ms, width));
        page.push_str(&section("networks", &self.networks, now_ms, width));
        let last = section(
            "records set aside (they change nothing until they are mended)",
            &self.set_aside,
            now_ms,
            width,
        );
        // A title, a head, a line that tells of more, and the prompt after it.
        let used = page.lines().count() + last.lines().count() + 5;
        let room = height.map(|height| height.saturating_sub(used).max(LEAST_LINES));
        let shown = self.listed.len().min(room.unwrap_or(usize::MAX));
        page.push_str(&section("nodes", &self.listed[..shown], now_ms, width));
        page.push_str(&self.more(shown));
        page + &last
    }

    fn head(&self) -> String {
        let reason = self.reason.as_deref().unwrap_or("no reason given");
        let state = if self.ready {
            "ready".into()
        } else {
            format!("NOT READY: {reason}")
        };
        let mut lines = vec![
            ("fleet", state),
            ("store", format!("{}: {}", self.store, self.store_state)),
            (
                "cluster",
                format!("{} at revision {}", self.cluster, self.revision),
            ),
            ("nodes", self.nodes_in_words()),
        ];
        if self.unknown > 0 {
            let nodes = counted(self.unknown, "node");
            let text = format!(
                "{nodes} with a session elsewhere: give --controller all of them to see what they report"
            );
            lines.push(("NOT KNOWN", text));
        }
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

    /// `200 (198 connected, 2 disconnected), 3 in trouble`
    fn nodes_in_words(&self) -> String {
        let total: u64 = self.nodes.values().sum();
        if total == 0 {
            return "none".into();
        }
        let states = self.nodes.iter().filter(|(_, count)| **count != 0);
        let states: Vec<String> = states
            .map(|(state, count)| format!("{count} {state}"))
            .collect();
        let troubled = match self.troubled {
            0 => "none in trouble".into(),
            troubled => format!("{troubled} IN TROUBLE"),
        };
        format!("{total} ({}), {troubled}", states.join(", "))
    }

    /// Of the nodes for which there is no line.
    fn more(&self, shown: usize) -> String {
        let gone = gone(&self.listed);
        let is_troubled = |line: &&Line| line.rank(&gone).0.0 > 0;
        let troubled = self.listed[..shown].iter().filter(is_troubled).count() as u64;
        let more = self.unlisted + (self.listed.len() - shown) as u64;
        match (more, self.troubled.saturating_sub(troubled)) {
            (0, _) => String::new(),
            (more, 0) => format!("and {more} more, none of them in trouble; --all lists them\n"),
            (more, troubled) => format!(
                "and {more} more, {} of them IN TROUBLE; --all lists them\n",
                troubled.min(more)
            ),
        }
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

/// The nodes of all controllers: of each the word of the one that has its session.
fn listed<'a>(statuses: impl Iterator<Item = &'a v1::Status>, most: usize) -> Vec<Line> {
    let mut lines: BTreeMap<String, Line> = BTreeMap::new();
    for node in statuses.flat_map(|status| &status.listed) {
        let line = Line(NodeRow::from(node.clone()));
        match lines.get(&line.0.name) {
            Some(before) if before.is_known() || !line.is_known() => {}
            _ => {
                lines.insert(line.0.name.clone(), line);
            }
        }
    }
    let mut lines: Vec<Line> = lines.into_values().collect();
    let gone = gone(&lines);
    lines.sort_by_key(|line| line.rank(&gone));
    lines.truncate(most);
    lines
}

fn gone(lines: &[Line]) -> BTreeSet<String> {
    let gone = lines.iter().filter(|line| line.is_gone());
    gone.map(|line| line.0.name.clone()).collect()
}

/// The longest of any controller.
fn lags<'a>(statuses: impl Iterator<Item = &'a v1::Status>) -> Vec<LagRow> {
    let mut lags: Vec<LagRow> = Vec::new();
    for said in statuses.flat_map(|status| &status.lag) {
        match lags.iter_mut().find(|row| row.quantile == said.quantile) {
            Some(row) => row.lag_ms = row.lag_ms.max(said.lag_ms),
            None => lags.push(LagRow {
                quantile: said.quantile,
                lag_ms: said.lag_ms,
            }),
        }
    }
    lags
}

/// Those that the store knows, with what they said, and those that did not answer.
fn controllers(
    known: &[v1::Controller],
    answered: &[(String, v1::Status)],
    failed: Vec<(String, Failure)>,
) -> Vec<ControllerRow> {
    let known = known.iter().map(|known| {
        let mut answers = answered.iter();
        let answer = answers.find(|(_, status)| status.controller == known.id);
        let state = match answer {
            None => "not asked".into(),
            Some((_, status)) if status.ready => "ready".into(),
            Some((_, status)) => format!("NOT READY: {}", status.reason),
        };
        ControllerRow {
            id: some(known.id.clone()),
            listen: some(known.listen.clone()),
            url: answer.map(|(url, _)| url.clone()),
            state,
            sessions: answer.map(|(_, status)| status.sessions),
            version: some(known.version.clone()),
            started_at: clock::utc_or_none(known.started_at_ms),
            clock_offset_ms: Some(known.clock_offset_ms),
            started_at_ms: known.started_at_ms,
        }
    });
    let failed = failed.into_iter().map(|(url, failure)| ControllerRow {
        id: None,
        listen: None,
        url: Some(url),
        state: format!("NO ANSWER: {failure}"),
        sessions: None,
        version: None,
        started_at: None,
        clock_offset_ms: None,
        started_at_ms: 0,
    });
    let mut rows: Vec<ControllerRow> = known.chain(failed).collect();
    rows.sort_by(|a, b| (a.id.is_none(), &a.listen).cmp(&(b.id.is_none(), &b.listen)));
    rows
}

impl Row for ControllerRow {
    const COLUMNS: &'static [&'static str] = &[
        "LISTEN", "VERSION", "STARTED", "CLOCK", "SESSIONS", "ID", "STATE",
    ];
    const SPARE: &'static [&'static str] = &["ID", "VERSION", "CLOCK"];

    fn cells(&self, now_ms: u64) -> Vec<String> {
        let at = self.listen.as_ref().or(self.url.as_ref());
        vec![
            or_dash(at),
            or_dash(self.version.as_ref()),
            clock::from_now(self.started_at_ms, now_ms),
            self.clock_offset_ms
                .map(|ms| format!("{ms:+}ms"))
                .unwrap_or_default(),
            self.sessions
                .map(|count| count.to_string())
                .unwrap_or_default(),
            or_dash(self.id.as_ref()),
            self.state.clone(),
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
