//! Sessions: who is let in, whose word counts.

use std::time::Duration;

use crate::{
    decide::{
        Decision, Refusal, View,
        decay::{self, Patience},
        lease::Vtep,
        node as nodes,
        session::{self, CLONE_WINDOW, Membership, Open},
    },
    fleet::{Action, Fleet, network, node, uuid, vtep},
    flight::Flight,
    id::{ControllerId, Life, NodeId, SessionId},
    record::Lease,
    txn::TtlId,
};

fn open(id: u128, sid: u128, previous: &[u128]) -> Open {
    Open {
        node: node(1),
        id: NodeId(uuid(id)),
        sid: SessionId(uuid(sid)),
        previous: previous.iter().map(|sid| SessionId(uuid(*sid))).collect(),
        networks: vec![membership(sid)],
        certified: false,
        ttl: TtlId(1),
    }
}

fn membership(life: u128) -> Membership {
    Membership {
        network: network(),
        vtep: vtep(1, None),
        life: Life(uuid(life)),
    }
}

fn ask(fleet: &mut Fleet, ask: &Open) -> Result<Vec<Lease>, Refusal> {
    fleet.ask(|view| session::open(view, ask))
}

/// The same at another controller.
fn ask_elsewhere(fleet: &mut Fleet, ask: &Open) -> Result<Vec<Lease>, Refusal> {
    fleet.ask(|view| elsewhere(view, |view| session::open(view, ask)))
}

fn elsewhere<T>(
    view: &View<'_>,
    decide: impl FnOnce(&View<'_>) -> Result<Decision<T>, Refusal>,
) -> Result<Decision<T>, Refusal> {
    let ctl = ControllerId(uuid(0xc1));
    decide(&View { ctl, ..*view })
}

#[test]
fn a_name_that_is_taken_names_both_machines() {
    let mut fleet = Fleet::with_network();
    ask(&mut fleet, &open(1, 10, &[])).unwrap();
    let refused = ask(&mut fleet, &open(2, 20, &[])).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "node name node-01 belongs to machine 00000000-0000-0000-0000-000000000001 (connected now), and this is \
         machine 00000000-0000-0000-0000-000000000002; give this one another name, or remove the other with \
         `weft node remove node-01`"
    );
}

#[test]
fn a_removed_machine_stays_out_and_its_name_is_free() {
    let mut fleet = Fleet::with_network();
    ask(&mut fleet, &open(1, 10, &[])).unwrap();
    fleet.ask(|view| nodes::remove(view, &node(1))).unwrap();
    assert!(fleet.registry.sessions().is_empty());
    let refused = ask(&mut fleet, &open(1, 11, &[10])).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "machine 00000000-0000-0000-0000-000000000001 was removed as node node-01 at 1000000000 ms Unix \
         time; to let it join again, give it a new node id with `weft-agent cleanup --forget`"
    );
    let renamed = Open {
        node: node(2),
        ..open(1, 12, &[])
    };
    assert!(matches!(
        ask(&mut fleet, &renamed),
        Err(Refusal::Removed { .. })
    ));

    let other = open(2, 20, &[]);
    assert!(
        matches!(ask(&mut fleet, &other), Err(Refusal::NameTaken { .. })),
        "its lease is there"
    );
    settle(&mut fleet);
    ask(&mut fleet, &other).unwrap();
}

/// Settles the only thing that is due.
fn settle(fleet: &mut Fleet) {
    let due = crate::fleet::due(&fleet.view(&Flight::default()));
    assert_eq!(due.len(), 1, "{due:?}");
    fleet
        .ask(|view| decay::settle(view, &Patience::default(), &due[0]))
        .unwrap();
}

#[test]
fn a_machine_that_changed_its_name_outlives_the_removal_of_the_old_one() {
    let mut fleet = Fleet::with_network();
    ask(&mut fleet, &open(1, 10, &[])).unwrap();
    fleet
        .ask(|view| session::close(view, &node(1), SessionId(uuid(10))))
        .unwrap();
    let renamed = Open {
        node: node(2),
        ..open(1, 11, &[])
    };
    let lease = ask(&mut fleet, &renamed).unwrap();
    fleet.ask(|view| nodes::remove(view, &node(1))).unwrap();
    let due = crate::fleet::due(&fleet.view(&Flight::default()));
    let expected = [decay::Due::End(network(), node(1))];
    assert_eq!(due, expected, "and not the lease of the new name");
    let again = Open {
        sid: SessionId(uuid(12)),
        previous: vec![SessionId(uuid(11))],
        ..renamed
    };
    assert_eq!(ask(&mut fleet, &again).unwrap(), lease);
}

#[test]
fn coming_back_keeps_the_lease_and_writes_it_anew() {
    let mut fleet = Fleet::with_network();
    let first = ask(&mut fleet, &open(1, 10, &[])).unwrap();
    let written = fleet.registry.lease(&network(), &node(1)).unwrap().revision;
    let again = ask(&mut fleet, &open(1, 11, &[10])).unwrap();
    assert_eq!(first, again);
    assert!(fleet.registry.lease(&network(), &node(1)).unwrap().revision > written);
}

#[test]
fn the_second_stranger_within_the_window_is_a_clone() {
    let mut fleet = Fleet::with_network();
    ask(&mut fleet, &open(1, 10, &[])).unwrap();
    ask(&mut fleet, &open(1, 20, &[])).expect("once may be a disk set back");
    fleet.advance(CLONE_WINDOW - Duration::from_millis(1));
    let refused = ask(&mut fleet, &open(1, 11, &[10])).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "node node-01 runs on two machines at once (a cloned disk?); give one of them a name and a node id of its own"
    );
    ask(&mut fleet, &open(1, 21, &[20])).expect("the one that is in comes and goes as it likes");
    fleet.advance(Duration::from_millis(1));
    ask(&mut fleet, &open(1, 12, &[10])).expect("the window is over");
}

#[test]
fn knowing_the_session_that_is_replaced_does_not_forget_the_takeover() {
    let mut fleet = Fleet::with_network();
    ask(&mut fleet, &open(1, 10, &[])).unwrap();
    ask(&mut fleet, &open(1, 20, &[])).unwrap();
    for sid in 21..25 {
        ask(&mut fleet, &open(1, sid, &[sid - 1])).unwrap();
    }
    assert!(matches!(
        ask(&mut fleet, &open(1, 11, &[10])),
        Err(Refusal::Cloned { .. })
    ));
}

#[test]
fn a_clock_set_back_does_not_open_the_window() {
    let mut fleet = Fleet::with_network();
    ask(&mut fleet, &open(1, 10, &[])).unwrap();
    ask(&mut fleet, &open(1, 20, &[])).unwrap();
    fleet.now = crate::time::WallMs(0);
    assert!(matches!(
        ask(&mut fleet, &open(1, 11, &[10])),
        Err(Refusal::Cloned { .. })
    ));
}

#[test]
fn moving_between_controllers_is_not_a_takeover() {
    let mut fleet = Fleet::with_network();
    ask(&mut fleet, &open(1, 10, &[])).unwrap();
    for sid in 11..20 {
        let previous: Vec<u128> = (10..sid).collect();
        let ask_there = open(1, sid, &previous);
        match sid % 2 {
            0 => ask(&mut fleet, &ask_there).unwrap(),
            _ => ask_elsewhere(&mut fleet, &ask_there).unwrap(),
        };
        let session = &fleet.registry.sessions()[&node(1)].value;
        assert_eq!(session.taken_over_at, None);
    }
}

#[test]
fn only_its_own_stream_speaks_for_a_session() {
    let mut fleet = Fleet::with_network();
    ask(&mut fleet, &open(1, 10, &[])).unwrap();
    let over = "node node-01 has no session here: it was taken over or has ended";
    let old = SessionId(uuid(9));
    let own = SessionId(uuid(10));
    let close = |sid| move |view: &View<'_>| session::close(view, &node(1), sid);
    assert_eq!(fleet.ask(close(old)).unwrap_err().to_string(), over);
    let there = fleet.ask(|view| elsewhere(view, close(own)));
    assert_eq!(there.unwrap_err().to_string(), over);
    let join = fleet.ask(|view| session::join(view, &node(1), old, &membership(1)));
    assert_eq!(join.unwrap_err().to_string(), over);
    let leave = fleet.ask(|view| session::leave(view, &node(1), old, &network()));
    assert_eq!(leave.unwrap_err().to_string(), over);

    ask_elsewhere(&mut fleet, &open(1, 11, &[10])).unwrap();
    assert_eq!(
        fleet.ask(close(own)).unwrap_err().to_string(),
        over,
        "the late close of the old stream"
    );
    fleet
        .ask(|view| elsewhere(view, close(SessionId(uuid(11)))))
        .unwrap();
    assert!(fleet.registry.sessions().is_empty());
    assert!(
        fleet.registry.lease(&network(), &node(1)).is_some(),
        "the lease stays"
    );
}

#[test]
fn an_agent_publishes_a_changed_endpoint_and_leaves() {
    let mut fleet = Fleet::with_network();
    ask(&mut fleet, &open(1, 10, &[])).unwrap();
    let sid = SessionId(uuid(10));
    for last in [3, 4] {
        let membership = Membership {
            vtep: vtep(1, Some(last)),
            ..membership(99)
        };
        let lease = fleet
            .ask(|view| session::join(view, &node(1), sid, &membership))
            .unwrap();
        assert_eq!(lease.life, Life(uuid(10)), "no new life");
        let underlays = fleet.registry.space(&network()).unwrap().underlays();
        assert_eq!(
            underlays
                .keys()
                .map(ToString::to_string)
                .collect::<Vec<_>>(),
            [format!("192.0.2.{last}")]
        );
    }
    fleet
        .ask(|view| session::leave(view, &node(1), sid, &network()))
        .unwrap();
    let space = fleet.registry.space(&network()).unwrap();
    assert!(space.leases().is_empty() && space.claims().is_empty() && space.underlays().is_empty());
    let again = fleet.ask(|view| session::leave(view, &node(1), sid, &network()));
    assert_eq!(
        again.unwrap_err().to_string(),
        "node node-01 has no lease in network n"
    );
}

#[test]
fn nobody_has_the_mac_of_another_machine() {
    let mut fleet = Fleet::with_network();
    fleet.act(&Action::Open(1, Some(7))).unwrap();
    let theirs = fleet
        .registry
        .lease(&network(), &node(1))
        .unwrap()
        .value
        .mac;
    let mut second = open(2, 20, &[]);
    second.node = node(2);
    second.networks[0].vtep = Vtep {
        mac: theirs,
        ..vtep(2, Some(8))
    };
    let refused = ask(&mut fleet, &second).unwrap_err();
    assert!(matches!(refused, Refusal::MacTaken { .. }), "{refused}");
    // Nor when it is gone, for as long as it may come back; afterwards it is free.
    fleet.act(&Action::Close(1)).unwrap();
    settle(&mut fleet);
    assert!(ask(&mut fleet, &second).is_err());
    fleet.act(&Action::Open(1, Some(7))).unwrap();
    let leave = |view: &View<'_>| {
        let sid = view.registry.sessions()[&node(1)].value.sid;
        session::leave(view, &node(1), sid, &network())
    };
    fleet.ask(leave).unwrap();
    ask(&mut fleet, &second).unwrap();
}

#[test]
fn an_underlay_address_is_taken_over_from_a_lapsed_holder_only() {
    let mut fleet = Fleet::with_network();
    fleet.act(&Action::Open(1, Some(7))).unwrap();
    let refused = fleet.act(&Action::Open(2, Some(7))).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "underlay address 192.0.2.7 belongs to node node-01 in network n"
    );
    fleet.act(&Action::Close(1)).unwrap();
    assert!(
        fleet.act(&Action::Open(2, Some(7))).is_err(),
        "gone, but not yet lapsed"
    );
    settle(&mut fleet);
    fleet.act(&Action::Open(2, Some(7))).unwrap();

    let holder = |fleet: &Fleet| {
        let space = fleet.registry.space(&network()).unwrap();
        space
            .underlay("192.0.2.7".parse().unwrap())
            .unwrap()
            .value
            .node
            .clone()
    };
    assert_eq!(holder(&fleet), node(2));
    let lapsed = fleet.registry.lease(&network(), &node(1)).unwrap();
    assert_eq!(lapsed.value.underlay, None);
    assert!(
        lapsed.value.gone_at.is_some() && lapsed.value.v4.is_some(),
        "it keeps the rest"
    );

    assert!(
        fleet.act(&Action::Open(1, Some(7))).is_err(),
        "now it is the newcomer's"
    );
    fleet.act(&Action::Open(1, Some(8))).unwrap();
    assert_eq!(holder(&fleet), node(2));
}

#[test]
fn an_underlay_address_must_be_one_of_a_host_and_of_the_right_family() {
    let mut fleet = Fleet::with_network();
    for (address, message) in [
        (
            "2001:db8::1",
            "underlay: 2001:db8::1 is not v4, which network n runs over",
        ),
        (
            "0.0.0.0",
            "underlay: 0.0.0.0 is not an address that other hosts can reach",
        ),
        (
            "224.0.0.1",
            "underlay: 224.0.0.1 is not an address that other hosts can reach",
        ),
    ] {
        let mut open = open(1, 10, &[]);
        open.networks[0].vtep.underlay = Some(address.parse().unwrap());
        assert_eq!(ask(&mut fleet, &open).unwrap_err().to_string(), message);
    }
}

#[test]
fn an_open_without_networks_is_a_session_alone() {
    let mut fleet = Fleet::with_network();
    let open = Open {
        networks: Vec::new(),
        ..open(1, 10, &[])
    };
    assert_eq!(ask(&mut fleet, &open).unwrap(), []);
    assert_eq!(fleet.registry.sessions().len(), 1);
}

#[test]
fn one_refused_network_refuses_the_whole_open() {
    let mut fleet = Fleet::with_network();
    let before = fleet.entries.clone();
    let mut open = open(1, 10, &[]);
    open.networks.push(Membership {
        network: "other".parse().unwrap(),
        ..membership(1)
    });
    let refused = ask(&mut fleet, &open).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "there is no network other; there are: n"
    );
    assert_eq!(fleet.entries, before);
}
