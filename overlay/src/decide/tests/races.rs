//! Two controllers, each behind the store in its own way, with transactions that
//! land late. Whatever they decide, the store must never hold what cannot be.

use std::{
    collections::{BTreeMap, BTreeSet},
    str::FromStr,
};

use ipnetwork::IpNetwork;
use proptest::{prelude::*, sample::Index};
use serde::de::DeserializeOwned;

use crate::{
    decide::View,
    fleet::{self, Action, Fleet, action},
    flight::Flight,
    id::{ControllerId, Life},
    name::NodeName,
    network::Network,
    record::{self, Claim, Lease, Reservation, Session, Underlay},
    registry::Registry,
    time::WallMs,
    txn::{Revision, Transaction},
};

struct Controller {
    registry: Registry,
    /// How much of the history it has seen.
    seen: usize,
    flight: Flight,
    clock_ahead: u64,
    ctl: ControllerId,
    under_way: Vec<(Transaction, Action, u128)>,
}

#[derive(Debug, Clone)]
enum Step {
    Ask {
        by: usize,
        action: Action,
        spread: u8,
    },
    /// A transaction that is under way reaches the store.
    Land {
        by: usize,
        which: Index,
    },
    /// A controller sees some of what it has not seen yet.
    Watch {
        by: usize,
        most: usize,
    },
    /// A controller reads everything anew.
    Reload {
        by: usize,
    },
    Vanish(u8),
    Advance(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let by = || 0..2usize;
    let action = prop_oneof![
        30 => action(6, true),
        1 => Just(Action::Create),
        1 => Just(Action::Delete),
    ];
    prop_oneof![
        8 => (by(), action, 0..12u8).prop_map(|(by, action, spread)| Step::Ask { by, action, spread }),
        8 => (by(), any::<Index>()).prop_map(|(by, which)| Step::Land { by, which }),
        6 => (by(), 1..6usize).prop_map(|(by, most)| Step::Watch { by, most }),
        1 => by().prop_map(|by| Step::Reload { by }),
        1 => (0..6u8).prop_map(Step::Vanish),
        2 => (0..3000u64).prop_map(Step::Advance),
    ]
}

/// What the store holds, read by hand.
struct Held {
    network: Option<Network>,
    leases: BTreeMap<String, Lease>,
    claims: BTreeMap<String, Claim>,
    free: BTreeSet<String>,
    reservations: BTreeMap<String, Reservation>,
    underlays: BTreeMap<String, Underlay>,
    sessions: BTreeMap<String, Session>,
    nodes: BTreeMap<String, record::Node>,
    removed: BTreeSet<String>,
}

fn read_all<T: DeserializeOwned>(
    entries: &BTreeMap<String, (Vec<u8>, Revision)>,
    prefix: &str,
) -> BTreeMap<String, T> {
    let below = entries.iter().filter_map(|(key, (value, _))| {
        let rest = key.strip_prefix(prefix)?;
        Some((rest.to_string(), record::read(value).unwrap()))
    });
    below.collect()
}

impl Held {
    fn of(entries: &BTreeMap<String, (Vec<u8>, Revision)>) -> Self {
        let names = |prefix| {
            entries
                .keys()
                .filter_map(move |key| key.strip_prefix(prefix))
        };
        let families = |prefix: &'static str| {
            names(prefix)
                .map(|rest| rest[2..].replace('-', "/"))
                .collect()
        };
        let claims: BTreeMap<String, Claim> = read_all(entries, "claim/n/");
        Self {
            network: read_all(entries, "net/").remove("n"),
            leases: read_all(entries, "lease/n/"),
            claims: claims
                .into_iter()
                .map(|(key, claim)| (key[2..].replace('-', "/"), claim))
                .collect(),
            free: families("free/n/"),
            reservations: read_all(entries, "resv/n/"),
            underlays: read_all(entries, "under/n/"),
            sessions: read_all(entries, "sess/"),
            nodes: read_all(entries, "node/"),
            removed: names("removed/").map(Into::into).collect(),
        }
    }

    fn check(&self) {
        let mut blocks: Vec<(IpNetwork, &String)> = Vec::new();
        for (node, lease) in &self.leases {
            let network = self.network.as_ref().expect("a lease is of a network");
            for (subnet, pool, len) in [
                (lease.v4, network.pool4, network.len4),
                (lease.v6, network.pool6, network.len6),
            ] {
                let (subnet, pool) = (subnet.unwrap().to_string(), pool.unwrap().to_string());
                let block = IpNetwork::from_str(&subnet).unwrap();
                let pool = IpNetwork::from_str(&pool).unwrap();
                assert_eq!(block.prefix(), len, "{node} holds {block}");
                assert!(
                    pool.contains(block.network()) && pool.contains(block.ip()),
                    "{node} holds {block}"
                );
                for (other, holder) in &blocks {
                    let apart =
                        !other.contains(block.network()) && !block.contains(other.network());
                    assert!(apart, "{block} of {node} overlaps {other} of {holder}");
                }
                blocks.push((block, node));

                let claim = self.claims.get(&subnet).expect("a lease has its claims");
                assert_eq!(
                    (claim.node.as_str(), claim.life),
                    (node.as_str(), Some(lease.life))
                );
            }
            if let Some(address) = lease.underlay {
                let underlay = self
                    .underlays
                    .get(&address.to_string())
                    .expect("a claim on the address");
                assert_eq!(underlay.node.as_str(), node, "{address}");
            }
        }
        self.check_claims();
        for (node, session) in &self.sessions {
            let record = self.nodes.get(node).expect("a session is of a node");
            assert_eq!(session.node_id, record.id);
        }
        for (node, record) in &self.nodes {
            assert!(
                !self.removed.contains(&record.id.to_string()),
                "{node} is back"
            );
        }
        for (address, underlay) in &self.underlays {
            let lease = self
                .leases
                .get(underlay.node.as_str())
                .expect("an address is of a lease");
            assert_eq!(
                lease.underlay.map(|at| at.to_string()).as_ref(),
                Some(address)
            );
        }
    }

    fn check_claims(&self) {
        for (subnet, claim) in &self.claims {
            assert!(!self.free.contains(subnet), "{subnet} is claimed and free");
            let node = claim.node.as_str();
            let leased = self
                .leases
                .get(node)
                .is_some_and(|lease| Some(lease.life) == claim.life);
            let reserved = self.reservations.get(node).is_some_and(|reservation| {
                let mut subnets = reservation.subnets();
                subnets.any(|reserved| reserved.to_string() == *subnet)
            });
            assert_eq!(claim.life.is_some(), leased, "{subnet}: {claim:?}");
            assert_eq!(claim.reserved, reserved, "{subnet}: {claim:?}");
            assert!(leased || reserved, "{subnet} leaked");
        }
        for (node, reservation) in &self.reservations {
            for subnet in reservation.subnets() {
                let claim = self
                    .claims
                    .get(&subnet.to_string())
                    .expect("a promise has its claim");
                assert_eq!(claim.node.as_str(), node, "{subnet}");
                if let Some(lease) = self.leases.get(node) {
                    let held = lease.subnet(subnet.family());
                    assert_eq!(held, Some(subnet), "{node} has what it was promised");
                }
            }
        }
    }
}

/// A life has one node and keeps its subnets; a lease in place keeps its life.
#[derive(Default)]
struct Lives {
    subnets: BTreeMap<Life, (String, Lease)>,
    present: BTreeMap<String, Life>,
}

impl Lives {
    fn check(&mut self, held: &Held) {
        for (node, lease) in &held.leases {
            let (first, known) = self
                .subnets
                .entry(lease.life)
                .or_insert_with(|| (node.clone(), lease.clone()));
            assert_eq!((&*first, known.node_id), (node, lease.node_id));
            assert_eq!((known.v4, known.v6), (lease.v4, lease.v6), "{node}");
            if let Some(life) = self.present.get(node) {
                assert_eq!(*life, lease.life, "{node} lost its lease in place");
            }
        }
        self.present = held
            .leases
            .iter()
            .map(|(node, lease)| (node.clone(), lease.life))
            .collect();
    }
}

/// A life that has ended stays ended.
#[derive(Default)]
struct Ended(BTreeSet<(NodeName, Life)>);

fn run(steps: &[Step]) {
    let mut fleet = Fleet::with_network();
    let mut controllers = [0, 1].map(|at| Controller {
        registry: fleet.registry.clone(),
        seen: fleet.history.len(),
        flight: Flight::default(),
        clock_ahead: 30_000 * at,
        ctl: ControllerId(fleet::uuid(0xc0 + u128::from(at))),
        under_way: Vec::new(),
    });
    let mut lives = Lives::default();
    let mut ended = Ended::default();
    for step in steps {
        match step {
            Step::Ask { by, action, spread } => {
                ask(&mut fleet, &mut controllers[*by], action, *spread);
            }
            Step::Land { by, which } => land(&mut fleet, &mut controllers[*by], which),
            Step::Watch { by, most } => {
                let Controller { registry, seen, .. } = &mut controllers[*by];
                for (revision, change) in fleet.history[*seen..].iter().take(*most) {
                    fleet::apply(registry, *revision, change);
                    *seen += 1;
                }
            }
            Step::Reload { by } => {
                controllers[*by].registry = fleet.loaded(Some(&controllers[*by].registry));
                controllers[*by].seen = fleet.history.len();
            }
            Step::Vanish(number) => {
                fleet.delete(&format!("sess/{}", fleet::node(*number)));
            }
            Step::Advance(seconds) => fleet.advance(std::time::Duration::from_secs(*seconds)),
        }
        let held = Held::of(&fleet.entries);
        held.check();
        let before = lives.present.clone();
        lives.check(&held);
        for (node, life) in before {
            let node: NodeName = node.parse().unwrap();
            if held.leases.get(node.as_str()).map(|lease| lease.life) != Some(life) {
                ended.0.insert((node, life));
            }
        }
        for (node, lease) in &held.leases {
            assert!(
                !ended.0.contains(&(node.parse().unwrap(), lease.life)),
                "{node} was resurrected"
            );
        }
    }
    assert_eq!(fleet.loaded(None), fleet.registry);
}

fn ask(fleet: &mut Fleet, controller: &mut Controller, action: &Action, spread: u8) {
    let fresh = fleet.make();
    let view = View {
        registry: &controller.registry,
        flight: &controller.flight,
        ctl: controller.ctl,
        now: WallMs(fleet.now.0 + controller.clock_ahead),
        spread: spread.into(),
    };
    let Ok(txn) = fleet.decide(&view, action, fresh) else {
        return;
    };
    if controller.flight.admits(&txn) {
        controller.flight.enter(&txn);
        controller.under_way.push((txn, action.clone(), fresh));
    }
}

fn land(fleet: &mut Fleet, controller: &mut Controller, which: &Index) {
    if controller.under_way.is_empty() {
        return;
    }
    let which = which.index(controller.under_way.len());
    let (txn, action, fresh) = controller.under_way.remove(which);
    controller.flight.leave(&txn);
    if fleet.commit(&txn) {
        fleet.done(&action, fresh);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn the_store_never_holds_what_cannot_be(steps in prop::collection::vec(step(), 1..160)) {
        run(&steps);
    }
}
