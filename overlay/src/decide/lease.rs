//! Leases: granted, renewed, released.

use std::{net::IpAddr, time::Duration};

use super::{Decision, Refusal, View, endpoint, grant::Grant, node::admit};
use crate::{
    id::{Life, NodeId},
    key::Key,
    name::{NetworkName, NodeName},
    record::{self, Claim, Free, Lease, LeaseKind, Mac, Underlay, V1},
    registry::{Space, Stored},
    subnet::Subnet,
    txn::Transaction,
};

/// Where the node's packets are to be sent: its VXLAN tunnel endpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Vtep {
    pub underlay: Option<IpAddr>,
    pub mac: Option<Mac>,
}

/// A request for a lease by a client without an agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acquire {
    pub network: NetworkName,
    pub node: NodeName,
    /// None: the node's own, whatever it is, or `new_id`.
    pub id: Option<NodeId>,
    pub new_id: NodeId,
    pub vtep: Vtep,
    pub ttl: Duration,
    /// Names the life if this begins one.
    pub life: Life,
}

pub fn acquire(view: &View<'_>, ask: &Acquire) -> Result<Decision<Lease>, Refusal> {
    let mut txn = Transaction::default();
    let known = view
        .registry
        .nodes()
        .get(&ask.node)
        .map(|node| node.value.id);
    let id = ask.id.or(known).unwrap_or(ask.new_id);
    admit(view, &mut txn, &ask.node, id, false)?;
    let held = view.registry.lease(&ask.network, &ask.node);
    if held.is_some_and(|held| held.value.kind == LeaseKind::Agent) {
        return Err(Refusal::HeldByAgent {
            network: ask.network.clone(),
            node: ask.node.clone(),
        });
    }
    let grant = Grant {
        network: &ask.network,
        node: &ask.node,
        id,
        vtep: ask.vtep,
        kind: LeaseKind::Api,
        ttl: Some(ask.ttl),
        life: ask.life,
    };
    let lease = grant.add(view, &mut txn)?;
    view.decided(txn, lease)
}

/// Keeps an API client's lease alive. The comparison is on this very lease, so a
/// renewal that comes late revives nothing.
pub fn renew(
    view: &View<'_>,
    network: &NetworkName,
    node: &NodeName,
    life: Life,
    ttl: Duration,
) -> Result<Decision<Lease>, Refusal> {
    let held = lease_of_life(view, network, node, life)?;
    if held.value.kind == LeaseKind::Agent {
        return Err(Refusal::HeldByAgent {
            network: network.clone(),
            node: node.clone(),
        });
    }
    let lease = Lease {
        expires_at: Some(view.now.after(ttl)),
        gone_at: None,
        by: view.ctl,
        ..held.value.clone()
    };
    let key = Key::Lease(network.clone(), node.clone());
    let mut txn = Transaction::default();
    txn.expect(key.clone(), held.revision);
    txn.put(key, record::encode(&lease));
    view.decided(txn, lease)
}

/// Ends this life of the lease at once.
pub fn release(
    view: &View<'_>,
    network: &NetworkName,
    node: &NodeName,
    life: Life,
) -> Result<Decision<()>, Refusal> {
    let held = lease_of_life(view, network, node, life)?;
    if held.value.kind == LeaseKind::Agent && view.registry.sessions().contains_key(node) {
        return Err(Refusal::AgentConnected { node: node.clone() });
    }
    let mut txn = Transaction::default();
    if held.value.kind == LeaseKind::Agent {
        txn.expect_absent(Key::Session(node.clone()));
    }
    end(view, &mut txn, network, node, held);
    view.decided(txn, ())
}

fn lease_of_life<'a>(
    view: &View<'a>,
    network: &NetworkName,
    node: &NodeName,
    life: Life,
) -> Result<&'a Stored<Lease>, Refusal> {
    view.network(network)?;
    let held = view.lease(network, node)?;
    if held.value.life == life {
        Ok(held)
    } else {
        Err(Refusal::OtherLife {
            network: network.clone(),
            node: node.clone(),
            asked: life,
            present: held.value.life,
        })
    }
}

/// Ends a lease: its subnets go to the back of the queue, or back to their reservation,
/// and what was attached in them is gone.
///
/// The claims are compared too: reserving a leased subnet rewrites its claim and not
/// the lease, and must not be undone by an end that did not see it.
pub(super) fn end(
    view: &View<'_>,
    txn: &mut Transaction,
    network: &NetworkName,
    node: &NodeName,
    held: &Stored<Lease>,
) {
    let key = Key::Lease(network.clone(), node.clone());
    txn.expect(key.clone(), held.revision);
    txn.delete(key);
    let Some(space) = view.registry.space(network) else {
        return;
    };
    for subnet in held.value.subnets() {
        // Not there, or another's, only after somebody edited the store by hand.
        let claim = space.claims().get(&subnet);
        if let Some(claim) = claim.filter(|claim| claim.value.life == Some(held.value.life)) {
            unclaim(view, txn, network, subnet, claim);
        }
    }
    if let Some(address) = held.value.underlay {
        drop_underlay(txn, space, network, node, address);
    }
    endpoint::end_with_lease(txn, space, network, node);
}

/// Gives a claimed subnet back, or leaves it promised.
pub(super) fn unclaim(
    view: &View<'_>,
    txn: &mut Transaction,
    network: &NetworkName,
    subnet: Subnet,
    claim: &Stored<Claim>,
) {
    let key = Key::Claim(network.clone(), subnet);
    txn.expect(key.clone(), claim.revision);
    if claim.value.reserved {
        let promised = Claim {
            life: None,
            ..claim.value.clone()
        };
        txn.put(key, record::encode(&promised));
    } else {
        txn.delete(key);
        put_free(view, txn, network, subnet);
    }
}

/// Puts a subnet at the back of the queue.
pub(super) fn put_free(
    view: &View<'_>,
    txn: &mut Transaction,
    network: &NetworkName,
    subnet: Subnet,
) {
    let free = Free {
        v: V1,
        freed_at: view.now,
    };
    txn.put(Key::Free(network.clone(), subnet), record::encode(&free));
}

/// Takes a subnet out of the queue, also where none is seen there: since this view,
/// somebody may have leased it and given it back.
pub(super) fn drop_free(txn: &mut Transaction, network: &NetworkName, subnet: Subnet) {
    txn.delete(Key::Free(network.clone(), subnet));
}

pub(super) fn drop_underlay(
    txn: &mut Transaction,
    space: &Space,
    network: &NetworkName,
    node: &NodeName,
    address: IpAddr,
) {
    let mine = |underlay: &&Stored<Underlay>| underlay.value.node == *node;
    if let Some(underlay) = space.underlay(address).filter(mine) {
        let key = Key::Underlay(network.clone(), address);
        txn.expect(key.clone(), underlay.revision);
        txn.delete(key);
    }
}
