//! Endpoints, of which there are bookmarks.

use super::*;
use crate::endpoint::EndpointRow;

fn endpoint(id: &str, name: &str) -> v1::Endpoint {
    v1::Endpoint {
        network: "default".into(),
        node: "a".into(),
        id: id.into(),
        name: name.into(),
        ..v1::Endpoint::default()
    }
}

fn gone(id: &str) -> v1::EndpointGone {
    v1::EndpointGone {
        network: "default".into(),
        node: "a".into(),
        id: id.into(),
    }
}

fn told(revision: u64) -> v1::WatchEndpointsResponse {
    v1::WatchEndpointsResponse {
        cluster: "c".into(),
        revision,
        ..v1::WatchEndpointsResponse::default()
    }
}

/// `added web`, or `bookmark`.
fn say(told: Vec<Told<EndpointRow>>) -> Vec<String> {
    let one = |told: Told<EndpointRow>| match told {
        Told::Mark(mark) => mark.event.to_owned(),
        Told::Event(event) => {
            let name = event.row.name.clone();
            let name = name.unwrap_or_else(|| event.row.id.clone());
            format!("{:?} {name}", event.event).to_lowercase()
        }
    };
    told.into_iter().map(one).collect()
}

#[test]
fn a_snapshot_and_what_happens_after_it() {
    let mut followed = Followed::default();
    let snapshot = |partial, id| v1::WatchEndpointsResponse {
        snapshot: true,
        endpoints: vec![endpoint(id, id)],
        partial,
        ..told(5)
    };
    assert!(followed.take(snapshot(true, "1").into()).is_empty());
    assert_eq!(
        say(followed.take(snapshot(false, "2").into())),
        ["added 1", "added 2"]
    );
    let changes = v1::WatchEndpointsResponse {
        endpoints: vec![endpoint("2", "web"), endpoint("3", "3"), endpoint("1", "1")],
        ..told(6)
    };
    assert_eq!(
        say(followed.take(changes.into())),
        ["changed web", "added 3"]
    );
    let changes = v1::WatchEndpointsResponse {
        gone: vec![gone("2"), gone("9")],
        ..told(7)
    };
    // Of the other it has never heard.
    assert_eq!(say(followed.take(changes.into())), ["gone web"]);
    assert_eq!(say(followed.take(told(9).into())), ["bookmark"]);
    assert_eq!((followed.revision, followed.cluster.as_str()), (9, "c"));
}

#[test]
fn a_watch_that_goes_on_says_when_it_cannot() {
    let mut followed = Followed {
        continues: true,
        ..Followed::default()
    };
    let changes = v1::WatchEndpointsResponse {
        gone: vec![gone("7")],
        ..told(3)
    };
    assert_eq!(say(followed.take(changes.into())), ["gone 7"]);
    let snapshot = v1::WatchEndpointsResponse {
        snapshot: true,
        ..told(4)
    };
    assert_eq!(say(followed.take(snapshot.into())), ["reset"]);
}
