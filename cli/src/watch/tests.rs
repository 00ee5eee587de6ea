use proto::v1;

use super::*;
use crate::lease::LeaseRow;

mod endpoints;

fn lease(node: &str, underlay: &str) -> v1::Lease {
    v1::Lease {
        network: "default".into(),
        node: node.into(),
        underlay: underlay.into(),
        ..Default::default()
    }
}

fn gone(node: &str) -> v1::LeaseGone {
    let (network, node) = ("default".into(), node.into());
    v1::LeaseGone { network, node }
}

fn told(
    followed: &mut Followed<LeaseRow>,
    revision: u64,
    snapshot: bool,
    partial: bool,
    leases: &[(&str, &str)],
    gone_nodes: &[&str],
) -> String {
    let response = v1::WatchResponse {
        cluster: "c".into(),
        revision,
        snapshot,
        partial,
        leases: leases
            .iter()
            .map(|(node, underlay)| lease(node, underlay))
            .collect(),
        gone: gone_nodes.iter().map(|node| gone(node)).collect(),
    };
    let short = |told: &Told<LeaseRow>| match told {
        Told::Mark(mark) => {
            assert_eq!(
                (mark.event, mark.cluster.as_str(), mark.watch_revision),
                (RESET, "c", revision)
            );
            mark.line("leases")[..1].to_string()
        }
        Told::Event(event) => {
            assert_eq!(
                (event.cluster.as_str(), event.watch_revision),
                ("c", revision)
            );
            let mark = event.line().chars().next().unwrap();
            let underlay = event.row.underlay.as_deref().unwrap_or("?");
            format!("{mark}{}@{underlay}", event.row.node)
        }
    };
    let told = followed.take(response.into());
    told.iter().map(short).collect::<Vec<_>>().join(" ")
}

#[test]
fn a_snapshot_and_then_changes() {
    let mut f = Followed::default();
    assert_eq!(
        told(&mut f, 5, true, false, &[("a", "1"), ("b", "2")], &[]),
        "+a@1 +b@2"
    );
    assert_eq!(
        told(&mut f, 6, false, false, &[("a", "3"), ("c", "4")], &["b"]),
        "-b@2 ~a@3 +c@4"
    );
    assert_eq!(told(&mut f, 7, false, false, &[("a", "3")], &[]), "");
    assert_eq!(f.revision, 7);
}

#[test]
fn a_later_snapshot_begins_anew() {
    let mut f = Followed::default();
    told(
        &mut f,
        5,
        true,
        false,
        &[("a", "1"), ("b", "2"), ("c", "3")],
        &[],
    );
    assert_eq!(
        told(
            &mut f,
            9,
            true,
            false,
            &[("b", "2"), ("c", "9"), ("d", "4")],
            &[]
        ),
        "! +b@2 +c@9 +d@4"
    );
}

#[test]
fn parts_are_one_revision() {
    let mut f = Followed::default();
    assert_eq!(told(&mut f, 5, true, true, &[("a", "1")], &[]), "");
    assert_eq!(f.revision, 0);
    assert_eq!(
        told(&mut f, 5, true, false, &[("b", "2")], &[]),
        "+a@1 +b@2"
    );
    assert_eq!(told(&mut f, 6, false, true, &[("c", "3")], &[]), "");
    assert_eq!(told(&mut f, 6, false, false, &[], &["a"]), "-a@1 +c@3");
}

#[test]
fn the_end_of_an_unseen_lease_is_told() {
    let mut f = Followed::default();
    assert_eq!(told(&mut f, 5, false, false, &[], &["a"]), "-a@?");
}

#[test]
fn an_event_is_one_flat_object() {
    let mut f = Followed::<LeaseRow>::default();
    let response = v1::WatchResponse {
        cluster: "c".into(),
        revision: 5,
        leases: vec![lease("a", "1")],
        ..Default::default()
    };
    let Told::Event(event) = f.take(response.into()).remove(0) else {
        panic!("no event");
    };
    let text = serde_json::to_value(&event).unwrap().to_string();
    let begin =
        r#"{"event":"added","cluster":"c","watch_revision":5,"network":"default","node":"a","#;
    assert!(text.starts_with(begin), "{text}");
}

#[test]
fn who_asked_to_continue_and_cannot_is_told_first() {
    let continued = || Followed {
        continues: true,
        ..Followed::default()
    };
    let two = [("a", "1"), ("b", "2")];
    assert_eq!(told(&mut continued(), 9, true, true, &two, &[]), "");
    assert_eq!(
        told(&mut continued(), 9, true, false, &two, &[]),
        "! +a@1 +b@2"
    );
    assert_eq!(told(&mut continued(), 9, true, false, &[], &[]), "!");
    assert_eq!(
        told(&mut continued(), 9, false, false, &two, &[]),
        "+a@1 +b@2"
    );
}

#[test]
fn a_reset_is_one_flat_object() {
    let reset = Mark {
        event: RESET,
        cluster: "c".into(),
        watch_revision: 9,
    };
    let text = serde_json::to_value(&reset).unwrap().to_string();
    assert_eq!(
        text,
        r#"{"event":"reset","cluster":"c","watch_revision":9}"#
    );
}
