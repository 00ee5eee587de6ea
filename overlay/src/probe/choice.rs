//! Which peers a node probes.
//!
//! Every node has a place on each of about k ln n rings, by a hash of its name, and
//! probes whoever comes next on each. So every node is probed by about as many as it
//! probes, and one that comes or goes changes the choice of about one other on each ring.

use crate::{hash::fnv1a, name::NodeName};

/// The k of k ln n: where so many are chosen at random by each, the chance that
/// somebody is chosen by nobody falls with the square of the fleet.
const K: f64 = 2.0;
/// The ring on which guests follow each other.
const GUESTS: u64 = u64::MAX;

/// How many others each of so many nodes probes all the time.
pub fn rings(nodes: usize) -> usize {
    (K * (nodes.max(1) as f64).ln()).ceil() as usize
}

/// The peers that this node probes all the time, one of each ring.
pub fn chosen<'a>(
    own: &NodeName,
    peers: impl IntoIterator<Item = &'a NodeName>,
) -> Vec<&'a NodeName> {
    let mut left: Vec<(u64, &NodeName)> =
        peers.into_iter().map(|name| (seed(name), name)).collect();
    let own = seed(own);
    let rings = rings(left.len() + 1) as u64;
    let mut chosen = Vec::new();
    for ring in 0..rings {
        let from = place(ring, own);
        let next = left
            .iter()
            .enumerate()
            .min_by_key(|(_, (seed, name))| (beyond(from, place(ring, *seed)), *name));
        let Some((index, _)) = next else { break };
        chosen.push(left.swap_remove(index).1);
    }
    chosen
}

/// Who comes after a guest, of those that are not probed already. Nobody's turn comes
/// again before everybody's has.
pub fn next_guest<'a>(
    last: &NodeName,
    peers: impl IntoIterator<Item = &'a NodeName>,
    is_probed: impl Fn(&NodeName) -> bool,
) -> Option<&'a NodeName> {
    let from = place(GUESTS, seed(last));
    let left = peers.into_iter().filter(|name| !is_probed(name));
    left.min_by_key(|name| (beyond(from, place(GUESTS, seed(name))), *name))
}

fn seed(name: &NodeName) -> u64 {
    fnv1a(name.as_str().as_bytes())
}

/// The finish of SplitMix64: names that differ in one letter are far from each other.
fn place(ring: u64, seed: u64) -> u64 {
    let mut z = seed ^ ring.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// How far one place is from another in the direction of the ring; from itself, all the
/// way round.
fn beyond(from: u64, to: u64) -> u64 {
    to.wrapping_sub(from).wrapping_sub(1)
}

#[cfg(test)]
mod tests;
