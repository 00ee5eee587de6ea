//! What ends by itself: leases whose nodes are gone lapse and are reclaimed, what a
//! removed node or a deleted network held is ended. Any controller may do it.
//!
//! [`due`] lists what is due; each item becomes one transaction by [`settle`], which
//! decides again: by then the node may be back.

use std::{collections::BTreeMap, time::Duration};

use super::{
    Decision, Refusal, View, endpoint, lease::end, network::next_generation, reserve::withdraw,
    stray,
};
use crate::{
    key::Key,
    name::{NetworkName, NodeName},
    network::NetworkState,
    record::{self, Lease, LeaseKind},
    registry::{Registry, Space, Stored},
    subnet::Subnet,
    txn::{Revision, Transaction},
};

/// No lease is reclaimed before its time plus this, by the reclaimer's own clock.
pub const SKEW_BOUND: Duration = Duration::from_secs(60);

/// Reclaims of one moment are spread over this time at the most.
const LONGEST_SPREAD: Duration = Duration::from_secs(600);

/// The number of returned subnets that one transaction forgets.
const FORGET: usize = 100;

/// One thing that is due.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    /// The node is gone: its lease lapses.
    Lapse(NetworkName, NodeName),
    /// The time of a lease is over: its subnets go back.
    Reclaim(NetworkName, NodeName),
    /// The lease of a removed machine, or of a network that is being deleted.
    End(NetworkName, NodeName),
    /// A claim that no lease stands behind.
    Unclaim(NetworkName, Subnet),
    /// Endpoints that a lease left when it ended.
    Sweep(NetworkName, NodeName),
    /// A reservation in a network that is being deleted.
    Withdraw(NetworkName, NodeName),
    /// Returned subnets of a network that is being deleted.
    Forget(NetworkName),
    /// The network itself, with nothing left in it.
    Erase(NetworkName),
}

/// How long this controller has seen something that must last before it counts, by
/// its own monotonic clock.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Nodes without a session.
    pub absent: BTreeMap<NodeName, Duration>,
    /// Leases at their present revision.
    pub unchanged: BTreeMap<(NetworkName, NodeName), (Revision, Duration)>,
}

/// How patient a controller is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// From the loss of a session to the lapse of the lease.
    pub grace: Duration,
    /// Added to a lease's time before it is reclaimed.
    pub skew: Duration,
    /// A lease is reclaimed only after it was seen unchanged for its lapse time, or
    /// for this if that is shorter: a clock that jumped must not reclaim.
    pub hold: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(60),
            skew: SKEW_BOUND,
            hold: Duration::from_secs(15 * 60),
        }
    }
}

/// What is due now. `jitter`, from 0 to 1 for each node, spreads what would be due
/// at the same moment.
pub fn due(
    view: &View<'_>,
    seen: &Seen,
    patience: &Patience,
    jitter: impl Fn(&NodeName) -> f64,
) -> Vec<Due> {
    let mut due = Vec::new();
    for (name, space) in view.registry.spaces() {
        for (node, lease) in space.leases() {
            if orphaned(view.registry, space, node, lease) {
                due.push(Due::End(name.clone(), node.clone()));
            } else if view.registry.sessions().contains_key(node) {
                continue;
            } else if reclaimable(view, patience, &lease.value) {
                let lapse = space
                    .network()
                    .map_or(patience.hold, |net| net.value.lapse());
                let held = seen.unchanged.get(&(name.clone(), node.clone()));
                let held = held.filter(|(revision, _)| *revision == lease.revision);
                let spread = (lapse / 10).min(LONGEST_SPREAD).mul_f64(jitter(node));
                let patient = lapse.min(patience.hold) + spread;
                if held.is_some_and(|(_, time)| *time >= patient) {
                    due.push(Due::Reclaim(name.clone(), node.clone()));
                }
            } else if alive_by_session(&lease.value) {
                let absent = seen.absent.get(node).copied().unwrap_or_default();
                if absent >= patience.grace.mul_f64(1.0 + jitter(node) / 2.0) {
                    due.push(Due::Lapse(name.clone(), node.clone()));
                }
            }
        }
        let strays = stray::claims(view.registry, name, space);
        due.extend(strays.map(|subnet| Due::Unclaim(name.clone(), subnet)));
        due.extend(sweeps(view.registry, name, space));
        if is_deleting(space) {
            due.extend(last_things(name, space));
        }
    }
    due
}

/// What is left to end of a node whose machine was removed.
pub fn due_of_node(registry: &Registry, node: &NodeName) -> Vec<Due> {
    let orphaned = |(name, lease): &(&NetworkName, &Stored<Lease>)| {
        registry
            .space(name)
            .is_some_and(|space| orphaned(registry, space, node, lease))
    };
    let spaces = registry.spaces();
    let left = spaces.flat_map(|(name, space)| sweeps(registry, name, space));
    let left = left.filter(|due| matches!(due, Due::Sweep(_, of) if of == node));
    registry
        .leases_of(node)
        .filter(orphaned)
        .map(|(name, _)| Due::End(name.clone(), node.clone()))
        .chain(left)
        .collect()
}

/// What is left to end of a network that is being deleted.
pub fn due_of_network(registry: &Registry, name: &NetworkName) -> Vec<Due> {
    let Some(space) = registry.space(name).filter(|space| is_deleting(space)) else {
        return Vec::new();
    };
    let leases = space.leases().keys();
    let mut due: Vec<Due> = leases
        .map(|node| Due::End(name.clone(), node.clone()))
        .collect();
    due.extend(sweeps(registry, name, space));
    due.extend(last_things(name, space));
    due
}

/// Decides one thing that is due, if it still is.
pub fn settle(view: &View<'_>, patience: &Patience, due: &Due) -> Result<Decision<()>, Refusal> {
    match due {
        Due::Lapse(network, node) => lapse(view, network, node),
        Due::Reclaim(network, node) => reclaim(view, patience, network, node),
        Due::End(network, node) => end_orphan(view, network, node),
        Due::Unclaim(network, subnet) => stray::drop_claim(view, network, *subnet),
        Due::Sweep(network, node) => endpoint::sweep(view, network, node),
        Due::Withdraw(network, node) => {
            let space = deleting(view, network)?.0;
            let reservation = space.reservations().get(node).ok_or(Refusal::NothingToDo)?;
            let mut txn = Transaction::default();
            withdraw(view, &mut txn, space, network, node, reservation);
            view.decided(txn, ())
        }
        Due::Forget(network) => forget(view, network),
        Due::Erase(network) => erase(view, network),
    }
}

/// The node has been gone for the grace time. Should it come back in this very
/// moment, its open rewrites the lease, and this fails.
pub fn lapse(
    view: &View<'_>,
    network: &NetworkName,
    node: &NodeName,
) -> Result<Decision<()>, Refusal> {
    let lease = gone(view, network, node)?;
    let lapse = view.network(network)?.1.value.lapse();
    if !alive_by_session(&lease.value) {
        return Err(Refusal::NothingToDo);
    }
    let lapsed = Lease {
        gone_at: Some(view.now),
        expires_at: Some(view.now.after(lapse)),
        by: view.ctl,
        ..lease.value.clone()
    };
    let key = Key::Lease(network.clone(), node.clone());
    let mut txn = Transaction::default();
    txn.expect_absent(Key::Session(node.clone()));
    txn.expect(key.clone(), lease.revision);
    txn.put(key, record::encode(&lapsed));
    view.decided(txn, ())
}

/// The lease's time is over, by this controller's clock and a bound for its error.
pub fn reclaim(
    view: &View<'_>,
    patience: &Patience,
    network: &NetworkName,
    node: &NodeName,
) -> Result<Decision<()>, Refusal> {
    let lease = gone(view, network, node)?;
    if !reclaimable(view, patience, &lease.value) {
        return Err(Refusal::NothingToDo);
    }
    let mut txn = Transaction::default();
    txn.expect_absent(Key::Session(node.clone()));
    end(view, &mut txn, network, node, lease);
    view.decided(txn, ())
}

/// Ends the lease of a machine that was removed, or of a network being deleted.
fn end_orphan(
    view: &View<'_>,
    network: &NetworkName,
    node: &NodeName,
) -> Result<Decision<()>, Refusal> {
    let space = view.registry.space(network).ok_or(Refusal::NothingToDo)?;
    let lease = space.leases().get(node).ok_or(Refusal::NothingToDo)?;
    if !orphaned(view.registry, space, node, lease) {
        return Err(Refusal::NothingToDo);
    }
    let mut txn = Transaction::default();
    end(view, &mut txn, network, node, lease);
    view.decided(txn, ())
}

fn forget(view: &View<'_>, network: &NetworkName) -> Result<Decision<()>, Refusal> {
    let space = deleting(view, network)?.0;
    let mut txn = Transaction::default();
    let returned: Vec<(&Subnet, Revision)> = space
        .returned()
        .iter()
        .map(|(subnet, free)| (subnet, free.revision))
        .take(FORGET)
        .collect();
    if returned.is_empty() {
        return Err(Refusal::NothingToDo);
    }
    for (subnet, revision) in returned {
        let key = Key::Free(network.clone(), *subnet);
        txn.expect(key.clone(), revision);
        txn.delete(key);
    }
    view.decided(txn, ())
}

fn erase(view: &View<'_>, network: &NetworkName) -> Result<Decision<()>, Refusal> {
    let (space, revision) = deleting(view, network)?;
    if last_things(network, space) != [Due::Erase(network.clone())] {
        return Err(Refusal::NothingToDo);
    }
    let key = Key::Network(network.clone());
    let mut txn = Transaction::default();
    next_generation(view, &mut txn);
    txn.expect(key.clone(), revision);
    txn.delete(key);
    view.decided(txn, ())
}

/// The lease of a node without a session.
fn gone<'a>(
    view: &View<'a>,
    network: &NetworkName,
    node: &NodeName,
) -> Result<&'a Stored<Lease>, Refusal> {
    if view.registry.sessions().contains_key(node) {
        return Err(Refusal::NothingToDo);
    }
    view.registry
        .lease(network, node)
        .ok_or(Refusal::NothingToDo)
}

fn deleting<'a>(view: &View<'a>, network: &NetworkName) -> Result<(&'a Space, Revision), Refusal> {
    let (space, record) = view.network(network).map_err(|_| Refusal::NothingToDo)?;
    match record.value.state {
        NetworkState::Deleting => Ok((space, record.revision)),
        NetworkState::Active => Err(Refusal::NothingToDo),
    }
}

fn sweeps<'a>(
    registry: &'a Registry,
    name: &'a NetworkName,
    space: &'a Space,
) -> impl Iterator<Item = Due> + 'a {
    let left = endpoint::left(registry, name, space);
    left.map(|node| Due::Sweep(name.clone(), node.clone()))
}

fn last_things(name: &NetworkName, space: &Space) -> Vec<Due> {
    let mut due: Vec<Due> = space
        .reservations()
        .keys()
        .map(|node| Due::Withdraw(name.clone(), node.clone()))
        .collect();
    if !space.returned().is_empty() {
        due.push(Due::Forget(name.clone()));
    }
    let is_empty = space.leases().is_empty() && space.claims().is_empty();
    if due.is_empty() && is_empty && space.attached().is_empty() {
        due.push(Due::Erase(name.clone()));
    }
    due
}

fn orphaned(registry: &Registry, space: &Space, node: &NodeName, lease: &Stored<Lease>) -> bool {
    let id = lease.value.node_id;
    // A machine that changed its name is two nodes; the removal of one is not the other's.
    let present = registry.nodes().get(node);
    let joined = present.is_some_and(|node| node.value.id == id);
    (registry.removed().contains_key(&id) && !joined) || is_deleting(space)
}

fn is_deleting(space: &Space) -> bool {
    space
        .network()
        .is_some_and(|net| net.value.state == NetworkState::Deleting)
}

/// Does only its agent's session keep this lease alive?
fn alive_by_session(lease: &Lease) -> bool {
    lease.kind == LeaseKind::Agent && lease.gone_at.is_none()
}

fn reclaimable(view: &View<'_>, patience: &Patience, lease: &Lease) -> bool {
    lease
        .expires_at
        .is_some_and(|at| view.now >= at.after(patience.skew))
}
