//! Every request against a model without any cleverness: lists, searched from the front.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use proptest::prelude::*;

use crate::{
    decide::decay::{self, Patience},
    fleet::{self, Action, Fleet, LAPSE, TTL, action, network, node},
    registry::Registry,
    subnet::Family,
};

#[derive(Debug, Clone)]
struct Lease {
    subnets: [u8; 2],
    agent: bool,
    gone: bool,
    expires: Option<u64>,
}

#[derive(Debug, Default)]
struct Model {
    pool: Vec<u8>,
    now: u64,
    /// Nodes that have joined.
    nodes: BTreeSet<u8>,
    sessions: BTreeSet<u8>,
    leases: BTreeMap<u8, Lease>,
    endpoints: BTreeMap<u8, BTreeSet<u8>>,
    reservations: BTreeMap<u8, [Option<u8>; 2]>,
    returned: [Vec<u8>; 2],
}

impl Model {
    fn leased(&self, family: usize, number: u8) -> Option<u8> {
        let holds = |lease: &Lease| lease.subnets[family] == number;
        let (node, _) = self.leases.iter().find(|(_, lease)| holds(lease))?;
        Some(*node)
    }

    fn reserved(&self, family: usize, number: u8) -> Option<u8> {
        let holds = |numbers: &[Option<u8>; 2]| numbers[family] == Some(number);
        let (node, _) = self
            .reservations
            .iter()
            .find(|(_, numbers)| holds(numbers))?;
        Some(*node)
    }

    fn next(&self, family: usize) -> Option<u8> {
        let returned = &self.returned[family];
        let never_used = self.pool.iter().find(|&&number| {
            self.leased(family, number).is_none()
                && self.reserved(family, number).is_none()
                && !returned.contains(&number)
        });
        never_used.or(returned.first()).copied()
    }

    /// A lease for the node: the one it has, or a new one.
    fn grant(&mut self, node: u8, agent: bool) -> bool {
        let expires = (!agent).then_some(self.now + TTL.as_millis() as u64);
        let subnets = match self.leases.get(&node) {
            Some(lease) => lease.subnets,
            None => {
                let promised = self.reservations.get(&node).copied().unwrap_or_default();
                let [Some(v4), Some(v6)] =
                    [0, 1].map(|family| promised[family].or_else(|| self.next(family)))
                else {
                    return false;
                };
                [v4, v6]
            }
        };
        for (family, number) in subnets.into_iter().enumerate() {
            self.returned[family].retain(|other| *other != number);
        }
        let gone = false;
        self.leases.insert(
            node,
            Lease {
                subnets,
                agent,
                gone,
                expires,
            },
        );
        self.nodes.insert(node);
        true
    }

    fn end(&mut self, node: u8) {
        let lease = self.leases.remove(&node).unwrap();
        self.endpoints.remove(&node);
        for (family, number) in lease.subnets.into_iter().enumerate() {
            if self.reserved(family, number).is_none() {
                self.returned[family].push(number);
            }
        }
    }

    fn reserve(&mut self, node: u8, numbers: [Option<u8>; 2]) -> bool {
        if numbers == [None, None] || self.reservations.contains_key(&node) {
            return false;
        }
        for (family, number) in numbers.into_iter().enumerate() {
            let Some(number) = number else { continue };
            let another = self
                .leases
                .get(&node)
                .is_some_and(|lease| lease.subnets[family] != number);
            let taken = self
                .leased(family, number)
                .is_some_and(|holder| holder != node);
            let promised = self.reserved(family, number).is_some();
            if !self.pool.contains(&number) || another || taken || promised {
                return false;
            }
        }
        for (family, number) in numbers.into_iter().enumerate() {
            self.returned[family].retain(|other| Some(*other) != number);
        }
        self.reservations.insert(node, numbers);
        true
    }

    fn unreserve(&mut self, node: u8) -> bool {
        let Some(numbers) = self.reservations.remove(&node) else {
            return false;
        };
        for (family, number) in numbers.into_iter().enumerate() {
            if let Some(number) = number
                && self.leased(family, number).is_none()
            {
                self.returned[family].push(number);
            }
        }
        true
    }

    /// Everything that is due, in the order of the nodes' names.
    fn decay(&mut self) {
        let nodes: Vec<u8> = self.leases.keys().copied().collect();
        for node in nodes {
            let lease = self.leases.get_mut(&node).unwrap();
            if self.sessions.contains(&node) {
                continue;
            }
            match lease.expires {
                Some(at) if self.now >= at + 60_000 => self.end(node),
                None => {
                    lease.gone = true;
                    lease.expires = Some(self.now + LAPSE.as_millis() as u64);
                }
                Some(_) => {}
            }
        }
    }

    /// Does the action succeed? Then it is done.
    fn act(&mut self, action: &Action) -> bool {
        let agent = |model: &Self, node: u8| model.leases.get(&node).map(|lease| lease.agent);
        match *action {
            Action::Acquire(node, _) => agent(self, node) != Some(true) && self.grant(node, false),
            Action::Open(node, _) => {
                let granted = self.grant(node, true);
                if granted {
                    self.sessions.insert(node);
                }
                granted
            }
            Action::Renew(node) => agent(self, node) == Some(false) && self.grant(node, false),
            Action::Release(node) => match agent(self, node) {
                Some(true) if self.sessions.contains(&node) => false,
                Some(_) => {
                    self.end(node);
                    true
                }
                None => false,
            },
            Action::Leave(node) => {
                let may = self.sessions.contains(&node) && self.leases.contains_key(&node);
                if may {
                    self.end(node);
                }
                may
            }
            Action::Close(node) => self.sessions.remove(&node),
            Action::Attach(node, ref which) => {
                let may = self.sessions.contains(&node) && self.leases.contains_key(&node);
                let now: BTreeSet<u8> = which.iter().copied().collect();
                if !may || now == self.endpoints.get(&node).cloned().unwrap_or_default() {
                    return false;
                }
                self.endpoints.insert(node, now);
                true
            }
            Action::Reserve(node, numbers) => self.reserve(node, numbers),
            Action::Unreserve(node) => self.unreserve(node),
            Action::Remove(node) => {
                let known = self.nodes.remove(&node);
                if known {
                    self.sessions.remove(&node);
                    if self.leases.contains_key(&node) {
                        self.end(node);
                    }
                }
                known
            }
            Action::Grow => {
                self.pool = if self.pool[0] == 8 {
                    (0..16).collect()
                } else {
                    (0..32).collect()
                };
                true
            }
            Action::Decay(_) | Action::Create | Action::Delete => unreachable!("not drawn"),
        }
    }

    /// Compares with what a controller knows.
    fn check(&self, registry: &Registry) {
        let space = registry.space(&network()).unwrap();
        let text = |numbers: [Option<u8>; 2]| {
            [0, 1].map(|family| Some(fleet::subnet(numbers[family]?)[family].clone()))
        };

        let leases: Vec<_> = self
            .leases
            .iter()
            .map(|(number, lease)| {
                let text = text(lease.subnets.map(Some));
                (node(*number), text, lease.agent, lease.gone, lease.expires)
            })
            .collect();
        let known: Vec<_> = space
            .leases()
            .iter()
            .map(|(node, lease)| {
                let lease = &lease.value;
                let text = [lease.v4, lease.v6].map(|subnet| Some(subnet?.to_string()));
                let agent = lease.kind == crate::record::LeaseKind::Agent;
                let expires = lease.expires_at.map(|at| at.0);
                (node.clone(), text, agent, lease.gone_at.is_some(), expires)
            })
            .collect();
        assert_eq!(known, leases, "leases");

        let reservations: Vec<_> = self
            .reservations
            .iter()
            .map(|(number, numbers)| (node(*number), text(*numbers)))
            .collect();
        let known: Vec<_> = space
            .reservations()
            .iter()
            .map(|(node, stored)| {
                let text =
                    [stored.value.v4, stored.value.v6].map(|subnet| Some(subnet?.to_string()));
                (node.clone(), text)
            })
            .collect();
        assert_eq!(known, reservations, "reservations");

        let sessions: Vec<_> = self.sessions.iter().map(|number| node(*number)).collect();
        assert_eq!(
            registry.sessions().keys().cloned().collect::<Vec<_>>(),
            sessions
        );

        let mut endpoints = BTreeSet::new();
        for (number, which) in &self.endpoints {
            let gone = self.leases[number].gone;
            let id = |which: &u8| (node(*number), fleet::endpoint_id(*which), gone);
            endpoints.extend(which.iter().map(id));
        }
        let known: BTreeSet<_> = space
            .endpoints()
            .map(|(node, id, present)| (node.clone(), id, present.lapsed))
            .collect();
        assert_eq!(known, endpoints, "endpoints");

        for (at, family) in Family::BOTH.into_iter().enumerate() {
            let claims: BTreeMap<String, _> = (0..32)
                .filter_map(|number| {
                    let (leased, reserved) = (self.leased(at, number), self.reserved(at, number));
                    let claim = (
                        node(leased.or(reserved)?),
                        leased.is_some(),
                        reserved.is_some(),
                    );
                    Some((fleet::subnet(number)[at].clone(), claim))
                })
                .collect();
            let known: BTreeMap<String, _> = space
                .claims()
                .iter()
                .filter(|(subnet, _)| subnet.family() == family)
                .map(|(subnet, claim)| {
                    let claim = &claim.value;
                    (
                        subnet.to_string(),
                        (claim.node.clone(), claim.life.is_some(), claim.reserved),
                    )
                })
                .collect();
            assert_eq!(known, claims, "claims");

            let mut returned: Vec<_> = space
                .returned()
                .iter()
                .filter(|(subnet, _)| subnet.family() == family)
                .map(|(subnet, free)| (free.revision, subnet.to_string()))
                .collect();
            returned.sort();
            let known: Vec<String> = returned.into_iter().map(|(_, subnet)| subnet).collect();
            let queue: Vec<String> = self.returned[at]
                .iter()
                .map(|number| fleet::subnet(*number)[at].clone())
                .collect();
            assert_eq!(known, queue, "the queue");

            let pool = space.pool_use(family).unwrap();
            let leased = self.leases.len() as u128;
            let reserved = claims.values().filter(|(_, leased, _)| !leased).count() as u128;
            let counts = (self.pool.len() as u128, leased, reserved);
            assert_eq!((pool.total, pool.leased, pool.reserved), counts);
            assert_eq!(pool.free(), counts.0 - counts.1 - counts.2);
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Act(Action),
    /// A controller's keys vanish: the session is gone and nobody closed it.
    Vanish(u8),
    Advance(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        12 => action(12, false).prop_map(Step::Act),
        2 => (0..12u8).prop_map(Step::Vanish),
        1 => (0..5000u64).prop_map(Step::Advance),
    ]
}

fn decay_all(fleet: &mut Fleet) {
    let flight = crate::flight::Flight::default();
    for due in fleet::due(&fleet.view(&flight)) {
        fleet
            .ask(|view| decay::settle(view, &Patience::default(), &due))
            .unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]
    #[test]
    fn does_what_the_model_does(steps in prop::collection::vec(step(), 1..90)) {
        let mut fleet = Fleet::with_network();
        let mut model = Model {
            pool: (8..16).collect(),
            now: fleet.now.0,
            ..Model::default()
        };
        for step in &steps {
            match step {
                Step::Act(Action::Decay(_)) => {
                    decay_all(&mut fleet);
                    model.decay();
                }
                Step::Act(action) => {
                    let expected = model.act(action);
                    let result = fleet.act(action);
                    prop_assert_eq!(result.is_ok(), expected, "{:?}: {:?}", action, result);
                    if let (Action::Remove(number), true) = (action, expected) {
                        for due in decay::due_of_node(&fleet.registry, &node(*number)) {
                            fleet.ask(|view| decay::settle(view, &Patience::default(), &due)).unwrap();
                        }
                    }
                }
                Step::Vanish(number) => {
                    fleet.delete(&format!("sess/{}", node(*number)));
                    model.sessions.remove(number);
                }
                Step::Advance(seconds) => {
                    fleet.advance(Duration::from_secs(*seconds));
                    model.now += seconds * 1000;
                }
            }
            model.check(&fleet.registry);
            prop_assert_eq!(&fleet.loaded(None), &fleet.registry);
            prop_assert!(fleet.registry.set_aside().is_empty());
        }
    }
}
