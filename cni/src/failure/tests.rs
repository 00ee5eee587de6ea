use std::collections::BTreeSet;

use socket::{
    AskError,
    words::{Reason, Refusal},
};

use super::{Code, Failure};
use crate::version::Version;

const REASONS: [(Reason, u32); 11] = [
    (Reason::Bad, 7),
    (Reason::NotJoined, 7),
    (Reason::NotReady, 11),
    (Reason::Taken, 101),
    (Reason::NotOurs, 102),
    (Reason::Exhausted, 11),
    (Reason::NoSandbox, 4),
    (Reason::InterfaceTaken, 103),
    (Reason::Stale, 3),
    (Reason::Kernel, 104),
    (Reason::Disk, 5),
];

#[test]
fn every_refusal_of_the_agent_has_a_code_and_two_sentences() {
    for (reason, number) in REASONS {
        let failure = Failure::from(Refusal::new(reason, "10.32.0.9 is web's"));
        assert_eq!(failure.code.number(), number, "{reason:?}");
        assert_eq!(failure.details, "10.32.0.9 is web's");
        assert!(failure.msg.contains(' '), "{failure:?}");
    }
}

#[test]
fn what_is_wrong_with_a_variable_names_it() {
    for (reason, variable) in [
        (Reason::NoSandbox, "CNI_NETNS"),
        (Reason::InterfaceTaken, "CNI_IFNAME"),
    ] {
        let failure = Failure::from(Refusal::new(reason, "so it is"));
        assert!(failure.msg.contains(variable), "{failure:?}");
    }
}

#[test]
fn an_agent_that_is_away_may_be_back() {
    let path = "/run/weft/agent.sock".into();
    let failure = Failure::from(AskError::Nobody { path });
    assert_eq!(failure.code, Code::Later);
    assert!(failure.details.contains("is it running"), "{failure:?}");
}

#[test]
fn ours_begin_at_100_and_no_number_is_two() {
    let ours = [
        Code::Wrong,
        Code::Taken,
        Code::NotOurs,
        Code::InterfaceTaken,
        Code::Kernel,
    ];
    let numbers: BTreeSet<u32> = ours.into_iter().map(Code::number).collect();
    assert_eq!(numbers.len(), ours.len());
    assert!(numbers.iter().all(|number| *number >= 100), "{numbers:?}");
}

#[test]
fn a_failure_is_said_in_the_version_that_was_asked_in() {
    let failure = Failure::config("name: the network has none");
    let said: serde_json::Value =
        serde_json::from_str(&failure.json(Some(Version::V0_4_0))).expect("it is JSON");
    let expected = serde_json::json!({
        "cniVersion": "0.4.0",
        "code": 7,
        "msg": "the network configuration is not valid",
        "details": "name: the network has none",
    });
    assert_eq!(said, expected);
}
