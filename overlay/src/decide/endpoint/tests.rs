mod ends;

use crate::{
    decide::{
        Decision, Refusal,
        decay::{self, Due, Patience},
        session,
    },
    fleet::{self, Action, Fleet, network, node},
    flight::Flight,
    network::NetworkSpec,
    txn::Op,
};

use super::*;

/// A fleet whose node 1 has a session, in a network with room for many endpoints.
fn fleet() -> Fleet {
    let mut fleet = Fleet::new();
    let pools = vec!["10.64.0.0/12".parse().unwrap()];
    let spec = NetworkSpec {
        len4: Some(16),
        lapse: fleet::LAPSE,
        ..NetworkSpec::new(network(), pools)
    };
    fleet
        .ask(|view| crate::decide::network::create(view, &spec))
        .unwrap();
    fleet.act(&Action::Open(1, None)).unwrap();
    fleet
}

fn lease(fleet: &Fleet) -> Lease {
    let lease = fleet.registry.lease(&network(), &node(1)).unwrap();
    lease.value.clone()
}

fn teller(fleet: &Fleet) -> Teller {
    let flight = Flight::default();
    fleet.teller(&fleet.view(&flight), 1).unwrap()
}

/// So many endpoints of node 1.
fn many(fleet: &Fleet, count: usize) -> BTreeMap<EndpointId, Arc<Public>> {
    let model = fleet::endpoints(&lease(fleet), &[1]);
    let model = model.values().next().unwrap();
    let one = |number: usize| {
        let key = format!("many/{number}").parse().unwrap();
        let id = EndpointId::of(&network(), &key);
        let public = Public {
            key,
            ..Public::clone(model)
        };
        (id, Arc::new(public))
    };
    (0..count).map(one).collect()
}

fn changes(set: BTreeMap<EndpointId, Arc<Public>>, gone: &[EndpointId]) -> News {
    News {
        set,
        gone: gone.iter().copied().collect(),
        extent: Extent::Changes,
    }
}

fn whole(set: BTreeMap<EndpointId, Arc<Public>>) -> News {
    News {
        extent: Extent::Whole(set.keys().copied().collect()),
        gone: BTreeSet::new(),
        set,
    }
}

/// As a session does it: all parts, each a transaction.
fn tell(fleet: &mut Fleet, news: &News) -> Result<Plan, Refusal> {
    let teller = teller(fleet);
    let plan = plan(&fleet.view(&Flight::default()), &teller, news)?;
    for part in &plan.parts {
        fleet.ask(|view| keep(view, &teller, part))?;
    }
    Ok(plan)
}

fn kept(fleet: &Fleet) -> BTreeMap<EndpointId, Arc<Endpoint>> {
    let space = fleet.registry.space(&network()).unwrap();
    let all = space.endpoints_of(&node(1));
    all.map(|(id, present)| (id, present.endpoint.value))
        .collect()
}

fn swept(fleet: &mut Fleet) -> usize {
    let mut rounds = 0;
    loop {
        let due = {
            let flight = Flight::default();
            fleet::due(&fleet.view(&flight))
        };
        let Some(due) = due.into_iter().find(|due| matches!(due, Due::Sweep(..))) else {
            return rounds;
        };
        fleet
            .ask(|view| decay::settle(view, &Patience::default(), &due))
            .unwrap();
        rounds += 1;
    }
}

#[test]
fn what_is_told_is_kept() {
    let mut fleet = fleet();
    let set = many(&fleet, 3);
    tell(&mut fleet, &whole(set.clone())).unwrap();
    let life = lease(&fleet).life;
    let known = kept(&fleet);
    assert_eq!(known.len(), 3);
    for (id, endpoint) in known {
        assert_eq!(endpoint.life, life);
        assert_eq!(endpoint.public, *set[&id]);
    }
    let ids: Vec<EndpointId> = set.keys().copied().collect();
    let mut changed = Public::clone(&set[&ids[0]]);
    changed.who.name = Some("another".into());
    let news = changes([(ids[0], Arc::new(changed))].into(), &ids[1..2]);
    tell(&mut fleet, &news).unwrap();
    let known = kept(&fleet);
    assert_eq!(known[&ids[0]].public.who.name.as_deref(), Some("another"));
    assert!(!known.contains_key(&ids[1]) && known.contains_key(&ids[2]));
}

#[test]
fn what_is_kept_already_is_not_written() {
    let mut fleet = fleet();
    let set = many(&fleet, 60);
    tell(&mut fleet, &whole(set.clone())).unwrap();
    let revision = fleet.revision;
    let plan = tell(&mut fleet, &whole(set)).unwrap();
    assert_eq!(plan, Plan::default());
    let plan = tell(
        &mut fleet,
        &changes(BTreeMap::new(), &[fleet::endpoint_id(9)]),
    )
    .unwrap();
    assert_eq!(plan, Plan::default());
    assert_eq!(fleet.revision, revision);
}

#[test]
fn many_are_many_transactions_and_none_is_too_large() {
    let mut fleet = fleet();
    let set = many(&fleet, MOST);
    let plan = tell(&mut fleet, &whole(set)).unwrap();
    assert_eq!(plan.parts.len(), MOST.div_ceil(AT_ONCE));
    assert_eq!(kept(&fleet).len(), MOST);
    let plan = tell(&mut fleet, &whole(BTreeMap::new())).unwrap();
    assert_eq!(plan.parts.len(), MOST.div_ceil(AT_ONCE));
    assert!(kept(&fleet).is_empty());

    let mut large = many(&fleet, 5);
    for public in large.values_mut() {
        let mut who = public.who.clone();
        who.labels = (0..64)
            .map(|n| (format!("{n}"), "x".repeat(1024)))
            .collect();
        let public = Arc::make_mut(public);
        public.who = who;
    }
    let plan = tell(&mut fleet, &whole(large)).unwrap();
    let sizes: Vec<usize> = plan.parts.iter().map(|part| part.set.len()).collect();
    assert_eq!(sizes, [3, 2]);
}

#[test]
fn a_node_has_so_many_and_no_more() {
    let mut fleet = fleet();
    let mut set = many(&fleet, MOST + 1);
    let too_many = Err(Refusal::TooManyEndpoints {
        network: network(),
        node: node(1),
        most: MOST,
    });
    assert_eq!(tell(&mut fleet, &whole(set.clone())), too_many);
    let (last, public) = set.pop_last().unwrap();
    tell(&mut fleet, &whole(set.clone())).unwrap();
    let one_more = changes([(last, public.clone())].into(), &[]);
    assert_eq!(tell(&mut fleet, &one_more), too_many);
    let first = *set.keys().next().unwrap();
    let instead = changes([(last, public)].into(), &[first]);
    tell(&mut fleet, &instead).unwrap();
    assert_eq!(kept(&fleet).len(), MOST);
}

#[test]
fn what_a_node_calls_its_endpoints_is_bounded_in_all() {
    let mut fleet = fleet();
    let large = |public: &Arc<Public>| {
        let mut public = Public::clone(public);
        let label = |number: usize| (format!("label-{number}"), "x".repeat(1000));
        public.who.labels = (0..64).map(label).collect();
        Arc::new(public)
    };
    let set = many(&fleet, 300);
    let set: BTreeMap<_, _> = set.iter().map(|(id, one)| (*id, large(one))).collect();
    let refused = tell(&mut fleet, &whole(set.clone())).unwrap_err();
    assert!(
        matches!(refused, Refusal::EndpointsTooLarge { .. }),
        "{refused}"
    );
    let few: BTreeMap<_, _> = set.clone().into_iter().take(100).collect();
    tell(&mut fleet, &whole(few)).unwrap();
    // What is kept counts as well, and what is told again counts once.
    let again: BTreeMap<_, _> = set.clone().into_iter().take(120).collect();
    tell(&mut fleet, &changes(again, &[])).unwrap();
    let more: BTreeMap<_, _> = set.into_iter().skip(120).take(20).collect();
    let refused = tell(&mut fleet, &changes(more, &[])).unwrap_err();
    assert!(
        matches!(refused, Refusal::EndpointsTooLarge { .. }),
        "{refused}"
    );
}

#[test]
fn an_address_of_another_node_is_not_kept() {
    let mut fleet = fleet();
    let mut set = many(&fleet, 2);
    tell(&mut fleet, &whole(set.clone())).unwrap();
    let (id, public) = set.iter_mut().next().unwrap();
    let id = *id;
    Arc::make_mut(public).addresses = vec!["10.80.0.1".parse().unwrap()];
    let plan = tell(&mut fleet, &whole(set)).unwrap();
    let why = "10.80.0.1 is not in a subnet of its node";
    assert_eq!(plan.refused, [(id, why.into())].into());
    assert_eq!(kept(&fleet).len(), 1);
}

#[test]
fn only_the_nodes_session_under_this_lease() {
    let mut fleet = fleet();
    let set = whole(many(&fleet, 1));
    let old = teller(&fleet);
    let part = Part {
        set: set.set,
        gone: BTreeSet::new(),
    };
    let ask = |fleet: &mut Fleet, teller: &Teller| fleet.ask(|view| keep(view, teller, &part));
    fleet.act(&Action::Leave(1)).unwrap();
    let no_lease = ask(&mut fleet, &old).unwrap_err();
    assert!(matches!(no_lease, Refusal::NoLease { .. }), "{no_lease:?}");

    fleet.act(&Action::Open(1, None)).unwrap();
    let over = ask(&mut fleet, &old).unwrap_err();
    assert!(matches!(over, Refusal::SessionOver { .. }), "{over:?}");
    let late = Teller {
        sid: teller(&fleet).sid,
        ..old
    };
    let other = ask(&mut fleet, &late).unwrap_err();
    assert!(matches!(other, Refusal::OtherLife { .. }), "{other:?}");
}

/// The transaction that was decided before `between` must not hold after it.
fn loses(fleet: &mut Fleet, decided: &Decision<()>, between: &Action) {
    fleet.act(between).unwrap();
    assert!(!fleet.commit(&decided.txn), "{between:?}");
}

#[test]
fn a_late_word_loses() {
    for between in [Action::Leave(1), Action::Close(1), Action::Open(1, None)] {
        let mut fleet = fleet();
        let (teller, set) = (teller(&fleet), many(&fleet, 1));
        let gone = BTreeSet::new();
        let part = Part { set, gone };
        let late = keep(&fleet.view(&Flight::default()), &teller, &part).unwrap();
        loses(&mut fleet, &late, &between);
        assert!(kept(&fleet).is_empty());
    }
}

#[test]
fn after_a_fence_nothing_from_before_it_is_done() {
    let mut fleet = fleet();
    let (teller, set) = (teller(&fleet), many(&fleet, 1));
    let gone = BTreeSet::new();
    let part = Part { set, gone };
    let late = keep(&fleet.view(&Flight::default()), &teller, &part).unwrap();
    let before = lease(&fleet);
    fleet.ask(|view| fence(view, &teller)).unwrap();
    assert!(!fleet.commit(&late.txn));
    assert_eq!(lease(&fleet), before);
    fleet.ask(|view| keep(view, &teller, &part)).unwrap();
    assert_eq!(kept(&fleet).len(), 1);
}

#[test]
fn one_that_cannot_be_read_is_written_anew_by_its_node() {
    let mut fleet = fleet();
    let set = many(&fleet, 2);
    tell(&mut fleet, &whole(set.clone())).unwrap();
    let id = &set.first_key_value().unwrap().0.clone();
    let key = Key::Endpoint(network(), node(1), *id);
    let told = fleet.put(&key.to_string(), "{");
    assert!(told.endpoints.is_empty());
    assert_eq!(kept(&fleet).len(), 2, "the older reading stays");
    let fresh = fleet.loaded(None);
    assert_eq!(fresh.space(&network()).unwrap().endpoints().count(), 1);

    let plan = tell(&mut fleet, &whole(set)).unwrap();
    let written: Vec<&EndpointId> = plan.parts[0].set.keys().collect();
    assert_eq!(written, [id]);
    assert!(fleet.registry.set_aside().is_empty());

    // What is too much is as bad as what is no JSON.
    let space = fleet.registry.space(&network()).unwrap();
    let good = space.attached().get(&node(1), *id).unwrap();
    let mut record = Endpoint::clone(&good.value);
    record.public.addresses.clear();
    let bytes = String::from_utf8(record::encode(&record)).unwrap();
    fleet.put(&key.to_string(), &bytes);
    let reason = &fleet.registry.set_aside()[&key.to_string()].reason;
    assert!(
        reason.starts_with("an endpoint has one address"),
        "{reason}"
    );
    // And the node may go all the same.
    fleet.act(&Action::Leave(1)).unwrap();
    assert!(fleet.registry.set_aside().is_empty());
}

#[test]
fn a_session_that_is_over_says_nothing() {
    let mut fleet = fleet();
    let set = whole(many(&fleet, 1));
    let teller = teller(&fleet);
    fleet
        .ask(|view| session::close(view, &node(1), teller.sid))
        .unwrap();
    let refused = plan(&fleet.view(&Flight::default()), &teller, &set);
    assert_eq!(refused, Err(Refusal::SessionOver { node: node(1) }));
}

#[test]
fn each_key_is_written_once() {
    let mut fleet = fleet();
    let set = many(&fleet, 1);
    let id = *set.keys().next().unwrap();
    tell(&mut fleet, &whole(set.clone())).unwrap();
    let mut other = set;
    Arc::make_mut(other.get_mut(&id).unwrap()).since = crate::time::WallMs(9);
    // Said to be gone and there at once: it is there.
    let plan = plan(
        &fleet.view(&Flight::default()),
        &teller(&fleet),
        &changes(other, &[id]),
    );
    let teller = teller(&fleet);
    for part in plan.unwrap().parts {
        let decided = keep(&fleet.view(&Flight::default()), &teller, &part).unwrap();
        let keys: BTreeSet<&Key> = decided.txn.ops.iter().map(Op::key).collect();
        assert_eq!(keys.len(), decided.txn.ops.len());
        assert!(fleet.commit(&decided.txn));
    }
    assert_eq!(kept(&fleet).len(), 1);
}
