//! Who reaches whom, as a matrix for each network: from the left to the top.

use std::collections::{BTreeMap, BTreeSet};

use options::table;
use overlay::{name::NodeName, probe::window::Verdict};
use socket::words::Probe;

use super::{percent, time, verdict};

pub fn draw(probes: &[Probe]) -> String {
    let mut networks: BTreeMap<&str, Vec<&Probe>> = BTreeMap::new();
    for probe in probes {
        networks
            .entry(probe.network.as_str())
            .or_default()
            .push(probe);
    }
    let drawn = networks.iter().map(|(name, probes)| {
        let title = if networks.len() > 1 {
            format!("network {name}\n")
        } else {
            String::new()
        };
        title + &of_network(probes)
    });
    let drawn: Vec<String> = drawn.collect();
    if drawn.is_empty() {
        return "no agent has probed another yet\n".into();
    }
    drawn.join("\n")
}

fn of_network(probes: &[&Probe]) -> String {
    let ends = probes.iter().flat_map(|probe| [&probe.from, &probe.to]);
    let nodes: BTreeSet<&NodeName> = ends.collect();
    let heads = std::iter::once("from \\ to".to_owned());
    let heads = heads.chain(nodes.iter().map(ToString::to_string)).collect();
    let row = |from: &&NodeName| -> Vec<String> {
        let cells = nodes.iter().map(|to| {
            let between = |probe: &&&Probe| probe.from == **from && probe.to == **to;
            worse(probes.iter().filter(between).copied()).map_or("-".into(), cell)
        });
        std::iter::once(from.to_string()).chain(cells).collect()
    };
    table::aligned(std::iter::once(heads).chain(nodes.iter().map(row)))
}

/// Of the families.
fn worse<'a>(probes: impl Iterator<Item = &'a Probe>) -> Option<&'a Probe> {
    probes.max_by(|a, b| {
        let loss = a.loss.total_cmp(&b.loss);
        a.verdict
            .cmp(&b.verdict)
            .then(loss)
            .then(a.rtt_us.cmp(&b.rtt_us))
    })
}

fn cell(probe: &Probe) -> String {
    match (probe.verdict, probe.rtt_us) {
        (Verdict::Lossy, _) => format!("LOST {}", percent(probe.loss)),
        (Verdict::Ok, Some(us)) => time(us),
        (other, _) => verdict(other),
    }
}
