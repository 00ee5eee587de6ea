//! A fleet for the tests: one store in memory that judges like the real ones, and
//! what operators, agents and controllers ask of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use proptest::{prelude::*, sample::Index};

use crate::{
    decide::{
        Decision, Refusal, View,
        decay::{self, Due, Patience, Seen},
        lease::{self, Acquire, Vtep},
        network, node, reserve,
        session::{self, Membership, Open},
    },
    flight::Flight,
    id::{ControllerId, Life, NodeId, SessionId},
    key::Key,
    name::{NetworkName, NodeName},
    network::NetworkSpec,
    registry::Registry,
    subnet::Subnet,
    time::WallMs,
    txn::{Op, Revision, Transaction, TtlId},
};

pub const TTL: Duration = Duration::from_secs(600);
pub const LAPSE: Duration = Duration::from_secs(3600);

/// What the pools of network `n` are at first, and how they grow: by subnets below
/// today's, then above. Subnet `i` is the same in all of them.
const POOLS: [[&str; 2]; 3] = [
    ["10.99.0.32/27", "fd99::80/121"],
    ["10.99.0.0/26", "fd99::/120"],
    ["10.99.0.0/25", "fd99::/119"],
];

/// The changes of one transaction.
pub type Change = Vec<(String, Option<Vec<u8>>)>;

#[derive(Debug, Clone)]
pub struct Fleet {
    pub entries: BTreeMap<String, (Vec<u8>, Revision)>,
    pub revision: Revision,
    pub history: Vec<(Revision, Change)>,
    /// The registry of a controller that has seen every change.
    pub registry: Registry,
    pub now: WallMs,
    pub machines: BTreeMap<u8, Machine>,
    pub grown: usize,
    made: u128,
}

/// What a machine knows of itself.
#[derive(Debug, Clone)]
pub struct Machine {
    pub id: NodeId,
    pub sids: Vec<SessionId>,
}

#[derive(Debug, Clone)]
pub enum Action {
    Acquire(u8, Option<u8>),
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

pub fn network() -> NetworkName {
    "n".parse().unwrap()
}

pub fn node(number: u8) -> NodeName {
    format!("node-{number:02}").parse().unwrap()
}

pub fn uuid(number: u128) -> uuid::Uuid {
    uuid::Uuid::from_u128(number)
}

fn machine(number: u8) -> (u8, Machine) {
    let id = NodeId(uuid(0xf00d_0000 + u128::from(number)));
    let sids = Vec::new();
    (number, Machine { id, sids })
}

/// The text of subnet `i` in both families.
pub fn subnet(number: u8) -> [String; 2] {
    let number = u32::from(number);
    [
        format!("10.99.0.{}/30", 4 * number),
        match 16 * number {
            0 => "fd99::/124".into(),
            address => format!("fd99::{address:x}/124"),
        },
    ]
}

pub fn spec() -> NetworkSpec {
    let pools = POOLS[0].map(|pool| pool.parse().unwrap());
    NetworkSpec {
        len4: Some(30),
        len6: Some(124),
        lapse: LAPSE,
        ..NetworkSpec::new(network(), pools.into())
    }
}

pub fn vtep(underlay: Option<u8>) -> Vtep {
    let address = |last| IpAddr::from([192, 0, 2, last]);
    Vtep {
        underlay: underlay.map(address),
        mac: underlay.map(|last| crate::record::Mac([2, 0, 0, 0, 0, last])),
    }
}

impl Fleet {
    pub fn new() -> Self {
        Self {
            entries: BTreeMap::new(),
            revision: 0,
            history: Vec::new(),
            registry: Registry::default(),
            now: WallMs(1_000_000_000),
            machines: (0..16).map(machine).collect(),
            grown: 0,
            made: 0,
        }
    }

    /// A fleet with network `n`: eight subnets in each family.
    pub fn with_network() -> Self {
        let mut fleet = Self::new();
        fleet.ask(|view| network::create(view, &spec())).unwrap();
        fleet
    }

    pub fn advance(&mut self, time: Duration) {
        self.now = self.now.after(time);
    }

    /// A number that was not there before.
    pub fn make(&mut self) -> u128 {
        self.made += 1;
        self.made
    }

    pub fn view<'a>(&'a self, flight: &'a Flight) -> View<'a> {
        View {
            registry: &self.registry,
            flight,
            ctl: ControllerId(uuid(0xc0)),
            now: self.now,
            spread: 0,
        }
    }

    /// Decides on the present state and commits, which cannot fail.
    pub fn ask<T>(
        &mut self,
        decide: impl FnOnce(&View<'_>) -> Result<Decision<T>, Refusal>,
    ) -> Result<T, Refusal> {
        let decision = decide(&self.view(&Flight::default()))?;
        assert!(self.commit(&decision.txn), "{:?}", decision.txn);
        Ok(decision.answer)
    }

    /// Judges a transaction as a store does. False: one of its comparisons fails.
    pub fn commit(&mut self, txn: &Transaction) -> bool {
        let keys: BTreeSet<&Key> = txn.ops.iter().map(Op::key).collect();
        assert_eq!(keys.len(), txn.ops.len(), "a key is written twice: {txn:?}");
        assert!(!txn.ops.is_empty() && !txn.compares.is_empty(), "{txn:?}");
        let revision_of = |key: &Key| {
            self.entries
                .get(&key.to_string())
                .map_or(0, |entry| entry.1)
        };
        let holds = |compare: &crate::txn::Compare| revision_of(&compare.key) == compare.revision;
        if !txn.compares.iter().all(holds) {
            return false;
        }
        let change = txn.ops.iter().map(|op| match op {
            Op::Put { key, value, .. } => (key.to_string(), Some(value.clone())),
            Op::Delete { key } => (key.to_string(), None),
        });
        self.write(change.collect());
        true
    }

    /// Writes without asking, as a hand on etcdctl does.
    pub fn write(&mut self, change: Change) -> crate::registry::Changes {
        self.revision += 1;
        for (key, value) in &change {
            match value {
                Some(value) => {
                    let entry = (value.clone(), self.revision);
                    self.entries.insert(key.clone(), entry);
                }
                None => {
                    self.entries.remove(key);
                }
            }
        }
        let told = apply(&mut self.registry, self.revision, &change);
        self.history.push((self.revision, change));
        told
    }

    pub fn put(&mut self, key: &str, value: &str) -> crate::registry::Changes {
        self.write(vec![(key.into(), Some(value.into()))])
    }

    pub fn delete(&mut self, key: &str) -> crate::registry::Changes {
        self.write(vec![(key.into(), None)])
    }

    /// The registry of a controller that starts now.
    pub fn loaded(&self, known: Option<&Registry>) -> Registry {
        let entries = self.entries.iter().rev();
        let entries = entries.map(|(key, (value, at))| (key.as_str(), value.as_slice(), *at));
        Registry::load(self.revision, entries, known)
    }

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
            Action::Acquire(number, underlay) => {
                let id = self.machines[&number].id;
                let ask = Acquire {
                    network,
                    node: node(number),
                    id: Some(id),
                    new_id: id,
                    vtep: vtep(underlay),
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
                        vtep: vtep(underlay),
                        life,
                    }],
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
    fn sid(&self, number: u8) -> SessionId {
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

pub fn apply(
    registry: &mut Registry,
    revision: Revision,
    change: &Change,
) -> crate::registry::Changes {
    let change = change.iter();
    registry.apply(
        revision,
        change.map(|(key, value)| (key.as_str(), value.as_deref())),
    )
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
        6 => any::<Index>().prop_map(Action::Decay),
        1 => Just(Action::Grow),
    ]
}
