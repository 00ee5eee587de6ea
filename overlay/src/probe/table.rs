//! All that one node probes in one network.

use std::{collections::BTreeMap, net::IpAddr};

use super::{
    choice::{chosen, next_guest},
    window::{Outcome, Shown, Size, Verdict, Window},
};
use crate::{
    feed::{Peer, Peers},
    name::NodeName,
    subnet::Family,
};

/// A guest is probed for so many rounds, which is enough to know it.
const STAY: u32 = 6;
/// So many guests that are in trouble stay longer, while they are.
const TROUBLED_GUESTS: usize = 4;
/// So many peers are named to the controller.
const NAMED: usize = 3;
/// While no verdict changes, a controller is told anew after so many rounds.
const TOLD_EVERY: u32 = 30;

/// Who is to be probed, at which addresses. Peers beyond those that were chosen are
/// guests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Course {
    pub chosen: BTreeMap<NodeName, Vec<IpAddr>>,
    pub guests: BTreeMap<NodeName, Vec<IpAddr>>,
}

/// Which guests are wanted: those that stay, and the next one after another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    pub stay: Vec<NodeName>,
    pub after: Option<NodeName>,
}

impl Course {
    /// Of these peers, in these families.
    pub fn of(own: &NodeName, peers: &Peers, families: &[Family], wish: &Wish) -> Self {
        let addresses = |peer: &Peer| -> Vec<IpAddr> {
            let subnets = peer.subnets();
            let carried = subnets.filter(|subnet| families.contains(&subnet.family()));
            carried.map(|subnet| subnet.address()).collect()
        };
        let entry = |name: &NodeName| Some((name.clone(), addresses(peers.get(name)?)));
        let chosen: BTreeMap<_, _> = chosen(own, peers.keys())
            .into_iter()
            .filter_map(entry)
            .collect();
        let is_other = |name: &&NodeName| !chosen.contains_key(*name);
        let staying = wish.stay.iter().filter(is_other);
        let mut guests: BTreeMap<_, _> = staying.filter_map(entry).collect();
        if let Some(last) = &wish.after {
            let is_probed =
                |name: &NodeName| chosen.contains_key(name) || guests.contains_key(name);
            let next = next_guest(last, peers.keys(), is_probed);
            guests.extend(next.and_then(entry));
        }
        Self { chosen, guests }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    probed: BTreeMap<NodeName, Probed>,
    /// The guest whose turn it was last.
    guest: NodeName,
    rounds: u32,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Probed {
    /// Since which round it is a guest; none: it is chosen.
    guest_since: Option<u32>,
    windows: BTreeMap<IpAddr, Window>,
}

/// One address of a peer, and what its probes show.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub node: NodeName,
    pub family: Family,
    pub shown: Shown,
}

/// What the controller is told.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Summary {
    pub probed: usize,
    pub troubled: usize,
    /// The worst first, an address of each.
    pub worst: Vec<Row>,
}

impl Table {
    pub fn new(own: NodeName) -> Self {
        Self {
            probed: BTreeMap::new(),
            guest: own,
            rounds: 0,
        }
    }

    pub fn wish(&self) -> Wish {
        let mut troubled = 0;
        let mut turn_is_over = true;
        let mut stay = Vec::new();
        for (node, probed) in &self.probed {
            let Some(since) = probed.guest_since else {
                continue;
            };
            if self.rounds - since < STAY {
                turn_is_over = false;
                stay.push(node.clone());
            } else if probed.verdict().is_trouble() && troubled < TROUBLED_GUESTS {
                troubled += 1;
                stay.push(node.clone());
            }
        }
        Wish {
            stay,
            after: turn_is_over.then(|| self.guest.clone()),
        }
    }

    /// Begins a round: what to send, in the order of names.
    pub fn round(&mut self, course: Course) -> Vec<(NodeName, IpAddr, Size)> {
        let mut before = std::mem::take(&mut self.probed);
        let chosen = course.chosen.into_iter().map(|entry| (entry, false));
        let guests = course.guests.into_iter().map(|entry| (entry, true));
        let mut due = Vec::new();
        for ((node, addresses), is_guest) in chosen.chain(guests) {
            let mut probed = before.remove(&node).unwrap_or_default();
            let known = addresses
                .iter()
                .filter_map(|address| probed.windows.remove_entry(address));
            let mut windows: BTreeMap<IpAddr, Window> = known.collect();
            for address in addresses {
                let sizes = windows.entry(address).or_default().round();
                due.extend(sizes.iter().map(|size| (node.clone(), address, *size)));
            }
            if is_guest && probed.guest_since.is_none() {
                self.guest = node.clone();
            }
            let since = probed.guest_since.unwrap_or(self.rounds);
            let guest_since = is_guest.then_some(since);
            self.probed.insert(
                node,
                Probed {
                    guest_since,
                    windows,
                },
            );
        }
        self.rounds += 1;
        due
    }

    /// What became of a probe; of one that is not probed any more nothing is kept.
    pub fn heard(&mut self, node: &NodeName, address: IpAddr, size: Size, outcome: Outcome) {
        let probed = self.probed.get_mut(node);
        if let Some(window) = probed.and_then(|probed| probed.windows.get_mut(&address)) {
            window.heard(size, outcome);
        }
    }

    pub fn rows(&self) -> impl Iterator<Item = Row> + '_ {
        self.probed.iter().flat_map(|(node, probed)| {
            probed.windows.iter().map(|(address, window)| Row {
                node: node.clone(),
                family: Family::of(*address),
                shown: window.shown(),
            })
        })
    }

    pub fn summary(&self) -> Summary {
        let mut rows: Vec<Row> = self.rows().collect();
        rows.sort_by(|a, b| b.badness().cmp(&a.badness()).then(a.node.cmp(&b.node)));
        let mut worst: Vec<Row> = Vec::new();
        for row in rows {
            let is_known = worst.iter().any(|other| other.node == row.node);
            let is_wanted = worst.is_empty() || row.shown.verdict.is_trouble();
            if worst.len() < NAMED && is_wanted && !is_known {
                worst.push(row);
            }
        }
        let probed = self.probed.values();
        Summary {
            probed: self.probed.len(),
            troubled: probed.filter(|one| one.verdict().is_trouble()).count(),
            worst,
        }
    }

    /// Is it worth a message? Ten thousand agents that are well are to be quiet.
    pub fn is_news(&self, summary: &Summary, told: Option<&Summary>) -> bool {
        let essence = |summary: &Summary| {
            let troubled = summary
                .worst
                .iter()
                .filter(|row| row.shown.verdict.is_trouble());
            let troubled = troubled.map(|row| (row.node.clone(), row.shown.verdict));
            (
                summary.probed,
                summary.troubled,
                troubled.collect::<Vec<_>>(),
            )
        };
        let is_due = self.rounds.is_multiple_of(TOLD_EVERY);
        told.is_none_or(|told| essence(told) != essence(summary) || (is_due && told != summary))
    }
}

impl Probed {
    fn verdict(&self) -> Verdict {
        let verdicts = self.windows.values().map(Window::verdict);
        verdicts.max().unwrap_or(Verdict::New)
    }
}

impl Row {
    /// What an operator should know first is the greatest.
    pub fn badness(&self) -> (Verdict, u64, Option<u32>) {
        let millionths = (self.shown.loss * 1e6) as u64;
        (self.shown.verdict, millionths, self.shown.middle_us)
    }
}

#[cfg(test)]
mod tests;
