//! How endpoints end: with their lease, their network, and by a sweep.

use super::*;

#[test]
fn they_end_with_their_lease() {
    let mut fleet = fleet();
    let set = many(&fleet, 5);
    tell(&mut fleet, &whole(set)).unwrap();
    let txn = fleet.act(&Action::Leave(1)).unwrap();
    let ended = txn
        .ops
        .iter()
        .filter(|op| matches!(op.key(), Key::Endpoint(..)));
    assert_eq!(ended.count(), 5);
    assert!(!fleet.entries.keys().any(|key| key.starts_with("endpoint/")));
}

#[test]
fn what_does_not_go_with_the_lease_is_seen_by_nobody_and_swept() {
    let mut fleet = fleet();
    let set = many(&fleet, 300);
    tell(&mut fleet, &whole(set)).unwrap();
    let txn = fleet.act(&Action::Leave(1)).unwrap();
    assert!(txn.weight() <= WITH_LEASE + 6, "{}", txn.weight());
    let left = |fleet: &Fleet| {
        let keys = fleet.entries.keys();
        keys.filter(|key| key.starts_with("endpoint/")).count()
    };
    assert_eq!(left(&fleet), 300 - WITH_LEASE);
    let space = fleet.registry.space(&network()).unwrap();
    assert_eq!(space.endpoints().count(), 0);

    // Meanwhile the node is back, with another lease and a container of its own.
    fleet.act(&Action::Open(1, None)).unwrap();
    let own = many(&fleet, 1);
    tell(&mut fleet, &changes(own, &[])).unwrap();
    assert_eq!(swept(&mut fleet), (299 - WITH_LEASE).div_ceil(SWEPT));
    assert_eq!((left(&fleet), kept(&fleet).len()), (1, 1));
}

#[test]
fn a_late_sweep_takes_nothing_of_the_present() {
    let mut fleet = fleet();
    let set = many(&fleet, WITH_LEASE + 1);
    tell(&mut fleet, &whole(set.clone())).unwrap();
    fleet.act(&Action::Leave(1)).unwrap();
    let (id, _) = set.last_key_value().unwrap();
    fleet.act(&Action::Open(1, None)).unwrap();
    let late = sweep(&fleet.view(&Flight::default()), &network(), &node(1)).unwrap();
    let mine = many(&fleet, WITH_LEASE + 1)[id].clone();
    tell(&mut fleet, &changes([(*id, mine)].into(), &[])).unwrap();
    assert!(!fleet.commit(&late.txn));
    assert_eq!(kept(&fleet).len(), 1);
}

#[test]
fn a_lapsed_lease_keeps_them_and_says_so() {
    let mut fleet = fleet();
    let set = many(&fleet, 2);
    tell(&mut fleet, &whole(set)).unwrap();
    fleet.act(&Action::Close(1)).unwrap();
    let before = fleet.registry.clone();
    fleet
        .ask(|view| decay::lapse(view, &network(), &node(1)))
        .unwrap();
    let changes = before.difference(&fleet.registry);
    let lapsed = |change: &crate::registry::EndpointChange| {
        change.after.as_ref().is_some_and(|present| present.lapsed)
    };
    assert_eq!(
        changes.endpoints.iter().filter(|one| lapsed(one)).count(),
        2
    );
    assert_eq!(swept(&mut fleet), 0);

    let before = fleet.registry.clone();
    fleet.act(&Action::Open(1, None)).unwrap();
    let changes = before.difference(&fleet.registry);
    assert!(changes.endpoints.iter().all(|one| !lapsed(one)));
    assert_eq!((changes.endpoints.len(), kept(&fleet).len()), (2, 2));
}

#[test]
fn a_deleted_network_leaves_none() {
    let mut fleet = fleet();
    let set = many(&fleet, 200);
    tell(&mut fleet, &whole(set)).unwrap();
    fleet.act(&Action::Delete).unwrap();
    for _ in 0..20 {
        for due in decay::due_of_network(&fleet.registry, &network()) {
            let done = fleet.ask(|view| decay::settle(view, &Patience::default(), &due));
            assert!(
                matches!(done, Ok(()) | Err(Refusal::NothingToDo)),
                "{done:?}"
            );
        }
    }
    let left: Vec<&String> = fleet.entries.keys().collect();
    let of_network = left.iter().filter(|key| key.contains("/n"));
    assert!(
        of_network
            .clone()
            .all(|key| key.starts_with("node/") || key.starts_with("sess/")),
        "{left:?}"
    );
}
