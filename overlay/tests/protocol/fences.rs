//! Fences: what keeps the protocol right. Each can be taken away by itself.

use overlay::{
    decide::{Decision, Refusal, View},
    flight::Flight,
    key::Key,
    record::Lease,
    txn::{Op, Transaction},
};

use crate::{
    ask::{self, Ask},
    store::Snapshot,
    world::World,
};

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
            _ => &[],
        };
        match (self, ask) {
            (Self::LifeOfRelease, Ask::Release { name, .. }) => {
                let held = view.registry.lease(&ask::network(0), &ask::node(*name));
                let present = held.map_or(0, |held| held.value.life.0.as_u128() as u16);
                let by_name = Ask::Release {
                    name: *name,
                    life: present,
                };
                by_name.decide(&view, &patience, previous, ttl)
            }
            (Self::SidOfClose, Ask::Close { name, .. }) => {
                let Some(present) = view.registry.sessions().get(&ask::node(*name)) else {
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
                blind.decide(&theirs, &patience, previous, ttl)
            }
            _ => ask.decide(&view, &patience, previous, ttl),
        }
    }

    /// Takes the fence out of a transaction.
    pub fn weaken(self, ask: &Ask, view: &Snapshot, txn: &mut Transaction) {
        match self {
            Self::Compare(decision, kind) if decision == ask.decision() => {
                txn.compares.retain(|compare| compare.key.kind() != kind);
            }
            Self::RewriteOnOpen if matches!(ask, Ask::Open { .. }) => {
                let unlapsed = |key: &Key| match key {
                    Key::Lease(network, node) => view
                        .registry
                        .lease(network, node)
                        .is_some_and(|held| held.value.expires_at.is_none()),
                    _ => false,
                };
                let kept = |op: &Op| !matches!(op, Op::Put { key, .. } if unlapsed(key));
                txn.ops.retain(kept);
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
