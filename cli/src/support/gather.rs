//! What goes into the archive, and what could not be had.

use std::{collections::BTreeMap, time::Duration};

use options::{clock, scrub};
use overlay::name::NodeName;
use proto::v1;
use serde::Serialize;
use serde_json::Value;

use super::{
    Bundle,
    archive::{Archive, ArchiveError},
    progress,
};
use crate::{
    ask::{Asker, Question},
    connect::{Connection, Reach},
    endpoint::EndpointRow,
    events,
    failure::Failure,
    lease::LeaseRow,
    network::NetworkRow,
    node::NodeRow,
    operator::OperatorRow,
    output::counted,
    status,
    subnet::ReservationRow,
    token::TokenRow,
};

/// A fleet of so many nodes is asked as a whole.
const SMALL: usize = 24;
/// What every node that is asked is asked for. The first says whether it can be asked.
const OF_NODES: [(&str, &str); 8] = [
    ("status.json", "/status"),
    ("metrics.txt", "/metrics"),
    ("probes.json", "/probes"),
    ("endpoints.json", "/endpoints"),
    ("ipam.json", "/ipam"),
    ("networks.json", "/networks"),
    ("options.toml", "/options"),
    ("kernel.txt", "/kernel"),
];

pub struct Gathered {
    archive: Archive,
    now_ms: u64,
    files: Vec<String>,
    missing: Vec<String>,
}

impl Gathered {
    pub fn new(archive: Archive, now_ms: u64) -> Self {
        Self {
            archive,
            now_ms,
            files: Vec::new(),
            missing: Vec::new(),
        }
    }

    /// The bytes of the archive, how many files are in it, and what is not.
    pub fn finish(mut self) -> Result<(u64, usize, Vec<String>), ArchiveError> {
        let mut readme = format!(
            "A support bundle of a Weft fleet, made at {} by weft {}.\n\n\
             Tokens, keys and passwords were removed; names and addresses were not.\n\nIn it:\n",
            clock::utc(self.now_ms),
            env!("CARGO_PKG_VERSION"),
        );
        let line = |text: &String| format!("  {text}\n");
        readme.extend(self.files.iter().map(line));
        if !self.missing.is_empty() {
            readme.push_str("\nWhat could not be had:\n");
            readme.extend(self.missing.iter().map(line));
        }
        let readme = scrub(&readme);
        self.archive.add("README.txt", readme.as_bytes())?;
        let size = self.archive.finish()?;
        Ok((size, self.files.len() + 1, self.missing))
    }

    fn text(&mut self, name: &str, text: &str) -> Result<(), ArchiveError> {
        self.archive.add(name, scrub(text).as_bytes())?;
        self.files.push(name.into());
        Ok(())
    }

    fn json(&mut self, name: &str, shown: &impl Serialize) -> Result<(), ArchiveError> {
        let text = serde_json::to_string_pretty(shown);
        let text = text.expect("a row is plain data with text keys");
        self.text(name, &(text + "\n"))
    }

    fn missing(&mut self, what: &str, why: &Failure) {
        let why = match why {
            Failure::NoController { tried } => tried.clone(),
            other => options::sentence(other),
        };
        self.missing.push(scrub(&format!("{what}: {why}")));
    }

    /// A listing, or why it is not there.
    fn list<T: Serialize>(
        &mut self,
        name: &str,
        listed: Result<Vec<T>, Failure>,
    ) -> Result<(), ArchiveError> {
        match listed {
            Ok(rows) => self.json(name, &rows),
            Err(failure) => {
                self.missing(name, &failure);
                Ok(())
            }
        }
    }
}

pub async fn everything(
    bundle: &Bundle,
    reach: &Reach,
    into: &mut Gathered,
) -> Result<(), Failure> {
    progress("asking controllers");
    let asker = Asker::open(reach).await?;
    for failure in asker.unreachable() {
        into.missing("a controller", failure);
    }
    match status::whole(reach).await {
        Ok(report) => {
            into.text("fleet/status.txt", &report.text(into.now_ms, None, None))?;
            into.json("fleet/status.json", &report)?;
        }
        Err(failure) => into.missing("fleet/status", &failure),
    }
    let nodes = nodes(&asker).await;
    fleet(&asker, into).await?;
    for connection in asker.all() {
        controller(connection, into).await?;
    }
    let nodes = match nodes {
        Ok(nodes) => {
            let rows: Vec<&NodeRow> = nodes.values().collect();
            into.json("fleet/nodes.json", &rows)?;
            wanted(bundle, &nodes)
        }
        Err(failure) => {
            into.missing("fleet/nodes.json", &failure);
            bundle.node.clone()
        }
    };
    let asked = of_nodes(&asker, nodes, reach.timeout, into).await?;
    progress("asking for events");
    let (rows, silent) = events::everything(&asker, &asked, reach.timeout).await;
    into.json("fleet/events.json", &rows)?;
    into.missing
        .extend(silent.iter().map(|text| scrub(&format!("events: {text}"))));
    Ok(())
}

/// What every controller knows.
async fn fleet(asker: &Asker, into: &mut Gathered) -> Result<(), Failure> {
    let any = asker.any();
    let request = v1::ListNetworksRequest {};
    let answer = any.answer(any.networks().list(request)).await;
    into.list(
        "fleet/networks.json",
        answer.map(|all| rows::<NetworkRow, _>(all.networks)),
    )?;
    let request = v1::ListLeasesRequest::default();
    let answer = any.answer(any.leases().list(request)).await;
    into.list(
        "fleet/leases.json",
        answer.map(|all| rows::<LeaseRow, _>(all.leases)),
    )?;
    let request = v1::ListReservationsRequest::default();
    let answer = any.answer(any.leases().list_reservations(request)).await;
    let reservations = answer.map(|all| rows::<ReservationRow, _>(all.reservations));
    into.list("fleet/reservations.json", reservations)?;
    let request = v1::ListEndpointsRequest::default();
    let answer = any.answer(any.endpoints().list(request)).await;
    into.list(
        "fleet/endpoints.json",
        answer.map(|all| rows::<EndpointRow, _>(all.endpoints)),
    )?;
    let request = v1::ListTokensRequest {};
    let answer = any.answer(any.trust().list_tokens(request)).await;
    into.list(
        "fleet/tokens.json",
        answer.map(|all| rows::<TokenRow, _>(all.tokens)),
    )?;
    let request = v1::ListOperatorsRequest {};
    let answer = any.answer(any.trust().list_operators(request)).await;
    into.list(
        "fleet/operators.json",
        answer.map(|all| rows::<OperatorRow, _>(all.operators)),
    )?;
    Ok(())
}

fn rows<R: From<T>, T>(listed: Vec<T>) -> Vec<R> {
    listed.into_iter().map(R::from).collect()
}

async fn controller(connection: &Connection, into: &mut Gathered) -> Result<(), Failure> {
    let place = events::place(connection);
    let directory = format!("controllers/{}", place.replace([':', '[', ']'], "_"));
    let request = v1::InspectRequest {};
    match connection.answer(connection.fleet().inspect(request)).await {
        Ok(told) => {
            let about = format!("{place} is {}, weft {}\n", told.controller, told.version);
            into.text(&format!("{directory}/about.txt"), &about)?;
            into.text(&format!("{directory}/status.json"), &told.status)?;
            into.text(&format!("{directory}/metrics.txt"), &told.metrics)?;
            into.text(&format!("{directory}/options.toml"), &told.options)?;
        }
        Err(failure) => into.missing(&format!("controller {place}"), &failure),
    }
    Ok(())
}

/// Each node, as the controller knows it that has its session.
async fn nodes(asker: &Asker) -> Result<BTreeMap<String, NodeRow>, Failure> {
    let mut nodes: BTreeMap<String, NodeRow> = BTreeMap::new();
    let mut failed = None;
    for connection in asker.all() {
        let request = v1::ListNodesRequest {};
        match connection.answer(connection.nodes().list(request)).await {
            Ok(answer) => {
                for node in answer.nodes.into_iter().map(NodeRow::from) {
                    let known = nodes
                        .get(&node.name)
                        .is_some_and(|known| known.ready.is_some());
                    if !known {
                        nodes.insert(node.name.clone(), node);
                    }
                }
            }
            Err(failure) => failed = Some(failure),
        }
    }
    match failed {
        Some(failure) if nodes.is_empty() => Err(failure),
        _ => Ok(nodes),
    }
}

fn wanted(bundle: &Bundle, nodes: &BTreeMap<String, NodeRow>) -> Vec<NodeName> {
    if !bundle.node.is_empty() {
        return bundle.node.clone();
    }
    let with_agents = nodes
        .values()
        .filter(|node| matches!(node.state.as_str(), "connected" | "disconnected"));
    let all = bundle.all_nodes || with_agents.clone().count() <= SMALL;
    let chosen = with_agents.filter(|node| {
        let well = node.ready == Some(true) && node.probes_troubled.unwrap_or(0) == 0;
        all || !well
    });
    chosen.filter_map(|node| node.name.parse().ok()).collect()
}

/// Those that answered.
async fn of_nodes(
    asker: &Asker,
    mut nodes: Vec<NodeName>,
    within: Duration,
    into: &mut Gathered,
) -> Result<Vec<NodeName>, Failure> {
    let mut probes = Vec::new();
    for (file, path) in OF_NODES {
        progress(&format!(
            "asking {} for {path}",
            counted(nodes.len() as u64, "node")
        ));
        let question = Question::get(path, within);
        let questions = nodes.iter().map(|node| (node.clone(), question.clone()));
        let mut told = Vec::new();
        asker
            .ask_all(questions, |node, answer| told.push((node, answer)))
            .await;
        told.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut gone = Vec::new();
        for (node, answer) in told {
            let name = format!("nodes/{node}/{file}");
            match answer {
                Ok(answer) if answer.is_good() => {
                    let text = String::from_utf8_lossy(&answer.body);
                    if path == "/probes"
                        && let Ok(Value::Array(rows)) = serde_json::from_str(&text)
                    {
                        probes.extend(rows);
                    }
                    into.text(&name, &text)?;
                }
                Ok(answer) => into.missing(&name, &answer.refusal(&node)),
                Err(failure) => {
                    into.missing(&format!("nodes/{node}"), &failure);
                    gone.push(node);
                }
            }
        }
        nodes.retain(|node| !gone.contains(node));
    }
    into.json("fleet/mesh.json", &probes)?;
    Ok(nodes)
}
