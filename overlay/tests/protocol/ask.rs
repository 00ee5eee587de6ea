//! What is asked of a controller, and how the real decisions answer it.

use std::fmt;

use overlay::{
    decide::{
        self, Decision, Refusal, View,
        decay::{Due, Patience},
        lease::Acquire,
        session::Open,
    },
    record::Lease,
    txn::TtlId,
};

use crate::names::{
    Machine, Publish, TICK, id, life, membership, network, node, reservable, sid, spec, subnet,
    vtep,
};

/// A decision to take. Numbers stand for names, machines, sessions and lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    Open {
        name: u8,
        machine: Machine,
        sid: u16,
        /// A new one for each decision, also where the session is tried again.
        life: u16,
        vtep: Publish,
    },
    Join {
        name: u8,
        sid: u16,
        life: u16,
        vtep: Publish,
    },
    Leave {
        name: u8,
        sid: u16,
    },
    Close {
        name: u8,
        sid: u16,
    },
    Acquire {
        name: u8,
        machine: Machine,
        life: u16,
        vtep: Publish,
    },
    Renew {
        name: u8,
        life: u16,
    },
    Release {
        name: u8,
        life: u16,
    },
    Reserve {
        name: u8,
        choice: u8,
    },
    Unreserve {
        name: u8,
    },
    Remove {
        name: u8,
    },
    Create {
        network: u8,
    },
    Grow,
    Delete {
        network: u8,
    },
    Settle(Due),
}

/// Every decision, by the name that fences and counts use.
pub const DECISIONS: [&str; 19] = [
    "open",
    "join",
    "leave",
    "close",
    "acquire",
    "renew",
    "release",
    "reserve",
    "unreserve",
    "remove",
    "create",
    "grow",
    "delete",
    "lapse",
    "reclaim",
    "end",
    "withdraw",
    "forget",
    "erase",
];

impl Ask {
    pub fn decision(&self) -> &'static str {
        match self {
            Self::Open { .. } => "open",
            Self::Join { .. } => "join",
            Self::Leave { .. } => "leave",
            Self::Close { .. } => "close",
            Self::Acquire { .. } => "acquire",
            Self::Renew { .. } => "renew",
            Self::Release { .. } => "release",
            Self::Reserve { .. } => "reserve",
            Self::Unreserve { .. } => "unreserve",
            Self::Remove { .. } => "remove",
            Self::Create { .. } => "create",
            Self::Grow => "grow",
            Self::Delete { .. } => "delete",
            Self::Settle(due) => match due {
                Due::Lapse(..) => "lapse",
                Due::Reclaim(..) => "reclaim",
                Due::End(..) => "end",
                Due::Unclaim(..) => "unclaim",
                Due::Sweep(..) => "sweep",
                Due::Withdraw(..) => "withdraw",
                Due::Forget(_) => "forget",
                Due::Erase(_) => "erase",
            },
        }
    }

    /// The name that asks, where one asks for itself.
    pub fn name(&self) -> Option<u8> {
        match *self {
            Self::Open { name, .. }
            | Self::Join { name, .. }
            | Self::Leave { name, .. }
            | Self::Close { name, .. }
            | Self::Acquire { name, .. }
            | Self::Renew { name, .. }
            | Self::Release { name, .. }
            | Self::Reserve { name, .. }
            | Self::Unreserve { name }
            | Self::Remove { name } => Some(name),
            Self::Create { .. } | Self::Grow | Self::Delete { .. } | Self::Settle(_) => None,
        }
    }

    /// The session or life it names, if any.
    pub fn meant(&self) -> u16 {
        match *self {
            Self::Open { sid, .. }
            | Self::Join { sid, .. }
            | Self::Leave { sid, .. }
            | Self::Close { sid, .. } => sid,
            Self::Acquire { life, .. } | Self::Renew { life, .. } | Self::Release { life, .. } => {
                life
            }
            Self::Reserve { .. }
            | Self::Unreserve { .. }
            | Self::Remove { .. }
            | Self::Create { .. }
            | Self::Grow
            | Self::Delete { .. }
            | Self::Settle(_) => 0,
        }
    }

    /// The name and the number it brings for something new.
    pub fn begins(&self) -> Option<(u8, u16)> {
        match *self {
            Self::Open { name, life, .. }
            | Self::Join { name, life, .. }
            | Self::Acquire { name, life, .. } => Some((name, life)),
            Self::Leave { .. }
            | Self::Close { .. }
            | Self::Renew { .. }
            | Self::Release { .. }
            | Self::Reserve { .. }
            | Self::Unreserve { .. }
            | Self::Remove { .. }
            | Self::Create { .. }
            | Self::Grow
            | Self::Delete { .. }
            | Self::Settle(_) => None,
        }
    }

    /// Asks the real decision function. `previous` and `ttl` are for an open.
    pub fn decide(
        &self,
        view: &View<'_>,
        patience: &Patience,
        previous: &[u16],
        ttl: TtlId,
    ) -> Result<Decision<Option<Lease>>, Refusal> {
        let a = network(0);
        match *self {
            Self::Open {
                name,
                machine,
                sid: new,
                life: begun,
                vtep: publish,
            } => {
                let open = Open {
                    node: node(name),
                    id: id(machine),
                    sid: sid(new),
                    previous: previous.iter().map(|&old| sid(old)).collect(),
                    networks: membership(machine.number, begun, publish)
                        .into_iter()
                        .collect(),
                    certified: false,
                    ttl,
                };
                let decision = decide::session::open(view, &open)?;
                Ok(Decision {
                    txn: decision.txn,
                    answer: decision.answer.into_iter().next(),
                })
            }
            Self::Join {
                name,
                sid: own,
                life: begun,
                vtep: publish,
            } => {
                let membership = membership(name, begun, publish).ok_or(Refusal::NothingToDo)?;
                granted(decide::session::join(
                    view,
                    &node(name),
                    sid(own),
                    &membership,
                ))
            }
            Self::Leave { name, sid: own } => {
                done(decide::session::leave(view, &node(name), sid(own), &a))
            }
            Self::Close { name, sid: own } => {
                done(decide::session::close(view, &node(name), sid(own)))
            }
            Self::Acquire {
                name,
                machine,
                life: begun,
                vtep: publish,
            } => granted(decide::lease::acquire(
                view,
                &Acquire {
                    network: a,
                    node: node(name),
                    id: Some(id(machine)),
                    new_id: id(machine),
                    vtep: vtep(name, publish).ok_or(Refusal::NothingToDo)?,
                    ttl: TICK,
                    life: life(begun),
                },
            )),
            Self::Renew { name, life: meant } => granted(decide::lease::renew(
                view,
                &a,
                &node(name),
                life(meant),
                TICK,
            )),
            Self::Release { name, life: meant } => {
                done(decide::lease::release(view, &a, &node(name), life(meant)))
            }
            Self::Reserve { name, choice } => done(decide::reserve::reserve(
                view,
                &a,
                &node(name),
                &reservable(choice),
            )),
            Self::Unreserve { name } => done(decide::reserve::unreserve(view, &a, &node(name))),
            Self::Remove { name } => done(decide::node::remove(view, &node(name))),
            Self::Create { network } => done(decide::network::create(view, &spec(network))),
            Self::Grow => {
                let wider = [subnet("10.0.0.0/22")];
                done(decide::network::grow(view, &a, &wider))
            }
            Self::Delete { network: number } => {
                done(decide::network::delete(view, &network(number), true))
            }
            Self::Settle(ref due) => done(decide::decay::settle(view, patience, due)),
        }
    }
}

fn granted(decision: Result<Decision<Lease>, Refusal>) -> Result<Decision<Option<Lease>>, Refusal> {
    decision.map(|decision| Decision {
        txn: decision.txn,
        answer: Some(decision.answer),
    })
}

fn done<T>(decision: Result<Decision<T>, Refusal>) -> Result<Decision<Option<Lease>>, Refusal> {
    decision.map(|decision| Decision {
        txn: decision.txn,
        answer: None,
    })
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decision = self.decision();
        match self {
            Self::Open {
                name,
                machine,
                sid,
                vtep,
                ..
            } => write!(
                f,
                "{decision} n{name} by machine {machine}, session {sid}, address {vtep:?}"
            ),
            Self::Join {
                name, sid, vtep, ..
            } => write!(f, "{decision} n{name}, session {sid}, address {vtep:?}"),
            Self::Leave { name, sid } | Self::Close { name, sid } => {
                write!(f, "{decision} n{name}, session {sid}")
            }
            Self::Acquire {
                name,
                machine,
                life,
                vtep,
            } => write!(
                f,
                "{decision} n{name} for machine {machine}, life {life}, address {vtep:?}"
            ),
            Self::Renew { name, life } | Self::Release { name, life } => {
                write!(f, "{decision} n{name}, life {life}")
            }
            Self::Reserve { name, choice } => write!(f, "{decision} n{name}, choice {choice}"),
            Self::Unreserve { name } | Self::Remove { name } => write!(f, "{decision} n{name}"),
            Self::Create { network } | Self::Delete { network } => {
                write!(f, "{decision} network {network}")
            }
            Self::Grow => write!(f, "{decision} network 0"),
            Self::Settle(
                Due::Lapse(_, node)
                | Due::Reclaim(_, node)
                | Due::End(_, node)
                | Due::Sweep(_, node)
                | Due::Withdraw(_, node),
            ) => write!(f, "{decision} {node}"),
            Self::Settle(Due::Unclaim(_, subnet)) => write!(f, "{decision} {subnet}"),
            Self::Settle(Due::Forget(network) | Due::Erase(network)) => {
                write!(f, "{decision} {network}")
            }
        }
    }
}
