//! Fences: what keeps the protocol right. Each can be taken away by itself.

use overlay::{
    decide::{Decision, Refusal, View},
    flight::Flight,
    key::Key,
    record::{self, Lease},
    registry::Stored,
    txn::{Op, Transaction},
};

use crate::{ask::Ask, names, store::Snapshot, world::World};

/// What is taken away from the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fence {
    /// Nothing: the protocol as it is.
    Whole,
    /// The comparisons that one decision makes on one kind of key.
    Compare(&'static str, &'static str),
    /// Transactions under way at one controller may touch each other.
    Flight,
    /// Reclaim waits for no difference of clocks.
    SkewBound,
    /// A release ends whatever life is there.
    LifeOfRelease,
    /// A close ends whatever session is there.
    SidOfClose,
    /// A returning agent leaves a lease alone that has not lapsed.
    RewriteOnOpen,
}

impl Fence {
    pub fn decide(
        self,
        world: &World,
        ctl: usize,
        flight: &Flight,
        ask: &Ask,
    ) -> Result<Decision<Option<Lease>>, Refusal> {
        let view = world.view(ctl, flight);
        let patience = world.patience();
        let ttl = world.controllers[ctl].ttl;
        let previous = match ask {
            Ask::Open { machine, sid, .. } => {
                world.agents[usize::from(machine.number)].previous(*sid)
            }
            _ => Vec::new(),
        };
        match (self, ask) {
            (Self::LifeOfRelease, Ask::Release { name, .. }) => {
                let held = view.registry.lease(&names::network(0), &names::node(*name));
                let present = held.map_or(0, |held| held.value.life.0.as_u128() as u16);
                let by_name = Ask::Release {
                    name: *name,
                    life: present,
                };
                by_name.decide(&view, &patience, &previous, ttl)
            }
            (Self::SidOfClose, Ask::Close { name, .. }) => {
                let Some(present) = view.registry.sessions().get(&names::node(*name)) else {
                    return Err(Refusal::NothingToDo);
                };
                let blind = Ask::Close {
                    name: *name,
                    sid: present.value.sid.0.as_u128() as u16,
                };
                let theirs = View {
                    ctl: present.value.ctl,
                    ..view
                };
                blind.decide(&theirs, &patience, &previous, ttl)
            }
            _ => ask.decide(&view, &patience, &previous, ttl),
        }
    }

    /// Takes the fence out of a transaction.
    pub fn weaken(self, ask: &Ask, view: &Snapshot, txn: &mut Transaction) {
        match self {
            Self::Compare(decision, kind) if decision == ask.decision() => {
                txn.compares
                    .retain(|compare| compared(ask, &compare.key) != kind);
            }
            Self::RewriteOnOpen if matches!(ask, Ask::Open { .. }) => {
                txn.ops.retain(|op| !rewrites_nothing(view, op));
            }
            Self::Whole
            | Self::Compare(..)
            | Self::Flight
            | Self::SkewBound
            | Self::LifeOfRelease
            | Self::SidOfClose
            | Self::RewriteOnOpen => {}
        }
    }
}

/// Does this put a lease that is there, and the same but for who wrote it?
fn rewrites_nothing(view: &Snapshot, op: &Op) -> bool {
    let Op::Put {
        key: Key::Lease(network, node),
        value,
        ..
    } = op
    else {
        return false;
    };
    let new: Lease = record::read(value).expect("an encoded lease");
    let by = |held: &Stored<Lease>| Lease {
        by: new.by,
        ..held.value.clone()
    };
    view.registry.lease(network, node).map(by).as_ref() == Some(&new)
}

/// What a comparison is about. The record of a node whose address is taken over is
/// another thing than the asker's own.
pub fn compared(ask: &Ask, key: &Key) -> &'static str {
    let own = ask.name().map(names::node);
    match key {
        Key::Lease(_, node) if own.as_ref().is_some_and(|own| own != node) => "holder's lease",
        Key::Session(node) if own.as_ref().is_some_and(|own| own != node) => "holder's sess",
        _ => key.kind(),
    }
}
