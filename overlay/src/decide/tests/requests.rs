//! Leases and reservations asked for by operators and API clients.

use std::time::Duration;

use crate::{
    decide::{
        Refusal, lease,
        lease::{Acquire, Vtep},
        node as nodes, reserve,
    },
    fleet::{Action, Fleet, TTL, network, node, subnet, uuid},
    id::{Life, NodeId},
    record::{Lease, LeaseKind},
};

fn ask(number: u8) -> Acquire {
    Acquire {
        network: network(),
        node: node(number),
        id: None,
        new_id: NodeId(uuid(100)),
        vtep: Vtep::default(),
        ttl: TTL,
        life: Life(uuid(200)),
    }
}

fn held(fleet: &Fleet, number: u8) -> Lease {
    fleet
        .registry
        .lease(&network(), &node(number))
        .unwrap()
        .value
        .clone()
}

fn refusal<T: std::fmt::Debug>(result: Result<T, Refusal>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn a_client_without_an_id_is_the_node_that_there_is() {
    let mut fleet = Fleet::with_network();
    fleet.ask(|view| lease::acquire(view, &ask(1))).unwrap();
    let again = Acquire {
        new_id: NodeId(uuid(101)),
        life: Life(uuid(201)),
        ..ask(1)
    };
    fleet.advance(Duration::from_secs(5));
    let lease = fleet.ask(|view| lease::acquire(view, &again)).unwrap();
    assert_eq!(
        (lease.node_id, lease.life),
        (NodeId(uuid(100)), Life(uuid(200)))
    );
    assert_eq!(lease.expires_at, Some(fleet.now.after(TTL)));
    let other = Acquire {
        id: Some(NodeId(uuid(7))),
        ..ask(1)
    };
    assert!(
        refusal(fleet.ask(|view| lease::acquire(view, &other)))
            .starts_with("node name node-01 belongs")
    );
}

#[test]
fn an_agents_lease_is_the_agents() {
    let mut fleet = Fleet::with_network();
    fleet.act(&Action::Open(1, None)).unwrap();
    let message = "the lease of node node-01 in network n is held by its agent, which keeps it alive by itself";
    assert_eq!(refusal(fleet.act(&Action::Acquire(1, None))), message);
    assert_eq!(refusal(fleet.act(&Action::Renew(1))), message);
    assert_eq!(
        refusal(fleet.act(&Action::Release(1))),
        "the agent of node node-01 is connected; stop it first, or remove the node with `weft node remove node-01`"
    );
    fleet.act(&Action::Close(1)).unwrap();
    fleet.act(&Action::Release(1)).unwrap();
}

#[test]
fn an_agent_takes_over_what_a_client_began() {
    let mut fleet = Fleet::with_network();
    fleet.act(&Action::Acquire(1, None)).unwrap();
    let before = held(&fleet, 1);
    fleet.act(&Action::Open(1, None)).unwrap();
    let expected = Lease {
        kind: LeaseKind::Agent,
        expires_at: None,
        ..before
    };
    assert_eq!(held(&fleet, 1), expected);
}

#[test]
fn another_life_is_neither_renewed_nor_released() {
    let mut fleet = Fleet::with_network();
    fleet.ask(|view| lease::acquire(view, &ask(1))).unwrap();
    let old = Life(uuid(199));
    let message = "the lease of node node-01 in network n lives its life 00000000-0000-0000-0000-0000000000c8, \
                   not 00000000-0000-0000-0000-0000000000c7";
    assert_eq!(
        refusal(fleet.ask(|view| lease::renew(view, &network(), &node(1), old, TTL))),
        message
    );
    assert_eq!(
        refusal(fleet.ask(|view| lease::release(view, &network(), &node(1), old))),
        message
    );
    let none = "node node-02 has no lease in network n";
    assert_eq!(refusal(fleet.act(&Action::Renew(2))), none);
    assert_eq!(refusal(fleet.act(&Action::Release(2))), none);
    let nowhere = "nowhere".parse().unwrap();
    let refused = fleet.ask(|view| lease::release(view, &nowhere, &node(1), old));
    assert_eq!(
        refusal(refused),
        "there is no network nowhere; there are: n"
    );
    let mut empty = Fleet::new();
    assert_eq!(
        refusal(empty.act(&Action::Acquire(1, None))),
        "there is no network n; there are none; make one with `weft network create`"
    );
}

#[test]
fn a_promise_is_kept() {
    let mut fleet = Fleet::with_network();
    fleet.act(&Action::Reserve(1, [Some(12), None])).unwrap();
    fleet.act(&Action::Acquire(1, None)).unwrap();
    let lease = held(&fleet, 1);
    assert_eq!(lease.v4.unwrap().to_string(), subnet(12)[0]);
    assert_eq!(
        lease.v6.unwrap().to_string(),
        subnet(8)[1],
        "what was not promised comes in order"
    );
    fleet.act(&Action::Release(1)).unwrap();
    for number in 2..10 {
        let _ = fleet.act(&Action::Acquire(number, None));
    }
    assert_eq!(
        fleet.registry.space(&network()).unwrap().leases().len(),
        7,
        "one is kept"
    );
    fleet.act(&Action::Release(2)).unwrap();
    fleet.act(&Action::Acquire(1, None)).unwrap();
    assert_eq!(held(&fleet, 1).v4, lease.v4);
}

#[test]
fn what_cannot_be_promised() {
    let mut fleet = Fleet::with_network();
    fleet.act(&Action::Acquire(1, None)).unwrap();
    fleet.act(&Action::Reserve(2, [Some(9), Some(9)])).unwrap();
    let reserve = |fleet: &mut Fleet, number: u8, subnets: &[&str]| {
        let subnets: Vec<_> = subnets
            .iter()
            .map(|subnet| subnet.parse().unwrap())
            .collect();
        refusal(fleet.ask(|view| reserve::reserve(view, &network(), &node(number), &subnets)))
    };
    for (number, subnets, message) in [
        (3, &[][..], "subnets: name at least one subnet"),
        (
            3,
            &["10.1.0.0/30"],
            "subnets: 10.1.0.0/30 is not one of the subnets of network n",
        ),
        (
            3,
            &["10.99.0.32/29"],
            "subnets: 10.99.0.32/29 is not one of the subnets of network n",
        ),
        (
            3,
            &["10.99.0.48/30", "10.99.0.52/30"],
            "subnets: more than one v4 subnet",
        ),
        (
            3,
            &["10.99.0.32/30"],
            "subnet 10.99.0.32/30 of network n is leased to node node-01",
        ),
        (
            3,
            &["10.99.0.36/30"],
            "subnet 10.99.0.36/30 of network n is reserved for node node-02",
        ),
        (
            1,
            &["10.99.0.48/30"],
            "node node-01 holds 10.99.0.32/30 in network n; reserve that, or release the lease first",
        ),
        (
            2,
            &["10.99.0.48/30"],
            "node node-02 has a reservation in network n already; take it back with `weft subnet unreserve --node node-02`",
        ),
    ] {
        assert_eq!(reserve(&mut fleet, number, subnets), message);
    }
    assert_eq!(
        refusal(fleet.act(&Action::Unreserve(3))),
        "node node-03 has no reservation in network n"
    );
    fleet
        .act(&Action::Reserve(1, [Some(8), None]))
        .expect("what it holds");
}

#[test]
fn a_promise_made_meanwhile_survives_the_end_of_the_lease() {
    let mut fleet = Fleet::with_network();
    fleet.act(&Action::Acquire(1, None)).unwrap();
    let flight = Default::default();
    let life = held(&fleet, 1).life;
    let late = lease::release(&fleet.view(&flight), &network(), &node(1), life).unwrap();
    fleet.act(&Action::Reserve(1, [Some(8), None])).unwrap();
    assert!(!fleet.commit(&late.txn), "it did not see the promise");
    fleet.act(&Action::Release(1)).unwrap();
    let claim = &fleet.registry.space(&network()).unwrap().claims()[&subnet(8)[0].parse().unwrap()];
    assert!(claim.value.reserved && claim.value.life.is_none());
}

#[test]
fn a_returned_subnet_goes_to_the_back_of_the_queue() {
    let mut fleet = Fleet::with_network();
    for number in 0..8 {
        fleet.act(&Action::Acquire(number, None)).unwrap();
    }
    for number in [5, 2, 7] {
        fleet.act(&Action::Release(number)).unwrap();
    }
    for (number, expected) in [(10, 13), (11, 10), (12, 15)] {
        fleet.act(&Action::Acquire(number, None)).unwrap();
        assert_eq!(
            held(&fleet, number).v4.unwrap().to_string(),
            subnet(expected)[0]
        );
    }
}

#[test]
fn nobody_removes_a_node_that_is_not_there() {
    let mut fleet = Fleet::with_network();
    assert_eq!(
        refusal(fleet.ask(|view| nodes::remove(view, &node(1)))),
        "there is no node node-01"
    );
}

#[test]
fn a_late_open_does_not_pass_the_removal() {
    let mut fleet = Fleet::with_network();
    fleet.act(&Action::Open(1, None)).unwrap();
    let flight = Default::default();
    let late = fleet
        .decide(&fleet.view(&flight), &Action::Open(1, None), 999)
        .unwrap();
    fleet.act(&Action::Remove(1)).unwrap();
    assert!(!fleet.commit(&late));
}
