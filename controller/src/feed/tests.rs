use std::net::IpAddr;

use overlay::{
    feed::{Peers, peers},
    id::{ControllerId, Life, NodeId},
    key::Key,
    network::NetworkSpec,
    record::{self, Lease, LeaseKind, Mac, V1},
};
use prost::Message as _;
use proto::decode;
use uuid::Uuid;

use super::*;

const BASE: Revision = 10;

/// A registry, the feed beside it, and an agent's peers as it was told of them.
struct Told {
    registry: Registry,
    feed: Feed,
    revision: Revision,
}

impl Told {
    fn new() -> Self {
        let spec = NetworkSpec::new(name(), vec!["10.32.0.0/12".parse().unwrap()]);
        let network = spec.network(std::iter::empty()).unwrap();
        let mut told = Self {
            registry: Registry::default(),
            feed: Feed::new("cluster".into(), BASE),
            revision: BASE,
        };
        told.put(&Key::Network(name()), Some(&record::encode(&network)));
        told
    }

    fn put(&mut self, key: &Key, value: Option<&[u8]>) {
        self.revision += 1;
        let key = key.to_string();
        let changes = self.registry.apply(self.revision, [(key.as_str(), value)]);
        self.feed.push(&changes, &self.registry);
    }

    fn lease(&mut self, node: u8, mac: u8) {
        let lease = Lease {
            v: V1,
            node_id: NodeId(Uuid::from_u128(node.into())),
            life: Life(Uuid::nil()),
            kind: LeaseKind::Agent,
            v4: Some(format!("10.32.{node}.0/24").parse().unwrap()),
            v6: None,
            underlay: Some(IpAddr::from([192, 0, 2, node])),
            mac: Some(Mac([2, 0, 0, 0, 0, mac])),
            gone_at: None,
            expires_at: None,
            by: ControllerId(Uuid::nil()),
        };
        self.put(&key(node), Some(&record::encode(&lease)));
    }

    /// What an agent holds that begins with `peers` and is told everything after `place`.
    fn follow(&self, peers: &mut Peers, place: Revision) -> (Revision, usize) {
        let next = self.feed.next(&name(), place).unwrap();
        let count = next.messages.len();
        for message in next.messages {
            let message = v1::ControllerMessage::decode(&*message.encode_to_vec()).unwrap();
            if let Some(Message::Changes(changes)) = message.message {
                decode::peer_changes(&changes).unwrap().apply(peers);
            }
        }
        (next.place, count)
    }

    fn peers(&self) -> Peers {
        peers(self.registry.space(&name()).unwrap())
    }
}

fn name() -> NetworkName {
    "default".parse().unwrap()
}

fn key(node: u8) -> Key {
    Key::Lease(name(), format!("n{node}").parse().unwrap())
}

#[test]
fn a_stream_is_told_each_change_in_the_same_bytes() {
    let mut told = Told::new();
    told.lease(1, 1);
    let first = told.feed.next(&name(), told.revision - 1).unwrap();
    let second = told.feed.next(&name(), told.revision - 1).unwrap();
    assert_eq!(first.messages.len(), 1);
    assert_eq!(first, second);
    assert_eq!(first.place, told.revision);
    assert!(
        told.feed
            .next(&name(), told.revision)
            .unwrap()
            .messages
            .is_empty()
    );
}

#[test]
fn a_slow_stream_gets_one_message_for_many_changes_and_ends_right() {
    let mut told = Told::new();
    let place = told.revision;
    for round in 0..3 {
        for node in 0..50 {
            told.lease(node, round);
        }
    }
    told.put(&key(7), None);
    let mut held = Peers::new();
    let (now, messages) = told.follow(&mut held, place);
    assert_eq!((now, messages), (told.revision, 1));
    assert_eq!(held, told.peers());
    assert_eq!(held.len(), 49);
}

#[test]
fn a_rewrite_that_changes_no_peer_is_not_told() {
    let mut told = Told::new();
    told.lease(1, 1);
    let place = told.revision;
    told.lease(1, 1);
    assert!(told.feed.next(&name(), place).unwrap().messages.is_empty());
    assert_eq!(told.feed.newest(&name()), place);
}

#[test]
fn who_is_behind_the_log_must_take_a_snapshot() {
    let mut told = Told::new();
    for round in 0..KEPT + 10 {
        told.lease(1, u8::try_from(round % 250).unwrap());
    }
    assert_eq!(told.feed.next(&name(), BASE), Err(Behind));
    assert_eq!(told.feed.distance(&name(), BASE), None);
    let recent = told.revision - 5;
    assert_eq!(told.feed.distance(&name(), recent), Some(5));
}

#[test]
fn a_bookmark_moves_a_quiet_stream_on_and_is_no_lag() {
    let mut told = Told::new();
    told.lease(1, 1);
    let place = told.revision;
    told.put(&Key::Session("n1".parse().unwrap()), None);
    told.feed.bookmark();
    let next = told.feed.next(&name(), place).unwrap();
    assert_eq!((next.messages.len(), next.place), (1, told.revision));
    assert_eq!(told.feed.lag(&name(), place), Duration::ZERO);
    told.feed.bookmark();
    assert!(
        told.feed
            .next(&name(), next.place)
            .unwrap()
            .messages
            .is_empty()
    );
}

#[test]
fn a_change_that_is_not_applied_is_lag() {
    let mut told = Told::new();
    let place = told.revision;
    told.lease(1, 1);
    assert!(told.feed.lag(&name(), place) > Duration::ZERO);
    assert_eq!(told.feed.lag(&name(), told.revision), Duration::ZERO);
    assert!(told.feed.lag(&name(), 0) > Duration::ZERO);
}
