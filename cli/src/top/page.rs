//! What of it all is drawn, for a person.

use super::fleet::{NetworkLine, NodeLine, PairLine, View};
use crate::output::{Row, counted, table_of};

/// Networks that are shown where there is little room.
const NETWORKS: usize = 5;
/// The last events, where there is little room.
const EVENTS: usize = 5;
/// Lines of each list where nothing says how much room there is.
const LINES: usize = 10;

/// No wider and higher than this.
pub fn draw(view: &View, width: Option<usize>, height: Option<usize>) -> String {
    let mut head = format!(
        "{} of {} ready, {}, {} ({} packets/s)",
        view.nodes_ready,
        counted(view.nodes as u64, "node"),
        counted(view.containers as u64, "container"),
        bits(view.bytes_per_second),
        view.packets_per_second,
    );
    if view.nodes_asked < view.nodes {
        head += &format!("; {} nodes asked a round", view.nodes_asked);
    }
    if view.nodes_silent > 0 {
        head += &format!("; no answer from {}", view.nodes_silent);
    }
    let networks = &view.networks[..view.networks.len().min(NETWORKS)];
    let events = &view.events[view.events.len().saturating_sub(EVENTS)..];
    // The first line, and above each table an empty one and its head.
    let told = if events.is_empty() {
        0
    } else {
        2 + events.len()
    };
    let taken = 1 + 2 + networks.len() + 2 + 2 + told;
    let each = height.map_or(LINES, |height| height.saturating_sub(taken) / 2);
    let most = |there: usize| there.min(each);
    let nodes = &view.busiest_nodes[..most(view.busiest_nodes.len())];
    let pairs = &view.busiest_pairs[..most(view.busiest_pairs.len())];
    let mut tables = vec![
        table_of(networks, 0, width),
        table_of(nodes, 0, width),
        table_of(pairs, 0, width),
    ];
    if !events.is_empty() {
        tables.push(table_of(events, 0, None));
    }
    let text = format!("{head}\n\n{}", tables.join("\n"));
    let lines = text.lines().take(height.unwrap_or(usize::MAX));
    let fits = |line: &str| line.chars().take(width.unwrap_or(usize::MAX)).collect();
    lines
        .map(fits)
        .fold(String::new(), |all, line: String| all + &line + "\n")
}

impl Row for NetworkLine {
    const COLUMNS: &'static [&'static str] =
        &["NETWORK", "NODES", "TRAFFIC", "PACKETS/S", "DROPPED/S"];
    const SPARE: &'static [&'static str] = &["NODES", "PACKETS/S"];

    fn cells(&self, _now_ms: u64) -> Vec<String> {
        vec![
            self.network.clone(),
            self.nodes.to_string(),
            bits(self.bytes_per_second),
            self.packets_per_second.to_string(),
            self.dropped_per_second.to_string(),
        ]
    }
}

impl Row for NodeLine {
    const COLUMNS: &'static [&'static str] = &[
        "NODE",
        "RECEIVES",
        "SENDS",
        "PACKETS/S IN",
        "PACKETS/S OUT",
        "CONTAINERS",
    ];
    const SPARE: &'static [&'static str] = &["PACKETS/S OUT", "PACKETS/S IN", "CONTAINERS"];

    fn cells(&self, _now_ms: u64) -> Vec<String> {
        vec![
            self.node.clone(),
            bits(self.rx_bytes_per_second),
            bits(self.tx_bytes_per_second),
            self.rx_packets_per_second.to_string(),
            self.tx_packets_per_second.to_string(),
            self.containers.to_string(),
        ]
    }
}

impl Row for PairLine {
    const COLUMNS: &'static [&'static str] = &["FROM", "TO", "TRAFFIC", "PACKETS/S"];
    const SPARE: &'static [&'static str] = &["PACKETS/S"];

    fn cells(&self, _now_ms: u64) -> Vec<String> {
        vec![
            self.from.clone(),
            self.to.clone(),
            bits(self.bytes_per_second),
            self.packets_per_second.to_string(),
        ]
    }
}

/// As links are named: `1.2 Gbit/s`.
fn bits(bytes: u64) -> String {
    let bits = bytes as f64 * 8.0;
    match bits {
        0.0..1e3 => format!("{bits:.0} bit/s"),
        1e3..1e6 => format!("{:.1} kbit/s", bits / 1e3),
        1e6..1e9 => format!("{:.1} Mbit/s", bits / 1e6),
        _ => format!("{:.1} Gbit/s", bits / 1e9),
    }
}

#[cfg(test)]
mod tests;
