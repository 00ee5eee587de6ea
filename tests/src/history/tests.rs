use uuid::Uuid;

use super::*;

const A: &str = "10.0.0.0/24";
const B: &str = "10.0.1.0/24";

#[test]
fn what_a_working_fleet_does_is_right() {
    let history = [
        acquire("a", 0, 1, grant(1, A, 10)),
        acquire("b", 0, 2, grant(2, B, 11)),
        renew("a", 3, 4, 1, grant(1, A, 12)),
        look("a", 5, 6, 12, Some(grant(1, A, 12))),
        release("a", 7, 9, 1, Outcome::Done(13)),
        // Given to another as soon as somebody has asked to give it back.
        acquire("b", 10, 11, grant(2, B, 11)),
        acquire("c", 7, 8, grant(3, A, 14)),
        // A view from before the release still shows it.
        look("a", 10, 11, 12, Some(grant(1, A, 12))),
        look("a", 12, 13, 13, None),
    ];
    assert_eq!(check(&history), []);
}

#[test]
fn a_subnet_of_two_nodes_is_found() {
    let history = [
        acquire("a", 0, 1, grant(1, A, 10)),
        acquire("b", 2, 3, grant(2, A, 11)),
    ];
    assert!(matches!(check(&history)[..], [Violation::Shared { .. }]));
}

#[test]
fn a_subnet_given_on_before_it_was_given_back_is_found() {
    let history = [
        acquire("a", 0, 1, grant(1, A, 10)),
        acquire("b", 2, 3, grant(2, A, 11)),
        release("a", 4, 5, 1, Outcome::Done(12)),
    ];
    assert!(matches!(check(&history)[..], [Violation::Shared { .. }]));
}

#[test]
fn a_short_holder_does_not_hide_a_long_one() {
    let history = [
        acquire("a", 0, 1, grant(1, A, 10)),
        acquire("b", 2, 3, grant(2, A, 11)),
        release("b", 4, 5, 2, Outcome::Done(12)),
        acquire("c", 6, 7, grant(3, A, 13)),
    ];
    let found = check(&history);
    assert_eq!(found.len(), 2, "{found:?}");
}

#[test]
fn each_family_is_unique_by_itself() {
    let both = |life, v4: &str, v6: &str, revision| Grant {
        subnets: [v4, v6].map(|text| text.parse().expect("a subnet")).into(),
        ..grant(life, v4, revision)
    };
    let history = [
        acquire("a", 0, 1, both(1, A, "fd00::/64", 10)),
        acquire("b", 2, 3, both(2, B, "fd00::/64", 11)),
    ];
    let found = check(&history);
    let [Violation::Shared { subnet, .. }] = &found[..] else {
        panic!("{found:?}");
    };
    assert_eq!(subnet.to_string(), "fd00::/64");
}

#[test]
fn a_lease_that_became_another_is_found() {
    let history = [
        acquire("a", 0, 1, grant(1, A, 10)),
        acquire("a", 2, 3, grant(2, B, 11)),
    ];
    assert!(matches!(check(&history)[..], [Violation::Lost { .. }]));
}

#[test]
fn a_life_whose_subnets_changed_is_found() {
    let history = [
        acquire("a", 0, 1, grant(1, A, 10)),
        renew("a", 2, 3, 1, grant(1, B, 11)),
    ];
    assert!(matches!(check(&history)[..], [Violation::Lost { .. }]));
}

#[test]
fn a_lease_that_vanished_is_found() {
    let gone = |revision| {
        check(&[
            acquire("a", 0, 1, grant(1, A, 10)),
            look("a", 2, 3, revision, None),
        ])
    };
    assert!(matches!(gone(10)[..], [Violation::Lost { .. }]));
    // Who had only come to revision 9 could not know of it.
    assert_eq!(gone(9), []);
}

#[test]
fn an_unanswered_acquire_loses_nothing() {
    let unknown = event("a", 2, 3, Did::Acquire(Outcome::Unknown));
    let history = [
        acquire("a", 0, 1, grant(1, A, 10)),
        unknown,
        acquire("a", 4, 5, grant(2, B, 11)),
    ];
    assert!(matches!(check(&history)[..], [Violation::Lost { .. }]));
}

#[test]
fn an_unanswered_release_may_or_may_not_have_been() {
    let after = |grant| {
        check(&[
            acquire("a", 0, 1, self::grant(1, A, 10)),
            release("a", 2, 3, 1, Outcome::Unknown),
            acquire("a", 4, 5, grant),
        ])
    };
    assert_eq!(after(grant(1, A, 10)), []);
    assert_eq!(after(grant(2, B, 11)), []);
    // The same life with another subnet was never right.
    assert!(matches!(
        after(grant(1, B, 11))[..],
        [Violation::Lost { .. }]
    ));
}

#[test]
fn a_late_release_may_end_what_was_acquired_again() {
    let history = [
        acquire("a", 0, 1, grant(1, A, 10)),
        release("a", 2, 3, 1, Outcome::Unknown),
        acquire("a", 4, 5, grant(1, A, 10)),
        event("a", 6, 7, Did::Renew(life(1), refused(Code::NotFound))),
        acquire("a", 8, 9, grant(2, B, 12)),
        look("a", 10, 11, 13, None),
    ];
    // Only the new life, which nobody asked to end, is missed.
    assert!(matches!(check(&history)[..], [Violation::Lost { .. }]));
}

#[test]
fn a_life_that_came_back_is_found() {
    let history = [
        acquire("a", 0, 1, grant(1, A, 10)),
        release("a", 2, 3, 1, Outcome::Done(11)),
        acquire("a", 4, 5, grant(1, A, 12)),
    ];
    assert!(matches!(check(&history)[..], [Violation::Revived { .. }]));
    let history = [
        acquire("a", 0, 1, grant(1, A, 10)),
        release("a", 2, 3, 1, Outcome::Done(11)),
        look("a", 4, 5, 11, Some(grant(1, A, 10))),
    ];
    assert!(matches!(check(&history)[..], [Violation::Revived { .. }]));
}

#[test]
fn errors_that_nothing_explains_are_found() {
    for did in [
        Did::Acquire(refused(Code::Internal)),
        Did::Acquire(refused(Code::ResourceExhausted)),
        Did::Renew(life(1), refused(Code::NotFound)),
        Did::Release(life(1), refused(Code::FailedPrecondition)),
        Did::Look(refused(Code::Unknown)),
    ] {
        let history = [acquire("a", 0, 1, grant(1, A, 10)), event("a", 2, 3, did)];
        assert!(matches!(check(&history)[..], [Violation::Error { .. }]));
    }
}

#[test]
fn two_requests_of_one_node_at_once_are_no_history() {
    let history = [
        acquire("a", 0, 5, grant(1, A, 10)),
        acquire("a", 4, 6, grant(1, A, 10)),
    ];
    assert!(matches!(
        check(&history)[..],
        [Violation::Overlapping { .. }]
    ));
}

fn event(node: &str, began: u64, ended: u64, did: Did) -> Event {
    Event {
        node: node.parse().expect("a node name"),
        began: Duration::from_millis(began),
        ended: Duration::from_millis(ended),
        did,
    }
}

fn acquire(node: &str, began: u64, ended: u64, grant: Grant) -> Event {
    event(node, began, ended, Did::Acquire(Outcome::Done(grant)))
}

fn renew(node: &str, began: u64, ended: u64, of: u128, grant: Grant) -> Event {
    let did = Did::Renew(life(of), Outcome::Done(grant));
    event(node, began, ended, did)
}

fn release(node: &str, began: u64, ended: u64, of: u128, outcome: Outcome<Revision>) -> Event {
    event(node, began, ended, Did::Release(life(of), outcome))
}

fn look(node: &str, began: u64, ended: u64, revision: Revision, lease: Option<Grant>) -> Event {
    let seen = Seen { revision, lease };
    event(node, began, ended, Did::Look(Outcome::Done(seen)))
}

fn refused<T>(code: Code) -> Outcome<T> {
    Outcome::Refused(code, "because".into())
}

fn grant(of: u128, subnet: &str, revision: Revision) -> Grant {
    Grant {
        life: life(of),
        subnets: BTreeSet::from([subnet.parse().expect("a subnet")]),
        revision,
    }
}

fn life(number: u128) -> Life {
    Life(Uuid::from_u128(number))
}
