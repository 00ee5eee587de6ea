//! What ends by itself, and when.

use std::{slice::from_ref, time::Duration};

use crate::{
    decide::{
        Refusal,
        decay::{self, Due, Patience, SKEW_BOUND, Seen},
        network as networks,
    },
    fleet::{Action, Fleet, LAPSE, TTL, network, node, spec},
    flight::Flight,
    network::NetworkState,
};

const SECOND: Duration = Duration::from_secs(1);

fn due(fleet: &Fleet, seen: &Seen, jitter: f64) -> Vec<Due> {
    let flight = Flight::default();
    decay::due(&fleet.view(&flight), seen, &Patience::default(), |_| jitter)
}

fn absent(time: Duration) -> Seen {
    Seen {
        absent: [(node(1), time)].into(),
        ..Seen::default()
    }
}

fn unchanged(fleet: &Fleet, time: Duration) -> Seen {
    let revision = fleet.registry.lease(&network(), &node(1)).unwrap().revision;
    Seen {
        unchanged: [((network(), node(1)), (revision, time))].into(),
        ..Seen::default()
    }
}

fn settle(fleet: &mut Fleet, due: &Due) -> Result<(), Refusal> {
    fleet.ask(|view| decay::settle(view, &Patience::default(), due))
}

#[test]
fn a_lease_lapses_after_the_grace_time_without_a_session() {
    let mut fleet = Fleet::with_network();
    fleet.act(&Action::Open(1, None)).unwrap();
    let grace = Patience::default().grace;
    assert_eq!(due(&fleet, &absent(grace), 0.0), [], "it is there");
    fleet.act(&Action::Close(1)).unwrap();
    let lapse = Due::Lapse(network(), node(1));
    assert_eq!(due(&fleet, &Seen::default(), 0.0), []);
    assert_eq!(due(&fleet, &absent(grace - SECOND), 0.0), []);
    assert_eq!(due(&fleet, &absent(grace), 0.0), from_ref(&lapse));
    assert_eq!(due(&fleet, &absent(grace), 1.0), [], "jitter spreads it");
    assert_eq!(due(&fleet, &absent(2 * grace), 1.0), from_ref(&lapse));

    settle(&mut fleet, &lapse).unwrap();
    let lease = fleet
        .registry
        .lease(&network(), &node(1))
        .unwrap()
        .value
        .clone();
    assert_eq!(lease.gone_at, Some(fleet.now));
    assert_eq!(lease.expires_at, Some(fleet.now.after(LAPSE)));
    assert_eq!(
        settle(&mut fleet, &lapse),
        Err(Refusal::NothingToDo),
        "it has lapsed"
    );
}

#[test]
fn a_node_that_is_back_does_not_lapse() {
    let mut fleet = Fleet::with_network();
    fleet.act(&Action::Open(1, None)).unwrap();
    fleet.act(&Action::Close(1)).unwrap();
    let flight = Flight::default();
    let late = decay::lapse(&fleet.view(&flight), &network(), &node(1)).unwrap();
    fleet.act(&Action::Open(1, None)).unwrap();
    assert!(!fleet.commit(&late.txn), "late");
    fleet.act(&Action::Close(1)).unwrap();
    assert!(
        !fleet.commit(&late.txn),
        "and later still: the lease was written since"
    );
}

#[test]
fn a_lapsed_lease_is_reclaimed_after_its_time_and_the_skew() {
    let mut fleet = Fleet::with_network();
    fleet.act(&Action::Open(1, Some(1))).unwrap();
    fleet.act(&Action::Close(1)).unwrap();
    settle(&mut fleet, &Due::Lapse(network(), node(1))).unwrap();
    let reclaim = Due::Reclaim(network(), node(1));
    let long = Duration::from_secs(24 * 3600);

    fleet.advance(LAPSE + SKEW_BOUND - SECOND);
    let seen = unchanged(&fleet, long);
    assert_eq!(due(&fleet, &seen, 0.0), []);
    assert_eq!(settle(&mut fleet, &reclaim), Err(Refusal::NothingToDo));
    fleet.advance(SECOND);
    assert_eq!(
        due(&fleet, &Seen::default(), 0.0),
        [],
        "a controller that just started waits"
    );
    let hold = Patience::default().hold;
    assert_eq!(due(&fleet, &unchanged(&fleet, hold - SECOND), 0.0), []);
    assert_eq!(
        due(&fleet, &unchanged(&fleet, hold), 0.0),
        from_ref(&reclaim)
    );
    assert_eq!(
        due(&fleet, &unchanged(&fleet, hold), 0.5),
        [],
        "jitter spreads it"
    );
    let most = hold + LAPSE / 10;
    assert_eq!(
        due(&fleet, &unchanged(&fleet, most), 1.0),
        from_ref(&reclaim)
    );
    let mut other = unchanged(&fleet, long);
    other
        .unchanged
        .values_mut()
        .for_each(|(revision, _)| *revision -= 1);
    assert_eq!(due(&fleet, &other, 0.0), [], "seen at another revision");

    settle(&mut fleet, &reclaim).unwrap();
    let space = fleet.registry.space(&network()).unwrap();
    assert!(space.leases().is_empty() && space.claims().is_empty() && space.underlays().is_empty());
    assert_eq!(space.returned().len(), 2);
    assert_eq!(settle(&mut fleet, &reclaim), Err(Refusal::NothingToDo));
}

#[test]
fn a_lease_of_a_client_without_an_agent_is_reclaimed_and_never_lapses() {
    let mut fleet = Fleet::with_network();
    fleet.act(&Action::Acquire(1, None)).unwrap();
    fleet.advance(TTL + SKEW_BOUND - SECOND);
    let both = |fleet: &Fleet| Seen {
        absent: absent(LAPSE).absent,
        ..unchanged(fleet, LAPSE)
    };
    assert_eq!(due(&fleet, &both(&fleet), 0.0), []);
    fleet.act(&Action::Renew(1)).unwrap();
    fleet.advance(SECOND);
    assert_eq!(due(&fleet, &both(&fleet), 0.0), [], "it was renewed");
    fleet.advance(TTL + SKEW_BOUND);
    assert_eq!(
        due(&fleet, &both(&fleet), 0.0),
        [Due::Reclaim(network(), node(1))]
    );
}

#[test]
fn a_network_is_deleted_down_to_its_record() {
    let mut fleet = Fleet::with_network();
    for number in 1..4 {
        fleet.act(&Action::Open(number, Some(number))).unwrap();
    }
    fleet.act(&Action::Leave(3)).unwrap();
    fleet.act(&Action::Reserve(5, [Some(14), None])).unwrap();
    let refused = fleet
        .ask(|view| networks::delete(view, &network(), false))
        .unwrap_err();
    assert_eq!(
        refused.to_string(),
        "network n still has 2 leases and 1 reservations; release them or delete it with force"
    );
    fleet.act(&Action::Delete).unwrap();
    let deleting = "network n is being deleted";
    for action in [
        Action::Acquire(9, None),
        Action::Open(1, None),
        Action::Reserve(9, [Some(13), None]),
        Action::Grow,
    ] {
        assert_eq!(
            fleet.act(&action).unwrap_err().to_string(),
            deleting,
            "{action:?}"
        );
    }
    assert_eq!(
        fleet.act(&Action::Create).unwrap_err().to_string(),
        "network n exists already"
    );
    let erase = Due::Erase(network());
    assert_eq!(
        settle(&mut fleet, &erase),
        Err(Refusal::NothingToDo),
        "not yet"
    );

    let mut steps = 0;
    loop {
        let due = decay::due_of_network(&fleet.registry, &network());
        assert_eq!(due, self::due(&fleet, &Seen::default(), 0.0));
        let Some(first) = due.first() else { break };
        settle(&mut fleet, first).unwrap();
        steps += 1;
    }
    assert_eq!(steps, 5, "two leases, a promise, the queue, the network");
    let left: Vec<&String> = fleet
        .entries
        .keys()
        .filter(|key| key.contains("/n/"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
    assert!(fleet.registry.space(&network()).is_none());
    let first = fleet.ask(|view| networks::create_first(view, &spec()));
    assert_eq!(
        first,
        Err(Refusal::NothingToDo),
        "a fleet whose networks were deleted is left alone"
    );
    fleet.act(&Action::Create).unwrap();
}

#[test]
fn the_first_network_is_made_once() {
    let mut fleet = Fleet::new();
    let network = fleet
        .ask(|view| networks::create_first(view, &spec()))
        .unwrap();
    assert_eq!(network.state, NetworkState::Active);
    let again = fleet.ask(|view| networks::create_first(view, &spec()));
    assert_eq!(again, Err(Refusal::NothingToDo));
}

#[test]
fn a_long_queue_is_forgotten_in_pieces() {
    let mut fleet = Fleet::with_network();
    for number in 0..250 {
        fleet.put(
            &format!("free/n/4/10.98.{number}.0-24"),
            r#"{"v":1,"freed_at":1}"#,
        );
    }
    fleet.act(&Action::Delete).unwrap();
    let forget = Due::Forget(network());
    for _ in 0..3 {
        assert_eq!(due(&fleet, &Seen::default(), 0.0), from_ref(&forget));
        settle(&mut fleet, &forget).unwrap();
    }
    assert_eq!(due(&fleet, &Seen::default(), 0.0), [Due::Erase(network())]);
}

#[test]
fn a_lease_deleted_by_hand_gives_its_subnets_back() {
    let mut fleet = Fleet::with_network();
    fleet.act(&Action::Open(1, None)).unwrap();
    let lease = fleet
        .registry
        .lease(&network(), &node(1))
        .unwrap()
        .value
        .clone();
    let key = format!("lease/{}/{}", network(), node(1));
    fleet.put(&key, "{");
    assert_eq!(
        due(&fleet, &Seen::default(), 0.0),
        [],
        "it may still use them"
    );
    fleet.delete(&key);
    let strays: Vec<Due> = lease
        .subnets()
        .map(|subnet| Due::Unclaim(network(), subnet))
        .collect();
    assert_eq!(due(&fleet, &Seen::default(), 0.0), strays);
    for stray in &strays {
        settle(&mut fleet, stray).unwrap();
        assert_eq!(settle(&mut fleet, stray), Err(Refusal::NothingToDo));
    }
    let space = fleet.registry.space(&network()).unwrap();
    assert!(space.claims().is_empty());
    assert_eq!(space.returned().len(), strays.len());
}
