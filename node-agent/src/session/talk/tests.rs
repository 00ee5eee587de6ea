use proto::v1;

use super::*;

fn peer(node: &str, number: u8) -> v1::Peer {
    v1::Peer {
        node: node.into(),
        subnets: vec![format!("10.32.{number}.0/24")],
        underlay: format!("10.0.0.{number}"),
        mac: format!("02:00:00:00:00:{number:02x}"),
    }
}

fn snapshot(peers: Vec<v1::Peer>, last: bool) -> Message {
    Message::Snapshot(v1::Snapshot {
        network: "blue".into(),
        revision: 7,
        peers,
        last,
    })
}

fn changes(set: Vec<v1::Peer>, gone: &[&str], partial: bool) -> Message {
    Message::Changes(v1::Changes {
        network: "blue".into(),
        revision: 9,
        set,
        gone: gone.iter().map(ToString::to_string).collect(),
        partial,
    })
}

fn refused() -> Message {
    Message::Refused(v1::Refused {
        network: "blue".into(),
        reason: "there is no network blue".into(),
    })
}

fn blue() -> NetworkName {
    "blue".parse().unwrap()
}

fn names(peers: &Peers) -> Vec<&str> {
    peers.keys().map(|node| node.as_str()).collect()
}

#[test]
fn parts_of_a_snapshot_become_one_word() {
    let (mut talk, mut held) = (Talk::default(), Held::default());
    for part in [vec![peer("a", 1)], Vec::new(), vec![peer("b", 2)]] {
        let told = talk.interpret(snapshot(part, false), &mut held).unwrap();
        assert_eq!(told, None);
        assert!(held.revisions.is_empty(), "half a snapshot is held");
    }
    let last = snapshot(vec![peer("c", 3)], true);
    let told = talk.interpret(last, &mut held).unwrap();
    let Some(Told::Snapshot {
        network,
        revision,
        peers,
    }) = told
    else {
        panic!("{told:?}");
    };
    assert_eq!((network, revision), (blue(), 7));
    assert_eq!(names(&peers), ["a", "b", "c"]);
    assert_eq!(held.revisions.get(&blue()), Some(&7));
    // The next one begins with nothing.
    let told = talk.interpret(snapshot(vec![peer("d", 4)], true), &mut held);
    let Ok(Some(Told::Snapshot { peers, .. })) = told else {
        panic!("{told:?}");
    };
    assert_eq!(names(&peers), ["d"]);
}

#[test]
fn parts_of_changes_become_one_word() {
    let (mut talk, mut held) = (Talk::default(), Held::default());
    held.revisions.insert(blue(), 7);
    let first = changes(vec![peer("a", 1), peer("b", 2)], &["x"], true);
    assert_eq!(talk.interpret(first, &mut held).unwrap(), None);
    let half = held.revisions.get(&blue());
    assert_eq!(half, Some(&7), "half of the changes are held");
    let last = changes(vec![peer("x", 9)], &["b"], false);
    let told = talk.interpret(last, &mut held).unwrap();
    let Some(Told::Changes {
        network,
        revision,
        changes: heard,
    }) = told
    else {
        panic!("{told:?}");
    };
    assert_eq!((network, revision), (blue(), 9));
    assert_eq!(names(&heard.set), ["a", "x"]);
    assert_eq!(heard.gone.len(), 1);
    assert_eq!(held.revisions.get(&blue()), Some(&9));
    let told = talk.interpret(changes(Vec::new(), &["a"], false), &mut held);
    let Ok(Some(Told::Changes { changes: heard, .. })) = told else {
        panic!("{told:?}");
    };
    assert!(heard.set.is_empty(), "{heard:?}");
}

#[test]
fn a_bookmark_is_held_and_told() {
    let (mut talk, mut held) = (Talk::default(), Held::default());
    held.revisions.insert(blue(), 7);
    let bookmark = Message::Bookmark(v1::Bookmark {
        network: "blue".into(),
        revision: 12,
    });
    let told = Told::Bookmark {
        network: blue(),
        revision: 12,
    };
    assert_eq!(talk.interpret(bookmark, &mut held).unwrap(), Some(told));
    assert_eq!(held.revisions.get(&blue()), Some(&12));
}

/// They were said before the network was left and joined again.
#[test]
fn words_before_the_first_snapshot_are_nothing() {
    let (mut talk, mut held) = (Talk::default(), Held::default());
    let told = talk.interpret(changes(vec![peer("a", 1)], &[], false), &mut held);
    assert_eq!(told.unwrap(), None);
    let bookmark = Message::Bookmark(v1::Bookmark {
        network: "blue".into(),
        revision: 12,
    });
    assert_eq!(talk.interpret(bookmark, &mut held).unwrap(), None);
    assert!(held.revisions.is_empty(), "{held:?}");
}

#[test]
fn a_deleted_network_is_not_resumed() {
    let (mut talk, mut held) = (Talk::default(), Held::default());
    held.revisions.insert(blue(), 7);
    let gone = Message::NetworkChanged(v1::NetworkChanged {
        name: "blue".into(),
        network: None,
    });
    let told = talk.interpret(gone, &mut held).unwrap();
    let name = blue();
    assert_eq!(
        told,
        Some(Told::NetworkChanged {
            name,
            network: None
        })
    );
    assert!(held.revisions.is_empty());
}

#[tokio::test]
async fn a_refused_network_is_asked_for_again_until_it_is_joined() {
    let (mut talk, mut held) = (Talk::default(), Held::default());
    let told = talk.interpret(refused(), &mut held).unwrap();
    assert!(matches!(told, Some(Told::Refused { .. })), "{told:?}");
    assert!(talk.refused().is_empty(), "it was asked for just now");
    assert!(talk.ask_again() <= Instant::now() + ASK_AGAIN);

    let now = Instant::now();
    talk.refused.insert(blue(), now);
    assert_eq!(talk.ask_again(), now);
    assert_eq!(talk.refused(), [blue()]);
    // Not at once again.
    assert!(talk.refused().is_empty());
    assert!(talk.ask_again() > now);

    let joined = Message::Joined(v1::Joined {
        network: Some(network()),
        lease: Some(v1::Lease::default()),
        endpoints: 0,
    });
    talk.interpret(joined, &mut held).unwrap();
    assert!(talk.refused.is_empty());
}

#[test]
fn a_word_that_cannot_be_is_an_error_that_names_the_field() {
    let (mut talk, mut held) = (Talk::default(), Held::default());
    let bad = v1::Peer {
        mac: "nonsense".into(),
        ..peer("a", 1)
    };
    let error = talk.interpret(snapshot(vec![bad], true), &mut held);
    assert_eq!(error.unwrap_err().field, "mac");
}

#[test]
fn a_state_file_is_replayed_past_what_is_no_word() {
    let welcome = Message::Welcome(v1::Welcome {
        cluster: "c1".into(),
        ..v1::Welcome::default()
    });
    let bad = v1::Peer {
        underlay: "nowhere".into(),
        ..peer("a", 1)
    };
    let words = vec![
        welcome,
        snapshot(vec![peer("a", 1)], true),
        changes(vec![bad], &[], false),
        changes(vec![peer("b", 2)], &["a"], false),
    ];
    let (told, held) = replay(words);
    assert_eq!(
        (held.cluster.as_str(), held.revisions.get(&blue())),
        ("c1", Some(&9))
    );
    let [Told::Snapshot { .. }, Told::Changes { changes, .. }] = told.as_slice() else {
        panic!("{told:?}");
    };
    assert_eq!(names(&changes.set), ["b"]);
}

fn network() -> v1::Network {
    v1::Network {
        name: "blue".into(),
        vni: 5,
        port: 4789,
        pools: vec!["10.32.0.0/12".into()],
        subnet_len4: 24,
        underlay: "v4".into(),
        encap: "vxlan".into(),
        state: "active".into(),
        ..v1::Network::default()
    }
}
