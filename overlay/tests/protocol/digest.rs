//! When two worlds are the same. Revisions are told apart only as far as anything can:
//! a comparison asks whether a key is still what it was, the queue of returned subnets
//! asks which is older.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    rc::Rc,
};

use overlay::txn::Op;

use crate::{
    store::Snapshot,
    world::{Pending, World},
};

pub fn digest(world: &World) -> u64 {
    let mut hasher = DefaultHasher::new();
    let head = &world.head;
    (world.time, world.begun, world.expired).hash(&mut hasher);
    snapshot(head, head, &mut hasher);
    for controller in &world.controllers {
        controller.ttl.hash(&mut hasher);
        let current = Rc::ptr_eq(&controller.view, head);
        current.hash(&mut hasher);
        if !current {
            snapshot(&controller.view, head, &mut hasher);
        }
    }
    world.agents.hash(&mut hasher);
    world.over.hash(&mut hasher);
    world.past.hash(&mut hasher);
    let mut pending: Vec<u64> = world.pending.iter().map(|p| under_way(p, head)).collect();
    pending.sort_unstable();
    pending.hash(&mut hasher);
    hasher.finish()
}

fn snapshot(view: &Snapshot, head: &Snapshot, hasher: &mut DefaultHasher) {
    view.entries.len().hash(hasher);
    let mut queue = Vec::new();
    for (key, entry) in &view.entries {
        let current = head.present(key) == entry.revision;
        (entry.digest, current).hash(hasher);
        if key.starts_with("free/") {
            queue.push((entry.revision, key));
        }
    }
    queue.sort_unstable();
    for (_, key) in queue {
        key.hash(hasher);
    }
    view.dead_ttls.len().hash(hasher);
}

fn under_way(pending: &Pending, head: &Snapshot) -> u64 {
    let mut hasher = DefaultHasher::new();
    let ask = &pending.ask;
    (pending.ctl, pending.given_up, ask.decision(), ask.meant()).hash(&mut hasher);
    for compare in &pending.txn.compares {
        let holds = head.present(&compare.key.to_string()) == compare.revision;
        (&compare.key, holds, compare.revision == 0).hash(&mut hasher);
    }
    for op in &pending.txn.ops {
        op.key().hash(&mut hasher);
        match op {
            Op::Put { value, ttl, .. } => (value, ttl).hash(&mut hasher),
            Op::Delete { .. } => 0.hash(&mut hasher),
        }
    }
    hasher.finish()
}
