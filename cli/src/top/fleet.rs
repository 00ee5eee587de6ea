//! What nodes have said of their traffic, and how fast it is.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use overlay::name::{NetworkName, NodeName};
use serde::Serialize;
use socket::words::Traffic;

use crate::events::EventRow;

/// Nodes that are asked in a round.
const MOST: usize = 200;
/// Of a larger fleet so many are the busiest; the others come in turn.
const BUSIEST: usize = MOST / 2;
/// Peers that a node is asked for.
const PEERS: usize = MOST;
/// Lines of a list that programs are told.
const LISTED: usize = 50;

pub struct Fleet {
    network: Option<NetworkName>,
    known: BTreeMap<NodeName, Known>,
    /// The one after whom the next turn begins.
    turn: Option<NodeName>,
    asked: BTreeMap<NodeName, usize>,
    silent: BTreeSet<NodeName>,
}

/// The last reading of a node, and what came between it and the one before.
struct Known {
    last: Traffic,
    /// It has named all peers from whom anything came.
    whole: bool,
    flow: Option<Flow>,
}

#[derive(Default)]
struct Flow {
    containers: usize,
    networks: BTreeMap<NetworkName, Ways>,
    /// By who sent it.
    from: BTreeMap<NodeName, Rate>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Ways {
    received: Rate,
    sent: Rate,
    dropped: f64,
}

/// A second.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Rate {
    bytes: f64,
    packets: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct View {
    pub nodes: usize,
    pub nodes_ready: usize,
    pub nodes_asked: usize,
    pub nodes_silent: usize,
    pub containers: usize,
    /// What came out of tunnels, on all nodes.
    pub bytes_per_second: u64,
    pub packets_per_second: u64,
    pub networks: Vec<NetworkLine>,
    pub busiest_nodes: Vec<NodeLine>,
    pub busiest_pairs: Vec<PairLine>,
    /// The last of them.
    pub events: Vec<EventRow>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NetworkLine {
    pub network: String,
    pub nodes: usize,
    pub bytes_per_second: u64,
    pub packets_per_second: u64,
    pub dropped_per_second: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NodeLine {
    pub node: String,
    pub rx_bytes_per_second: u64,
    pub tx_bytes_per_second: u64,
    pub rx_packets_per_second: u64,
    pub tx_packets_per_second: u64,
    pub containers: usize,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PairLine {
    pub from: String,
    pub to: String,
    pub bytes_per_second: u64,
    pub packets_per_second: u64,
}

/// Not everybody is asked in a round.
pub fn is_large(nodes: usize) -> bool {
    nodes > MOST
}

impl Fleet {
    pub fn new(network: Option<NetworkName>) -> Self {
        Self {
            network,
            known: BTreeMap::new(),
            turn: None,
            asked: BTreeMap::new(),
            silent: BTreeSet::new(),
        }
    }

    /// Whom of these, who are in order, to ask in this round, and for how many peers.
    pub fn whom(&mut self, nodes: &[NodeName]) -> BTreeMap<NodeName, usize> {
        self.known
            .retain(|node, _| nodes.binary_search(node).is_ok());
        self.silent.clear();
        self.asked = if !is_large(nodes.len()) {
            nodes.iter().map(|node| (node.clone(), PEERS)).collect()
        } else {
            let mut busy: Vec<(&NodeName, &Known)> = self.known.iter().collect();
            busy.sort_by(|(_, a), (_, b)| b.bytes().total_cmp(&a.bytes()));
            let busy = busy.into_iter().take(BUSIEST);
            let mut asked: BTreeMap<NodeName, usize> =
                busy.map(|(node, _)| (node.clone(), PEERS)).collect();
            let turn = self.turn.take();
            let begin =
                nodes.partition_point(|node| turn.as_ref().is_some_and(|last| node <= last));
            for node in nodes[begin..].iter().chain(&nodes[..begin]) {
                if asked.len() >= MOST {
                    break;
                }
                self.turn = Some(node.clone());
                asked.entry(node.clone()).or_insert(0);
            }
            asked
        };
        self.asked.clone()
    }

    /// None: it did not say.
    pub fn hear(&mut self, node: &NodeName, said: Option<Traffic>) {
        let Some(traffic) = said else {
            self.silent.insert(node.clone());
            self.known.remove(node);
            return;
        };
        let asked = self.asked.get(node).copied().unwrap_or(0);
        let flow = self
            .known
            .remove(node)
            .and_then(|before| before.flow(&traffic));
        let known = Known {
            whole: traffic.peers.len() < asked,
            last: traffic,
            flow,
        };
        self.known.insert(node.clone(), known);
    }

    /// Somebody did not say in the last round.
    pub fn is_silent(&self) -> bool {
        !self.silent.is_empty()
    }

    pub fn view(&self, nodes: usize, ready: usize) -> View {
        let networks = self.networks();
        let all = networks.iter();
        View {
            nodes,
            nodes_ready: ready,
            nodes_asked: self.asked.len(),
            nodes_silent: self.silent.len(),
            containers: self.flows().map(|(_, flow)| flow.containers).sum(),
            bytes_per_second: all.clone().map(|line| line.bytes_per_second).sum(),
            packets_per_second: all.map(|line| line.packets_per_second).sum(),
            networks,
            busiest_nodes: self.nodes(),
            busiest_pairs: self.pairs(),
            events: Vec::new(),
        }
    }

    fn flows(&self) -> impl Iterator<Item = (&NodeName, &Flow)> {
        let known = self.known.iter();
        known.filter_map(|(node, known)| Some((node, known.flow.as_ref()?)))
    }

    fn of_interest<'a>(&self, flow: &'a Flow) -> impl Iterator<Item = (&'a NetworkName, &'a Ways)> {
        let network = self.network.clone();
        let all = flow.networks.iter();
        all.filter(move |(name, _)| network.as_ref().is_none_or(|only| *name == only))
    }

    fn networks(&self) -> Vec<NetworkLine> {
        let mut networks: BTreeMap<&NetworkName, (usize, Ways)> = BTreeMap::new();
        for (name, ways) in self.flows().flat_map(|(_, flow)| self.of_interest(flow)) {
            let (nodes, sum) = networks.entry(name).or_default();
            *nodes += 1;
            sum.add(ways);
        }
        let line = |(name, (nodes, sum)): (&NetworkName, (usize, Ways))| NetworkLine {
            network: name.to_string(),
            nodes,
            bytes_per_second: whole(sum.received.bytes),
            packets_per_second: whole(sum.received.packets),
            dropped_per_second: whole(sum.dropped),
        };
        let mut lines: Vec<NetworkLine> = networks.into_iter().map(line).collect();
        lines.sort_by_key(|line| Reverse(line.bytes_per_second));
        lines
    }

    fn nodes(&self) -> Vec<NodeLine> {
        let line = |(node, flow): (&NodeName, &Flow)| {
            let mut sum = Ways::default();
            for (_, ways) in self.of_interest(flow) {
                sum.add(ways);
            }
            NodeLine {
                node: node.to_string(),
                rx_bytes_per_second: whole(sum.received.bytes),
                tx_bytes_per_second: whole(sum.sent.bytes),
                rx_packets_per_second: whole(sum.received.packets),
                tx_packets_per_second: whole(sum.sent.packets),
                containers: flow.containers,
            }
        };
        let mut lines: Vec<NodeLine> = self.flows().map(line).collect();
        lines.sort_by_key(|line| Reverse(line.rx_bytes_per_second + line.tx_bytes_per_second));
        lines.truncate(LISTED);
        lines
    }

    fn pairs(&self) -> Vec<PairLine> {
        let of_node = |(to, flow): (&NodeName, &Flow)| {
            let to = to.to_string();
            let line = move |(from, rate): (&NodeName, &Rate)| PairLine {
                from: from.to_string(),
                to: to.clone(),
                bytes_per_second: whole(rate.bytes),
                packets_per_second: whole(rate.packets),
            };
            flow.from.iter().map(line).collect::<Vec<_>>()
        };
        let mut lines: Vec<PairLine> = self.flows().flat_map(of_node).collect();
        lines.retain(|line| line.bytes_per_second > 0);
        lines.sort_by_key(|line| Reverse(line.bytes_per_second));
        lines.truncate(LISTED);
        lines
    }
}

impl Known {
    fn bytes(&self) -> f64 {
        let networks = self.flow.iter().flat_map(|flow| flow.networks.values());
        networks
            .map(|ways| ways.received.bytes + ways.sent.bytes)
            .sum()
    }

    /// None: no time has passed, or the host was booted in between.
    fn flow(&self, now: &Traffic) -> Option<Flow> {
        let passed = now
            .at_ms
            .checked_sub(self.last.at_ms)
            .filter(|ms| *ms > 0)?;
        let seconds = passed as f64 / 1e3;
        let rate = |bytes: (u64, u64), packets: (u64, u64)| Rate {
            bytes: more(bytes) / seconds,
            packets: more(packets) / seconds,
        };
        let networks = now.networks.iter().filter_map(|now| {
            let before = &self.last.networks;
            let before = before.iter().find(|before| before.network == now.network)?;
            let dropped = more((before.rx_dropped, now.rx_dropped))
                + more((before.tx_dropped, now.tx_dropped));
            let ways = Ways {
                received: rate(
                    (before.rx_bytes, now.rx_bytes),
                    (before.rx_packets, now.rx_packets),
                ),
                sent: rate(
                    (before.tx_bytes, now.tx_bytes),
                    (before.tx_packets, now.tx_packets),
                ),
                dropped: dropped / seconds,
            };
            Some((now.network.clone(), ways))
        });
        let mut from: BTreeMap<NodeName, Rate> = BTreeMap::new();
        for now in &now.peers {
            let before = &self.last.peers;
            let before = before.iter().find(|before| before.underlay == now.underlay);
            let before = before.map(|before| (before.rx_bytes, before.rx_packets));
            // Nothing had come from one that was not named among all.
            let Some((bytes, packets)) = before.or(self.whole.then_some((0, 0))) else {
                continue;
            };
            let sum = from.entry(now.node.clone()).or_default();
            sum.add(rate((bytes, now.rx_bytes), (packets, now.rx_packets)));
        }
        Some(Flow {
            containers: now.containers,
            networks: networks.collect(),
            from,
        })
    }
}

impl Ways {
    fn add(&mut self, other: &Self) {
        self.received.add(other.received);
        self.sent.add(other.sent);
        self.dropped += other.dropped;
    }
}

impl Rate {
    fn add(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.packets += other.packets;
    }
}

/// What came between two readings of a counter; one that is less began again at 0.
fn more((before, now): (u64, u64)) -> f64 {
    now.checked_sub(before).unwrap_or(now) as f64
}

fn whole(rate: f64) -> u64 {
    rate.round() as u64
}

#[cfg(test)]
mod tests;
