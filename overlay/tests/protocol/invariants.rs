//! What must be true of every step that the store makes. [`state`] holds what must
//! be true of every state.

use overlay::{
    decide::decay::Due,
    id::Life,
    key::Key,
    network::NetworkState,
    record::{self, Lease, LeaseKind, Node, Session},
    registry::{Registry, Space, Stored},
    txn::Op,
};

use crate::{
    ask::{self, Ask},
    state,
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
    let (Some(answer), Some((node, _))) = (&pending.answer, leased(pending)) else {
        return Ok(());
    };
    match head.lease(&ask::network(0), &node) {
        Some(held) if held.value == *answer => Ok(()),
        _ => broken("I3", format!("{node} was told of a lease that it has not")),
    }
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
            let old = was.lease(network, name).map(|held| &held.value);
            lease_put(world, was, pending, &new, old)?;
            if new.kind == LeaseKind::Agent && new.gone_at.is_none() {
                let session = was.sessions().get(name).map(|session| session.value.sid);
                let own = ask::sid(pending.ask.meant());
                let opens = matches!(pending.ask, Ask::Open { .. });
                if !opens && session != Some(own) {
                    return broken(
                        "I7",
                        format!("{name}: a stream that is over changed its lease"),
                    );
                }
            }
        }
        Key::Networks
        | Key::Network(_)
        | Key::Removed(_)
        | Key::Claim(..)
        | Key::Free(..)
        | Key::Reservation(..)
        | Key::Underlay(..)
        | Key::Controller(_) => {}
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
        .any(|&sid| ask::sid(sid) == old.value.sid)
}

fn lease_put(
    world: &World,
    was: &Registry,
    pending: &Pending,
    new: &Lease,
    old: Option<&Lease>,
) -> Checked {
    let life = new.life;
    if world.past.ended.contains(&life) {
        return broken("I4", format!("{} lives again", short(life)));
    }
    let Some(old) = old else {
        let by_grant = leased(pending).is_some_and(|(_, grants)| grants);
        return if by_grant {
            Ok(())
        } else {
            broken("I4", format!("{} began by {}", short(life), pending.ask))
        };
    };
    if (old.life, old.node_id, old.v4, old.v6) != (life, new.node_id, new.v4, new.v6) {
        let what = format!("{} became {} in place", short(old.life), short(life));
        return broken("I3", what);
    }
    let over = old.gone_at.is_some() || old.expires_at.is_some_and(|at| at <= wall(world.time));
    let holder = leased(pending).map(|(node, _)| node);
    let own = holder.is_some_and(|node| {
        was.lease(&ask::network(0), &node)
            .is_some_and(|held| held.value.life == life)
    });
    if old.underlay.is_some() && new.underlay.is_none() && !own && !over {
        let what = format!("{} lost its underlay address before its time", short(life));
        return broken("underlay", what);
    }
    Ok(())
}

/// The name whose lease this writes for itself, and whether it may begin one.
fn leased(pending: &Pending) -> Option<(overlay::name::NodeName, bool)> {
    match pending.ask {
        Ask::Open { name, .. } | Ask::Join { name, .. } | Ask::Acquire { name, .. } => {
            Some((ask::node(name), true))
        }
        Ask::Renew { name, .. } => Some((ask::node(name), false)),
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
                Ask::Close { sid, .. } if session.value.sid == ask::sid(sid) => Ok(()),
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
        | Key::Controller(_) => Ok(()),
    }
}

/// A lease may end in four ways and no other.
fn ended(
    world: &World,
    was: &Registry,
    pending: &Pending,
    name: &overlay::name::NodeName,
    held: &Lease,
) -> Checked {
    let session = was.sessions().get(name).map(|session| session.value.sid);
    let by = &pending.ask;
    match by {
        Ask::Release { life, .. } if ask::life(*life) != held.life => {
            broken("I8", format!("{by} ended {}", short(held.life)))
        }
        Ask::Release { .. } if held.kind == LeaseKind::Agent && session.is_some() => {
            broken("I3", format!("{by}, and its agent is connected"))
        }
        Ask::Release { .. } => Ok(()),
        Ask::Leave { sid, .. } if session.is_some_and(|session| session != ask::sid(*sid)) => {
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
                    let vanished = world.past.vanished.get(name).copied().unwrap_or(0);
                    wall(vanished).after(ask::TICK)
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
        | Ask::Settle(Due::Lapse(..) | Due::Withdraw(..) | Due::Forget(_) | Due::Erase(_)) => {
            broken("I3", format!("{by} ended {}", short(held.life)))
        }
    }
}

fn short(life: Life) -> String {
    format!("life {}", life.0.as_u128())
}
