//! Nodes: admitted once, and removed for good.

use super::{Decision, Refusal, View};
use crate::{
    id::NodeId,
    key::Key,
    name::NodeName,
    record::{self, Node, Removed, V1},
    txn::Transaction,
};

/// Adds to a transaction that this machine is this node, and makes the node if
/// there is none; and that it has a certificate, if it comes by one. A removed machine
/// stays out.
pub(super) fn admit(
    view: &View<'_>,
    txn: &mut Transaction,
    name: &NodeName,
    id: NodeId,
    certified: bool,
) -> Result<(), Refusal> {
    let key = Key::Node(name.clone());
    if let Some(node) = view.registry.nodes().get(name) {
        if node.value.id != id {
            return Err(Refusal::name_taken(
                view.registry,
                view.now,
                name,
                (node.value.id, id),
            ));
        }
        txn.expect(key.clone(), node.revision);
        if certified && !node.value.certified {
            let node = Node {
                certified,
                ..node.value.clone()
            };
            txn.put(key, record::encode(&node));
        }
        return Ok(());
    }
    if let Some(removed) = view.registry.removed().get(&id) {
        return Err(Refusal::removed(id, &removed.value));
    }
    txn.expect_absent(key.clone());
    txn.expect_absent(Key::Removed(id));
    let node = Node {
        v: V1,
        id,
        joined_at: view.now,
        certified,
    };
    txn.put(key, record::encode(&node));
    Ok(())
}

/// Removes a node: its session ends, its id stays out. What it held is ended by
/// [`super::decay`], one lease a transaction: the tombstone stands for all of them.
pub fn remove(view: &View<'_>, name: &NodeName) -> Result<Decision<NodeId>, Refusal> {
    let node = view
        .registry
        .nodes()
        .get(name)
        .ok_or_else(|| Refusal::NoNode { node: name.clone() })?;
    let id = node.value.id;
    let mut txn = Transaction::default();
    let key = Key::Node(name.clone());
    txn.expect(key.clone(), node.revision);
    txn.delete(key);
    let session = view.registry.sessions().get(name);
    let key = Key::Session(name.clone());
    txn.expect(key.clone(), session.map_or(0, |session| session.revision));
    if session.is_some() {
        txn.delete(key);
    }
    let removed = Removed {
        v: V1,
        name: name.clone(),
        at: view.now,
    };
    txn.put(Key::Removed(id), record::encode(&removed));
    view.decided(txn, id)
}
