//! Pools to the last subnet.

use std::collections::BTreeSet;

use crate::{
    decide::{
        Refusal, View,
        lease::{self, Acquire, Vtep},
        network, reserve,
    },
    fleet::{Fleet, TTL, uuid},
    flight::Flight,
    id::{Life, NodeId},
    name::{NetworkName, NodeName},
    network::NetworkSpec,
    record::Lease,
    subnet::Subnet,
};

fn name() -> NetworkName {
    "small".parse().unwrap()
}

fn host(number: u128) -> NodeName {
    format!("host-{number}").parse().unwrap()
}

fn with_pools(pools: &[&str]) -> Fleet {
    let pools = pools.iter().map(|pool| pool.parse().unwrap()).collect();
    let mut fleet = Fleet::new();
    let spec = NetworkSpec::new(name(), pools);
    fleet.ask(|view| network::create(view, &spec)).unwrap();
    fleet
}

fn ask(number: u128) -> Acquire {
    Acquire {
        network: name(),
        node: host(number),
        id: None,
        new_id: NodeId(uuid(number)),
        vtep: Vtep::default(),
        ttl: TTL,
        life: Life(uuid(number)),
    }
}

fn acquire(fleet: &mut Fleet, number: u128) -> Result<Lease, Refusal> {
    fleet.ask(|view| lease::acquire(view, &ask(number)))
}

/// Sixty-four leases, all different, in the order of the pool; the message of the next.
fn fill(pools: &[&str]) -> (Vec<Lease>, String) {
    let mut fleet = with_pools(pools);
    let leases: Vec<Lease> = (0..64)
        .map(|number| acquire(&mut fleet, number).unwrap())
        .collect();
    let before = fleet.entries.clone();
    let refused = acquire(&mut fleet, 64).unwrap_err();
    assert_eq!(fleet.entries, before, "nothing half-made");
    (leases, refused.to_string())
}

#[test]
fn sixty_four_v4_subnets() {
    let (leases, refused) = fill(&["10.99.0.0/18"]);
    let subnets: Vec<String> = leases
        .iter()
        .map(|lease| lease.v4.unwrap().to_string())
        .collect();
    let expected: Vec<String> = (0..64)
        .map(|number| format!("10.99.{number}.0/24"))
        .collect();
    assert_eq!(subnets, expected);
    assert!(leases.iter().all(|lease| lease.v6.is_none()));
    assert_eq!(
        refused,
        "no v4 subnet is left in network small: of 64 in 10.99.0.0/18, 64 are leased and 0 reserved; \
         widen it with `weft network grow small --pool CIDR`"
    );
}

#[test]
fn sixty_four_v6_subnets() {
    let (leases, refused) = fill(&["fd99::/58"]);
    let subnets: BTreeSet<String> = leases
        .iter()
        .map(|lease| lease.v6.unwrap().to_string())
        .collect();
    let expected = (1..64).map(|number| format!("fd99:0:0:{number:x}::/64"));
    assert_eq!(subnets, expected.chain(["fd99::/64".into()]).collect());
    assert!(leases.iter().all(|lease| lease.v4.is_none()));
    assert!(refused.starts_with("no v6 subnet is left in network small: of 64 in fd99::/58"));
}

#[test]
fn the_smaller_of_two_pools_is_the_bound() {
    let mut fleet = with_pools(&["10.99.0.0/18", "fd99::/62"]);
    for number in 0..4 {
        let lease = acquire(&mut fleet, number).unwrap();
        assert!(lease.v4.is_some() && lease.v6.is_some());
    }
    let refused = acquire(&mut fleet, 4).unwrap_err().to_string();
    assert!(
        refused.starts_with("no v6 subnet is left in network small: of 4"),
        "{refused}"
    );
}

#[test]
fn a_full_pool_grows_and_goes_on() {
    let mut fleet = with_pools(&["10.99.64.0/23"]);
    for number in 0..2 {
        acquire(&mut fleet, number).unwrap();
    }
    acquire(&mut fleet, 2).unwrap_err();
    let before = fleet.registry.clone();
    fleet
        .ask(|view| network::grow(view, &name(), &["10.99.64.0/22".parse().unwrap()]))
        .unwrap();
    let (was, is) = (
        before.space(&name()).unwrap(),
        fleet.registry.space(&name()).unwrap(),
    );
    assert_eq!((was.leases(), was.claims()), (is.leases(), is.claims()));
    assert_eq!(
        acquire(&mut fleet, 2).unwrap().v4.unwrap().to_string(),
        "10.99.66.0/24"
    );
}

#[test]
fn what_is_reserved_is_counted_and_kept() {
    let mut fleet = with_pools(&["10.99.0.0/23"]);
    let first: Subnet = "10.99.0.0/24".parse().unwrap();
    fleet
        .ask(|view| reserve::reserve(view, &name(), &host(7), &[first]))
        .unwrap();
    assert_eq!(
        acquire(&mut fleet, 1).unwrap().v4.unwrap().to_string(),
        "10.99.1.0/24"
    );
    assert_eq!(
        acquire(&mut fleet, 2).unwrap_err().to_string(),
        "no v4 subnet is left in network small: of 2 in 10.99.0.0/23, 1 are leased and 1 reserved; \
         widen it with `weft network grow small --pool CIDR`"
    );
    assert_eq!(acquire(&mut fleet, 7).unwrap().v4, Some(first));
}

#[test]
fn requests_under_way_get_different_subnets_and_the_last_is_told_to_wait() {
    let fleet = with_pools(&["10.99.0.0/23"]);
    let mut flight = Flight::default();
    let mut given = BTreeSet::new();
    for number in 0..2 {
        let decision = lease::acquire(&fleet.view(&flight), &ask(number)).unwrap();
        assert!(flight.admits(&decision.txn));
        flight.enter(&decision.txn);
        given.insert(decision.answer.v4);
    }
    assert_eq!(given.len(), 2);
    let refused = lease::acquire(&fleet.view(&flight), &ask(2)).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the last free subnets of network small are being taken"
    );
}

#[test]
fn after_a_conflict_the_search_begins_elsewhere() {
    let fleet = with_pools(&["10.99.0.0/18"]);
    for (spread, subnet) in [
        (0, "10.99.0.0/24"),
        (5, "10.99.5.0/24"),
        (63, "10.99.63.0/24"),
        (64, "10.99.0.0/24"),
        (u128::MAX, "10.99.63.0/24"),
    ] {
        let flight = Flight::default();
        let view = View {
            spread,
            ..fleet.view(&flight)
        };
        let lease = lease::acquire(&view, &ask(1)).unwrap().answer;
        assert_eq!(lease.v4.unwrap().to_string(), subnet);
    }
}
