//! `weft mesh`: loss and latency between nodes, as their agents measure them.

use std::{collections::BTreeSet, time::Duration};

use clap::Args;
use overlay::{
    name::{NetworkName, NodeName},
    probe::window::Verdict,
};
use proto::v1;
use socket::words::Probe;

use crate::{
    ask::{Asker, Question},
    connect::Reach,
    failure::Failure,
    node::NodeRow,
    output::{self, Output, Row, counted, table_of},
};

mod matrix;

/// A fleet of so many nodes is drawn as a matrix; of a larger one what is in trouble is
/// listed.
const SMALL: usize = 24;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  weft mesh
  weft mesh --all -o json

A cell is the time there and back in the worse of both families. Each agent probes all others of
a small fleet, about 2 ln n of n in a large one, and the rest in turn. Of more than 24 nodes only
those that report trouble are asked, and their troubles listed; --all asks every node.")]
pub struct Mesh {
    /// Only this network
    #[arg(long, value_name = "NAME")]
    network: Option<NetworkName>,
    /// Ask every node, and show what is well, too
    #[arg(long)]
    all: bool,
}

pub async fn run(mesh: Mesh, reach: &Reach, output: &Output) -> Result<(), Failure> {
    let asker = Asker::open(reach).await?;
    let nodes = nodes(&asker).await?;
    let is_small = nodes.len() <= SMALL;
    let is_asked = |node: &&NodeRow| {
        is_small || mesh.all || node.probes_troubled.is_none_or(|troubled| troubled > 0)
    };
    let asked = nodes.iter().filter(is_asked);
    let asked: Vec<NodeName> = asked.filter_map(|node| node.name.parse().ok()).collect();
    let (mut probes, failed) = probes(&asker, &asked, reach.timeout).await;
    probes.retain(|probe| {
        mesh.network
            .as_ref()
            .is_none_or(|only| probe.network == *only)
    });
    let unasked = nodes.len() - asked.len();
    let as_matrix = is_small && output.is_for_people();
    if !as_matrix && !is_small && !mesh.all {
        probes.retain(|probe| probe.verdict.is_trouble());
    }
    let rows: Vec<ProbeRow> = probes.iter().cloned().map(ProbeRow).collect();
    output.print(&rows, || {
        if as_matrix {
            return matrix::draw(&probes);
        }
        let mut text = match rows.as_slice() {
            [] => "no probe is in trouble\n".into(),
            rows => table_of(rows, output.now_ms, output.width),
        };
        if unasked > 0 {
            let nodes = counted(unasked as u64, "node");
            text.push_str(&format!(
                "{nodes} more report no trouble; --all asks every node\n"
            ));
        }
        text
    })?;
    for failure in failed {
        output::note(&format!("weft: {failure}"));
    }
    Ok(())
}

/// The nodes that have a session, each as the controller knows it that has it.
pub async fn nodes(asker: &Asker) -> Result<Vec<NodeRow>, Failure> {
    let mut nodes: Vec<NodeRow> = Vec::new();
    let mut known: BTreeSet<String> = BTreeSet::new();
    for connection in asker.all() {
        let request = v1::ListNodesRequest {};
        let answer = connection.answer(connection.nodes().list(request)).await?;
        let here = answer.nodes.into_iter().filter(|node| node.ready.is_some());
        let here = here.map(NodeRow::from);
        nodes.extend(here.filter(|node| known.insert(node.name.clone())));
    }
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(nodes)
}

/// What they say, by node and peer, and of whom nothing can be known.
async fn probes(asker: &Asker, nodes: &[NodeName], within: Duration) -> (Vec<Probe>, Vec<Failure>) {
    let (mut probes, mut failed) = (Vec::new(), Vec::new());
    let question = Question::get("/probes", within);
    let questions = nodes.iter().map(|node| (node.clone(), question.clone()));
    asker
        .ask_all(questions, |node, answer| {
            match answer.and_then(|answer| answer.words::<Vec<Probe>>(&node)) {
                Ok(said) => probes.extend(said),
                Err(failure) => failed.push(failure),
            }
        })
        .await;
    probes.sort_by(|a: &Probe, b: &Probe| {
        let place = |probe: &Probe| (probe.network.clone(), probe.from.clone(), probe.to.clone());
        (place(a), a.family).cmp(&(place(b), b.family))
    });
    (probes, failed)
}

#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(transparent)]
struct ProbeRow(Probe);

impl Row for ProbeRow {
    const COLUMNS: &'static [&'static str] = &[
        "NETWORK", "FROM", "TO", "FAMILY", "LOSS", "RTT", "WORST", "VERDICT",
    ];
    const SPARE: &'static [&'static str] = &["WORST", "NETWORK"];

    fn cells(&self, _now_ms: u64) -> Vec<String> {
        let probe = &self.0;
        vec![
            probe.network.to_string(),
            probe.from.to_string(),
            probe.to.to_string(),
            probe.family.to_string(),
            percent(probe.loss),
            probe.rtt_us.map(time).unwrap_or_default(),
            probe.worst_us.map(time).unwrap_or_default(),
            verdict(probe.verdict),
        ]
    }
}

/// What is not well is seen from afar.
fn verdict(verdict: Verdict) -> String {
    if verdict.is_trouble() {
        verdict.as_str().to_uppercase()
    } else {
        verdict.as_str().to_owned()
    }
}

/// `12%`
pub fn percent(loss: f64) -> String {
    format!("{:.0}%", loss * 100.0)
}

/// `0.45ms`, `12.0ms`, `1.20s`
pub fn time(us: u32) -> String {
    match us {
        0..10_000 => format!("{:.2}ms", f64::from(us) / 1e3),
        10_000..1_000_000 => format!("{:.1}ms", f64::from(us) / 1e3),
        _ => format!("{:.2}s", f64::from(us) / 1e6),
    }
}

#[cfg(test)]
mod tests;
