//! What operators, agents and controllers ask of a fleet, as values that proptest makes.

use std::time::Duration;

use proptest::{prelude::*, sample::Index};

use crate::{
    decide::{
        Refusal, View,
        decay::{self, Due, Patience, Seen},
        lease::{self, Acquire},
        network, node, reserve,
        session::{self, Membership, Open},
    },
    flight::Flight,
    id::{Life, NodeId, SessionId},
    subnet::Subnet,
    txn::{Transaction, TtlId},
};

use super::{Fleet, Machine, POOLS, TTL, network, node, spec, subnet, uuid, vtep};

#[derive(Debug, Clone)]
pub enum Action {
    Acquire(u8, Option<u8>),
    /// The node's agent says that these are attached, and no others.
    Attach(u8, Vec<u8>),
    Renew(u8),
    Release(u8),
    Open(u8, Option<u8>),
    Leave(u8),
    Close(u8),
    Reserve(u8, [Option<u8>; 2]),
    Unreserve(u8),
    Remove(u8),
    /// One of the things that are due.
    Decay(Index),
    Grow,
    Create,
    Delete,
}

impl Fleet {
    /// What a controller with this view makes of an action. `fresh` names what is new.
    pub fn decide(
        &self,
        view: &View<'_>,
        action: &Action,
        fresh: u128,
    ) -> Result<Transaction, Refusal> {
        let network = network();
        let life = Life(uuid(fresh));
        let present = |number| {
            let lease = view.registry.lease(&network, &node(number));
            lease.map_or(Life(uuid(0)), |lease| lease.value.life)
        };
        match *action {
            Action::Attach(number, ref which) => self.attach(view, number, which),
            Action::Acquire(number, underlay) => {
                let id = self.machines[&number].id;
                let ask = Acquire {
                    network,
                    node: node(number),
                    id: Some(id),
                    new_id: id,
                    vtep: vtep(number, underlay),
                    ttl: TTL,
                    life,
                };
                lease::acquire(view, &ask).map(|decision| decision.txn)
            }
            Action::Renew(number) => {
                lease::renew(view, &network, &node(number), present(number), TTL)
                    .map(|decision| decision.txn)
            }
            Action::Release(number) => {
                lease::release(view, &network, &node(number), present(number))
                    .map(|decision| decision.txn)
            }
            Action::Open(number, underlay) => {
                let machine = &self.machines[&number];
                let ask = Open {
                    node: node(number),
                    id: machine.id,
                    sid: SessionId(uuid(fresh)),
                    previous: machine.sids.clone(),
                    networks: vec![Membership {
                        network,
                        vtep: vtep(number, underlay),
                        life,
                    }],
                    certified: false,
                    ttl: TtlId(1),
                };
                session::open(view, &ask).map(|decision| decision.txn)
            }
            Action::Leave(number) => {
                let sid = self.sid(number);
                session::leave(view, &node(number), sid, &network).map(|decision| decision.txn)
            }
            Action::Close(number) => {
                let sid = self.sid(number);
                session::close(view, &node(number), sid).map(|decision| decision.txn)
            }
            Action::Reserve(number, numbers) => {
                let subnets = subnets(numbers);
                reserve::reserve(view, &network, &node(number), &subnets)
                    .map(|decision| decision.txn)
            }
            Action::Unreserve(number) => {
                reserve::unreserve(view, &network, &node(number)).map(|decision| decision.txn)
            }
            Action::Remove(number) => {
                node::remove(view, &node(number)).map(|decision| decision.txn)
            }
            Action::Decay(which) => {
                let due = due(view);
                if due.is_empty() {
                    return Err(Refusal::NothingToDo);
                }
                decay::settle(view, &Patience::default(), &due[which.index(due.len())])
                    .map(|decision| decision.txn)
            }
            Action::Grow => {
                let pools = POOLS[(self.grown + 1).min(2)].map(|pool| pool.parse().unwrap());
                network::grow(view, &network, &pools).map(|decision| decision.txn)
            }
            Action::Create => network::create(view, &spec()).map(|decision| decision.txn),
            Action::Delete => network::delete(view, &network, true).map(|decision| decision.txn),
        }
    }

    /// The action was committed: what the machines and the operator learn.
    pub fn done(&mut self, action: &Action, fresh: u128) {
        match *action {
            Action::Open(number, _) => {
                self.known(number).sids.push(SessionId(uuid(fresh)));
            }
            Action::Remove(number) => self.known(number).id = NodeId(uuid(fresh)),
            Action::Grow => self.grown = (self.grown + 1).min(2),
            Action::Create => self.grown = 0,
            Action::Acquire(..)
            | Action::Attach(..)
            | Action::Renew(_)
            | Action::Release(_)
            | Action::Leave(_)
            | Action::Close(_)
            | Action::Reserve(..)
            | Action::Unreserve(_)
            | Action::Decay(_)
            | Action::Delete => {}
        }
    }

    /// Decides an action on the present state and commits it.
    pub fn act(&mut self, action: &Action) -> Result<Transaction, Refusal> {
        let fresh = self.make();
        let txn = self.decide(&self.view(&Flight::default()), action, fresh)?;
        assert!(self.commit(&txn), "{txn:?}");
        self.done(action, fresh);
        Ok(txn)
    }

    fn known(&mut self, number: u8) -> &mut Machine {
        self.machines.get_mut(&number).unwrap()
    }

    /// The session that the machine believes to have.
    pub(super) fn sid(&self, number: u8) -> SessionId {
        let last = self.machines[&number].sids.last().copied();
        last.unwrap_or(SessionId(uuid(0)))
    }
}

/// What is due where the controller has been watching for long.
pub fn due(view: &View<'_>) -> Vec<Due> {
    let long = Duration::from_secs(24 * 3600);
    let mut seen = Seen::default();
    for (name, space) in view.registry.spaces() {
        for (node, lease) in space.leases() {
            let key = (name.clone(), node.clone());
            seen.unchanged.insert(key, (lease.revision, long));
            seen.absent.insert(node.clone(), long);
        }
    }
    decay::due(view, &seen, &Patience::default(), |_| 0.0)
}

fn subnets(numbers: [Option<u8>; 2]) -> Vec<Subnet> {
    let text = |family: usize| Some(subnet(numbers[family]?)[family].parse().unwrap());
    [text(0), text(1)].into_iter().flatten().collect()
}

/// Any request, by one of `nodes` nodes; underlay addresses only where they are wanted.
pub fn action(nodes: u8, underlays: bool) -> impl Strategy<Value = Action> {
    let node = move || 0..nodes;
    let number = || prop::option::weighted(0.8, 0..32u8);
    let underlay =
        move || prop::option::of(1..nodes).prop_map(move |last| last.filter(|_| underlays));
    prop_oneof![
        6 => (node(), underlay()).prop_map(|(node, underlay)| Action::Acquire(node, underlay)),
        6 => (node(), underlay()).prop_map(|(node, underlay)| Action::Open(node, underlay)),
        2 => node().prop_map(Action::Renew),
        4 => node().prop_map(Action::Release),
        2 => node().prop_map(Action::Leave),
        2 => node().prop_map(Action::Close),
        4 => (node(), number(), number()).prop_map(|(node, v4, v6)| Action::Reserve(node, [v4, v6])),
        2 => node().prop_map(Action::Unreserve),
        1 => node().prop_map(Action::Remove),
        6 => (node(), prop::collection::vec(0..4u8, 0..4)).prop_map(|(node, which)| Action::Attach(node, which)),
        6 => any::<Index>().prop_map(Action::Decay),
        1 => Just(Action::Grow),
    ]
}
