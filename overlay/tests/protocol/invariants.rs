//! What must be true of every step that the store makes. [`state`] holds what must
//! be true of every state.

use overlay::{
    decide::decay::Due,
    id::Life,
    key::Key,
    name::NodeName,
    network::NetworkState,
    record::{self, Lease, LeaseKind, Node, Session},
    registry::{Registry, Space, Stored},
    txn::Op,
};

use crate::{
    ask::Ask,
    names, state,
    store::Snapshot,
    world::{Pending, World, wall},
};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub rule: &'static str,
    pub what: String,
}

pub type Checked = Result<(), Violation>;

pub fn broken(rule: &'static str, what: impl Into<String>) -> Checked {
    Err(Violation {
        rule,
        what: what.into(),
    })
}

/// The store went from `before` to the world's head by these transactions.
pub fn committed(world: &World, before: &Snapshot, winners: &[Pending]) -> Checked {
    let head = &world.head.registry;
    if !head.set_aside().is_empty() {
        return broken("readable", "a record cannot be read");
    }
    for pending in winners {
        for op in &pending.txn.ops {
            match op {
                Op::Put { key, value, .. } => put(world, before, pending, key, value)?,
                Op::Delete { key } => deleted(world, before, pending, key)?,
            }
        }
        answered(head, pending)?;
    }
    state::check(world)
}

/// I3: what is acknowledged is what the store holds.
fn answered(head: &Registry, pending: &Pending) -> Checked {
    let (Some(answer), Some(node)) = (&pending.answer, leased(pending)) else {
        return Ok(());
    };
    let told = |held: &Stored<Lease>| Lease {
        by: answer.by,
        ..held.value.clone()
    };
    if head.lease(&names::network(0), &node).map(told).as_ref() == Some(answer) {
        return Ok(());
    }
    broken("I3", format!("{node} was told of a lease that it has not"))
}

fn put(world: &World, before: &Snapshot, pending: &Pending, key: &Key, value: &[u8]) -> Checked {
    let was = &before.registry;
    match key {
        Key::Node(name) => {
            let node: Node = record::read(value).expect("an encoded node");
            if was.removed().contains_key(&node.id) {
                return broken("I6", format!("a removed machine is node {name} again"));
            }
        }
        Key::Session(name) => {
            let new: Session = record::read(value).expect("an encoded session");
            let knows = |old: &Stored<Session>| {
                old.value.sid == new.sid
                    || new.taken_over_at.is_some()
                    || tried(world, pending, old)
            };
            if was.sessions().get(name).is_some_and(|old| !knows(old)) {
                return broken(
                    "I7",
                    format!("{name}: a session replaced one it knew nothing of"),
                );
            }
        }
        Key::Lease(network, name) => {
            let new: Lease = record::read(value).expect("an encoded lease");
            match was.lease(network, name) {
                Some(old) => rewritten(world, was, pending, name, &old.value, &new)?,
                None => begun(pending, &new)?,
            }
            if world.past.ended.contains(&new.life) {
                return broken("I4", format!("{} lives again", short(new.life)));
            }
            if leased(pending).is_some() && !matches!(pending.ask, Ask::Renew { .. }) {
                granted(world, was, pending, name, &new)?;
            }
        }
        Key::Networks
        | Key::Network(_)
        | Key::Removed(_)
        | Key::Claim(..)
        | Key::Free(..)
        | Key::Reservation(..)
        | Key::Underlay(..)
        | Key::Endpoint(..)
        | Key::Controller(_)
        | Key::Authority
        | Key::Token(_)
        | Key::Operator(_) => {}
    }
    Ok(())
}

/// Had the agent that opens this session tried the old one before?
fn tried(world: &World, pending: &Pending, old: &Stored<Session>) -> bool {
    let Ask::Open { machine, sid, .. } = pending.ask else {
        return false;
    };
    world.agents[usize::from(machine.number)]
        .previous(sid)
        .iter()
        .any(|&sid| names::sid(sid) == old.value.sid)
}

/// I4: only a grant begins a life.
fn begun(pending: &Pending, new: &Lease) -> Checked {
    match pending.ask {
        Ask::Open { .. } | Ask::Join { .. } | Ask::Acquire { .. } => Ok(()),
        _ => broken(
            "I4",
            format!("{} began by {}", short(new.life), pending.ask),
        ),
    }
}

/// I6 and I7: a lease is granted to a node that is there, and to its present stream.
fn granted(
    world: &World,
    was: &Registry,
    pending: &Pending,
    name: &NodeName,
    new: &Lease,
) -> Checked {
    if leased(pending).as_ref() != Some(name) {
        return Ok(());
    }
    let node = world.head.registry.nodes().get(name);
    if node.is_none_or(|node| node.value.id != new.node_id) {
        return broken("I6", format!("{name} was granted a lease and is no node"));
    }
    let session = was.sessions().get(name).map(|session| session.value.sid);
    match pending.ask {
        Ask::Join { sid, .. } if session != Some(names::sid(sid)) => broken(
            "I7",
            format!("{name}: a stream that is over changed its lease"),
        ),
        _ => Ok(()),
    }
}

/// I3: a lease stays what it is until it ends, and what is its own stays its own.
fn rewritten(
    world: &World,
    was: &Registry,
    pending: &Pending,
    name: &NodeName,
    old: &Lease,
    new: &Lease,
) -> Checked {
    let same = |lease: &Lease| (lease.life, lease.node_id, lease.v4, lease.v6);
    if same(old) != same(new) {
        let what = format!("{} became {} in place", short(old.life), short(new.life));
        return broken("I3", what);
    }
    if leased(pending).as_ref() == Some(name) {
        return Ok(());
    }
    if was.sessions().contains_key(name) {
        let what = format!("{name} is alive, and {} changed its lease", pending.ask);
        return broken("I2", what);
    }
    let over = old.gone_at.is_some() || old.expires_at.is_some_and(|at| at <= wall(world.time));
    if old.underlay != new.underlay && !over {
        let what = format!("{name} lost its underlay address before its time");
        return broken("underlay", what);
    }
    Ok(())
}

/// The name whose own lease this writes.
fn leased(pending: &Pending) -> Option<NodeName> {
    match pending.ask {
        Ask::Open { name, .. }
        | Ask::Join { name, .. }
        | Ask::Acquire { name, .. }
        | Ask::Renew { name, .. } => Some(names::node(name)),
        Ask::Leave { .. }
        | Ask::Close { .. }
        | Ask::Release { .. }
        | Ask::Reserve { .. }
        | Ask::Unreserve { .. }
        | Ask::Remove { .. }
        | Ask::Create { .. }
        | Ask::Grow
        | Ask::Delete { .. }
        | Ask::Settle(_) => None,
    }
}

fn deleted(world: &World, before: &Snapshot, pending: &Pending, key: &Key) -> Checked {
    let was = &before.registry;
    match key {
        Key::Session(name) => {
            let Some(session) = was.sessions().get(name) else {
                return Ok(());
            };
            match pending.ask {
                Ask::Remove { .. } => Ok(()),
                Ask::Close { sid, .. } if session.value.sid == names::sid(sid) => Ok(()),
                _ => broken(
                    "I7",
                    format!("{name}: {} ended another session", pending.ask),
                ),
            }
        }
        Key::Lease(network, name) => match was.lease(network, name) {
            Some(held) => ended(world, was, pending, name, &held.value),
            None => Ok(()),
        },
        Key::Networks
        | Key::Network(_)
        | Key::Node(_)
        | Key::Removed(_)
        | Key::Claim(..)
        | Key::Free(..)
        | Key::Reservation(..)
        | Key::Underlay(..)
        | Key::Endpoint(..)
        | Key::Controller(_)
        | Key::Authority
        | Key::Token(_)
        | Key::Operator(_) => Ok(()),
    }
}

/// A lease may end in four ways and no other.
fn ended(
    world: &World,
    was: &Registry,
    pending: &Pending,
    name: &NodeName,
    held: &Lease,
) -> Checked {
    let session = was.sessions().get(name).map(|session| session.value.sid);
    let by = &pending.ask;
    match by {
        Ask::Release { life, .. } if names::life(*life) != held.life => {
            broken("I8", format!("{by} ended {}", short(held.life)))
        }
        Ask::Release { .. } if held.kind == LeaseKind::Agent && session.is_some() => {
            broken("I3", format!("{by}, and its agent is connected"))
        }
        Ask::Release { .. } => Ok(()),
        Ask::Leave { sid, .. } if session.is_some_and(|session| session != names::sid(*sid)) => {
            broken("I7", format!("{by} ended the lease of another session"))
        }
        Ask::Leave { .. } => Ok(()),
        Ask::Settle(Due::Reclaim(..)) => {
            if session.is_some() {
                return broken("I2", format!("{name} is alive and was reclaimed"));
            }
            let due = match held.kind {
                LeaseKind::Api => held.expires_at.unwrap_or(wall(u64::MAX / 1_000_000)),
                LeaseKind::Agent => {
                    let vanished = world.past.keeper.get(name);
                    wall(vanished.map_or(0, |(_, vanished)| *vanished)).after(names::TICK)
                }
            };
            if wall(world.time) < due {
                return broken("I5", format!("{name} was reclaimed before its time"));
            }
            Ok(())
        }
        Ask::Settle(Due::End(network, _)) => {
            let here = was.nodes().get(name).map(|node| node.value.id);
            let removed = was.removed().contains_key(&held.node_id) && here != Some(held.node_id);
            let network = was.space(network).and_then(Space::network);
            let deleting = network.is_none_or(|net| net.value.state == NetworkState::Deleting);
            if removed || deleting {
                return Ok(());
            }
            broken("I3", format!("{by}: it was nobody's orphan"))
        }
        Ask::Open { .. }
        | Ask::Join { .. }
        | Ask::Close { .. }
        | Ask::Acquire { .. }
        | Ask::Renew { .. }
        | Ask::Reserve { .. }
        | Ask::Unreserve { .. }
        | Ask::Remove { .. }
        | Ask::Create { .. }
        | Ask::Grow
        | Ask::Delete { .. }
        | Ask::Settle(
            Due::Lapse(..)
            | Due::Unclaim(..)
            | Due::Sweep(..)
            | Due::Withdraw(..)
            | Due::Forget(_)
            | Due::Erase(_),
        ) => broken("I3", format!("{by} ended {}", short(held.life))),
    }
}

fn short(life: Life) -> String {
    format!("life {}", life.0.as_u128())
}
