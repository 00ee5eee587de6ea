//! What is asked of a controller, and how the real decisions answer it.

use std::{fmt, net::IpAddr, time::Duration};

use overlay::{
    decide::{
        self, Decision, Refusal, View,
        decay::{Due, Patience},
        lease::{Acquire, Vtep},
        session::{Membership, Open},
    },
    id::{Life, NodeId, SessionId},
    name::{NetworkName, NodeName},
    network::NetworkSpec,
    record::Lease,
    subnet::Subnet,
    txn::TtlId,
};
use uuid::Uuid;

/// One tick of the model's clock, the bound for skew, and a network's lapse time.
pub const TICK: Duration = Duration::from_secs(60);

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

/// What a machine says of its underlay address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Publish {
    /// Its own.
    Own,
    /// One that all machines believe to be theirs.
    Shared,
    /// None.
    Silent,
    /// It does not even name the network: it may join later.
    Apart,
}

/// A machine and how often it was given a new id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Machine {
    pub number: u8,
    pub generation: u8,
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

fn membership(machine: u8, begun: u16, publish: Publish) -> Option<Membership> {
    Some(Membership {
        network: network(0),
        vtep: vtep(machine, publish)?,
        life: life(begun),
    })
}

fn vtep(machine: u8, publish: Publish) -> Option<Vtep> {
    let underlay = match publish {
        Publish::Own => Some(IpAddr::from([192, 0, 2, machine + 1])),
        Publish::Shared => Some(IpAddr::from([192, 0, 2, 100])),
        Publish::Silent => None,
        Publish::Apart => return None,
    };
    Some(Vtep {
        underlay,
        mac: None,
    })
}

/// Network 0 is dual stack with two subnets in each family. Network 1 has what
/// network 0 would grow into.
pub fn spec(number: u8) -> NetworkSpec {
    let pools = match number {
        0 => vec![subnet("10.0.0.0/23"), subnet("fd00::/63")],
        _ => vec![subnet("10.0.2.0/23")],
    };
    let mut spec = NetworkSpec::new(network(number), pools);
    spec.lapse = TICK;
    spec
}

/// What a reservation may name: one family, or both with other numbers.
fn reservable(choice: u8) -> Vec<Subnet> {
    match choice {
        0 => vec![subnet("10.0.0.0/24")],
        _ => vec![subnet("10.0.1.0/24"), subnet("fd00:0:0:1::/64")],
    }
}

fn subnet(text: &str) -> Subnet {
    text.parse().expect("written here")
}

pub fn network(number: u8) -> NetworkName {
    let name = if number == 0 { "a" } else { "b" };
    name.parse().expect("written here")
}

pub fn node(name: u8) -> NodeName {
    format!("n{name}").parse().expect("a letter and a digit")
}

pub fn id(machine: Machine) -> NodeId {
    let number = 0x1000 + u128::from(machine.number) * 16 + u128::from(machine.generation);
    NodeId(Uuid::from_u128(number))
}

pub fn sid(number: u16) -> SessionId {
    SessionId(Uuid::from_u128(number.into()))
}

pub fn life(number: u16) -> Life {
    Life(Uuid::from_u128(number.into()))
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
                | Due::Withdraw(_, node),
            ) => write!(f, "{decision} {node}"),
            Self::Settle(Due::Forget(network) | Due::Erase(network)) => {
                write!(f, "{decision} {network}")
            }
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.number)?;
        if self.generation > 0 {
            write!(f, " with id {}", self.generation)?;
        }
        Ok(())
    }
}
