//! Who is let in by a token, and shut out again.

use std::time::Duration;

use crate::{
    decide::{
        Decision, Refusal, View, node as nodes,
        session::{self, Open},
        trust::{
            self, Brought, join, login, make_token, remove_operator, revoke_token, role, standing,
        },
    },
    fleet::{Fleet, node, uuid},
    flight::Flight,
    id::{NodeId, OperatorId, SessionId},
    record::{Grant, Token, V1},
    time::WallMs,
    trust::{Role, Subject, TokenId},
    txn::TtlId,
};

const HOUR: Duration = Duration::from_secs(3600);

fn fleet_with(uses: u32, grant: Grant) -> Fleet {
    let mut fleet = Fleet::with_network();
    let token = Token {
        v: V1,
        digest: "right".into(),
        grant,
        made_at: fleet.now,
        expires_at: fleet.now.after(HOUR),
        revoked_at: None,
        uses,
        used: Vec::new(),
    };
    fleet
        .ask(|view| make_token(view, TokenId(1), &token))
        .unwrap();
    fleet
}

fn any() -> Grant {
    Grant::Node { name: None }
}

fn brought(digest: &str) -> Brought {
    of_key(digest, "key")
}

fn of_key(digest: &str, key: &str) -> Brought {
    Brought {
        token: TokenId(1),
        digest: digest.into(),
        key: key.into(),
    }
}

fn joins(fleet: &mut Fleet, digest: &str, number: u8) -> Result<(), Refusal> {
    let id = NodeId(uuid(u128::from(number)));
    fleet.ask(|view| join(view, &brought(digest), &node(number), id))
}

fn opens(fleet: &mut Fleet, number: u8) -> Result<(), Refusal> {
    let ask = Open {
        node: node(number),
        id: NodeId(uuid(u128::from(number))),
        sid: SessionId(uuid(99)),
        previous: Vec::new(),
        networks: Vec::new(),
        ttl: TtlId(1),
        certified: true,
    };
    fleet.ask(|view| session::open(view, &ask)).map(drop)
}

#[test]
fn only_who_joined_opens_a_session_by_certificate() {
    let mut fleet = fleet_with(2, any());
    let refused = opens(&mut fleet, 1).unwrap_err();
    assert!(matches!(refused, Refusal::NotJoined { .. }), "{refused}");
    joins(&mut fleet, "right", 1).unwrap();
    opens(&mut fleet, 1).unwrap();
    fleet.ask(|view| nodes::remove(view, &node(1))).unwrap();
    let refused = opens(&mut fleet, 1).unwrap_err();
    assert!(matches!(refused, Refusal::Removed { .. }), "{refused}");
    let refused = joins(&mut fleet, "right", 1).unwrap_err();
    assert!(matches!(refused, Refusal::Removed { .. }), "{refused}");
}

#[test]
fn a_token_is_for_so_many_and_the_same_one_again_is_no_other() {
    let mut fleet = fleet_with(2, any());
    for number in [1, 1, 2, 1, 2] {
        joins(&mut fleet, "right", number).unwrap();
    }
    let refused = joins(&mut fleet, "right", 3).unwrap_err();
    assert!(
        matches!(refused, Refusal::TokenUsed { uses: 2, .. }),
        "{refused}"
    );
    assert!(!fleet.registry.nodes().contains_key(&node(3)));
}

#[test]
fn a_used_token_is_good_for_no_other_key_whatever_name_is_said() {
    let mut fleet = fleet_with(1, any());
    joins(&mut fleet, "right", 1).unwrap();
    let id = NodeId(uuid(1));
    let mut with = |key| fleet.ask(|view| join(view, &of_key("right", key), &node(1), id));
    with("key").unwrap();
    let refused = with("another").unwrap_err();
    assert!(matches!(refused, Refusal::TokenUsed { .. }), "{refused}");
}

#[test]
fn of_two_who_use_the_last_of_it_at_once_one_has_it() {
    let mut fleet = fleet_with(1, any());
    let late = {
        let flight = Flight::default();
        let view = fleet.view(&flight);
        let id = NodeId(uuid(2));
        join(&view, &brought("right"), &node(2), id).unwrap()
    };
    joins(&mut fleet, "right", 1).unwrap();
    assert!(!fleet.commit(&late.txn), "the store judges");
}

#[test]
fn each_that_is_of_no_use_says_why() {
    let mut fleet = fleet_with(
        1,
        Grant::Node {
            name: Some(node(1)),
        },
    );
    let guessed = joins(&mut fleet, "wrong", 1).unwrap_err();
    assert!(matches!(guessed, Refusal::NoToken { .. }), "{guessed}");
    let other = joins(&mut fleet, "right", 2).unwrap_err();
    assert!(matches!(other, Refusal::TokenOfAnother { .. }), "{other}");
    let operator = fleet.ask(|view| login(view, &brought("right"), OperatorId(uuid(5))));
    let operator = operator.unwrap_err();
    assert!(
        matches!(operator, Refusal::TokenOfNode { .. }),
        "{operator}"
    );
    let now = fleet.now;
    fleet.now = now.after(HOUR);
    let expired = joins(&mut fleet, "right", 1).unwrap_err().to_string();
    assert!(expired.contains("expired 0 s ago"), "{expired}");
    fleet.now = now;
    fleet.ask(|view| revoke_token(view, TokenId(1))).unwrap();
    fleet.now = now.after(HOUR * 3);
    let revoked = joins(&mut fleet, "right", 1).unwrap_err().to_string();
    assert!(revoked.contains("revoked 3 h ago"), "{revoked}");
}

#[test]
fn an_operator_is_who_logged_in_last_and_nobody_once_removed() {
    let name: crate::name::OperatorName = "eve".parse().unwrap();
    let grant = Grant::Operator {
        name: name.clone(),
        role: Role::Reader,
    };
    let mut fleet = fleet_with(1, grant.clone());
    let ask = |view: &View<'_>, id| login(view, &brought("right"), OperatorId(uuid(id)));
    assert_eq!(
        fleet.ask(|view| ask(view, 5)),
        Ok((name.clone(), Role::Reader))
    );
    let used = fleet.ask(|view| ask(view, 6)).unwrap_err();
    assert!(matches!(used, Refusal::TokenUsed { .. }), "{used}");
    let subject = |id| Subject::Operator(name.clone(), OperatorId(uuid(id)));
    assert_eq!(role(&fleet.registry, &subject(5)), Some(Role::Reader));
    assert_eq!(role(&fleet.registry, &subject(6)), None);
    let second = Token {
        v: V1,
        digest: String::new(),
        grant,
        made_at: WallMs(0),
        expires_at: WallMs(0),
        revoked_at: None,
        uses: 1,
        used: Vec::new(),
    };
    let exists = fleet
        .ask(|view| make_token(view, TokenId(2), &second))
        .unwrap_err();
    assert!(matches!(exists, Refusal::OperatorExists { .. }), "{exists}");
    assert_eq!(standing(&fleet.registry, fleet.now, &subject(5)), Ok(()));
    // The answer may not have been heard.
    assert!(fleet.ask(|view| ask(view, 5)).is_ok());
    fleet.ask(|view| remove_operator(view, &name)).unwrap();
    assert_eq!(role(&fleet.registry, &subject(5)), None);
    assert!(standing(&fleet.registry, fleet.now, &subject(5)).is_err());
    // Neither of old nor of somebody new of that name.
    let removed = fleet.ask(|view| ask(view, 5)).unwrap_err();
    assert!(matches!(removed, Refusal::TokenRevoked { .. }), "{removed}");
}

#[test]
fn a_used_token_makes_no_operator_again_and_takes_the_place_of_none() {
    let name: crate::name::OperatorName = "eve".parse().unwrap();
    let grant = Grant::Operator {
        name: name.clone(),
        role: Role::Admin,
    };
    let mut fleet = fleet_with(1, grant);
    let other = Token {
        digest: "other".into(),
        ..fleet.registry.tokens()[&TokenId(1)].value.clone()
    };
    fleet
        .ask(|view| make_token(view, TokenId(2), &other))
        .unwrap();
    let ask = |view: &View<'_>| login(view, &brought("right"), OperatorId(uuid(5)));
    fleet.ask(ask).unwrap();
    // Made while there was no such operator, and used while there is one.
    let second = Brought {
        token: TokenId(2),
        ..of_key("other", "another")
    };
    let exists = fleet
        .ask(|view| login(view, &second, OperatorId(uuid(6))))
        .unwrap_err();
    assert!(matches!(exists, Refusal::OperatorExists { .. }), "{exists}");
    // Her record is gone by another way than a removal.
    let record = &fleet.registry.operators()[&name];
    let mut txn = crate::txn::Transaction::default();
    txn.expect(crate::key::Key::Operator(name.clone()), record.revision);
    txn.delete(crate::key::Key::Operator(name.clone()));
    fleet.ask(|view| view.decided(txn.clone(), ())).unwrap();
    let used = fleet.ask(ask).unwrap_err();
    assert!(matches!(used, Refusal::TokenUsed { .. }), "{used}");
}

#[test]
fn any_token_makes_no_second_certificate_for_a_node() {
    let mut fleet = fleet_with(5, any());
    joins(&mut fleet, "right", 1).unwrap();
    // The answer was lost.
    joins(&mut fleet, "right", 1).unwrap();
    let id = NodeId(uuid(1));
    let thief = of_key("right", "a key of somebody else");
    let refused = fleet
        .ask(|view| join(view, &thief, &node(1), id))
        .unwrap_err();
    assert!(
        matches!(refused, Refusal::HasCertificate { .. }),
        "{refused}"
    );
    // One that was made for it does.
    let of_it = Token {
        digest: "of it".into(),
        grant: Grant::Node {
            name: Some(node(1)),
        },
        ..fleet.registry.tokens()[&TokenId(1)].value.clone()
    };
    fleet
        .ask(|view| make_token(view, TokenId(2), &of_it))
        .unwrap();
    let owner = Brought {
        token: TokenId(2),
        ..of_key("of it", "a new key")
    };
    fleet.ask(|view| join(view, &owner, &node(1), id)).unwrap();
}

#[test]
fn a_fleet_has_one_authority() {
    let mut fleet = Fleet::with_network();
    let authority = |text: &str| crate::record::Authority {
        v: V1,
        certificate: text.into(),
        key: None,
    };
    let late: Decision<()> = {
        let flight = Flight::default();
        let view = fleet.view(&flight);
        trust::found(&view, &authority("second")).unwrap()
    };
    fleet
        .ask(|view| trust::found(view, &authority("first")))
        .unwrap();
    assert!(!fleet.commit(&late.txn));
    let again = fleet.ask(|view| trust::found(view, &authority("second")));
    assert_eq!(again, Err(Refusal::NothingToDo));
    let kept = fleet.registry.authority().unwrap();
    assert_eq!(kept.value.certificate, "first");
}
