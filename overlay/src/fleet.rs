//! A fleet for the tests: one store in memory that judges like the real ones, and the
//! registry of a controller that has seen all of it.

mod action;
mod attach;

pub use action::{Action, action, due};
pub use attach::{endpoint_id, endpoints};

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use crate::{
    decide::{Decision, Refusal, View, lease::Vtep, network as networks},
    flight::Flight,
    id::{ControllerId, NodeId, SessionId},
    key::Key,
    name::{NetworkName, NodeName},
    network::NetworkSpec,
    registry::Registry,
    time::WallMs,
    txn::{Op, Revision, Transaction},
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

pub fn vtep(machine: u8, underlay: Option<u8>) -> Vtep {
    let address = |last| IpAddr::from([192, 0, 2, last]);
    Vtep {
        underlay: underlay.map(address),
        mac: underlay.map(|_| crate::record::Mac([2, 0, 0, 0, 0, machine])),
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
        fleet.ask(|view| networks::create(view, &spec())).unwrap();
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
