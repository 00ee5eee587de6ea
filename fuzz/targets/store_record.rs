//! Whatever stands in the store, under whatever key: the registry reads it, says
//! what it set aside, and decisions made on it are transactions or refusals.

#![no_main]

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
    time::Duration,
};

use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};
use overlay::{
    decide::{
        Decision, Refusal, View,
        decay::{self, Patience, Seen},
        endpoint::{self, Extent, News, Part, Teller},
        lease::{self, Acquire, Vtep},
        network, node, reserve,
        session::{self, Membership, Open},
    },
    flight::Flight,
    id::{ControllerId, Life, NodeId, SessionId},
    key::Key,
    name::{NetworkName, NodeName},
    record,
    registry::Registry,
    subnet::Family,
    time::WallMs,
    txn::{Op, Revision, TtlId},
};
use serde::{Serialize, de::DeserializeOwned};

const KEYS: [&str; 22] = [
    "nets",
    "net/n",
    "net/m",
    "node/a",
    "node/b",
    "removed/00000000-0000-0000-0000-000000000001",
    "lease/n/a",
    "lease/n/b",
    "lease/m/a",
    "claim/n/4/10.99.0.0-30",
    "claim/n/4/10.99.0.4-30",
    "claim/n/6/fd99::-124",
    "free/n/4/10.99.0.0-30",
    "free/n/6/fd99::10-124",
    "resv/n/a",
    "resv/n/b",
    "under/n/192.0.2.1",
    "endpoint/n/a/0000000000001",
    "endpoint/n/b/0000000000002",
    "sess/a",
    "sess/b",
    "ctl/00000000-0000-0000-0000-0000000000c0",
];

/// Records that can be read; each goes under any key.
const RECORDS: [&str; 17] = [
    r#"{"v":1,"fleet":"00000000-0000-0000-0000-0000000000c0","generation":1}"#,
    r#"{"v":1,"name":"n","vni":1,"port":4789,"pool4":"10.99.0.0/27","pool6":"fd99::/121","len4":30,"len6":124,"lapse_s":86400,"underlay":"v4","encap":"vxlan","masquerade":true,"state":"active"}"#,
    r#"{"v":1,"name":"n","vni":1,"port":4789,"pool4":"10.99.0.0/27","pool6":null,"len4":30,"len6":0,"lapse_s":0,"underlay":"v6","encap":"auto","masquerade":true,"state":"deleting"}"#,
    r#"{"v":1,"name":"m","vni":16777215,"port":65535,"pool4":null,"pool6":"::/0","len4":255,"len6":128,"lapse_s":18446744073709551615,"underlay":"v4","encap":"vxlan","masquerade":true,"state":"active"}"#,
    r#"{"v":1,"id":"00000000-0000-0000-0000-000000000001","joined_at":1}"#,
    r#"{"v":1,"name":"a","at":1}"#,
    r#"{"v":1,"node_id":"00000000-0000-0000-0000-000000000001","life":"00000000-0000-0000-0000-000000000002","kind":"agent","v4":"10.99.0.0/30","v6":"fd99::/124","underlay":"192.0.2.1","mac":"02:00:00:00:00:01","gone_at":null,"expires_at":null,"by":"00000000-0000-0000-0000-0000000000c0"}"#,
    r#"{"v":1,"node_id":"00000000-0000-0000-0000-000000000001","life":"00000000-0000-0000-0000-000000000002","kind":"api","v4":"10.99.0.4/30","v6":null,"underlay":null,"mac":null,"gone_at":18446744073709551615,"expires_at":18446744073709551615,"by":"00000000-0000-0000-0000-0000000000c0"}"#,
    r#"{"v":1,"node":"a","life":"00000000-0000-0000-0000-000000000002","reserved":false}"#,
    r#"{"v":1,"node":"b","life":null,"reserved":true}"#,
    r#"{"v":1,"freed_at":1}"#,
    r#"{"v":1,"v4":"10.99.0.0/30","v6":"fd99::/124"}"#,
    r#"{"v":1,"node":"a"}"#,
    r#"{"v":1,"node_id":"00000000-0000-0000-0000-000000000001","sid":"00000000-0000-0000-0000-000000000003","ctl":"00000000-0000-0000-0000-0000000000c0","taken_over_at":1}"#,
    r#"{"v":1,"life":"00000000-0000-0000-0000-000000000002","key":"cni/4f2a/eth0","addresses":["10.99.0.2","fd99::2"],"mac":"02:00:00:00:00:01","who":{"container":"4f2a","name":"web","aliases":["www"],"labels":{"tier":"front"}},"publish":[{"protocol":"udp","at":"192.0.2.1","host_port":8080,"port":80,"count":2}],"since":1}"#,
    r#"{"v":1,"life":"00000000-0000-0000-0000-000000000003","key":"k","addresses":["10.99.0.3"],"mac":"02:00:00:00:00:02","since":18446744073709551615}"#,
    r#"{"v":1,"listen":"[::]:7440","version":"0.1.0","started":1,"wall_ms":1}"#,
];

#[derive(Debug, Arbitrary)]
struct Input<'a> {
    transactions: Vec<Vec<Change<'a>>>,
    now: u64,
    spread: u128,
}

#[derive(Debug, Arbitrary)]
struct Change<'a> {
    key: KeyText<'a>,
    value: Option<Value<'a>>,
}

#[derive(Debug, Arbitrary)]
enum KeyText<'a> {
    Known(u8),
    Changed(u8, u8, u8),
    Any(&'a str),
}

#[derive(Debug, Arbitrary)]
enum Value<'a> {
    /// A record with some of its bytes replaced.
    Record(u8, Vec<(u16, u8)>),
    Any(&'a [u8]),
}

impl KeyText<'_> {
    fn text(&self) -> String {
        let known = |at: u8| KEYS[usize::from(at) % KEYS.len()];
        match *self {
            Self::Known(at) => known(at).into(),
            Self::Changed(at, place, with) => {
                let mut text = known(at).as_bytes().to_vec();
                let place = usize::from(place) % text.len();
                text[place] = with % 128;
                String::from_utf8_lossy(&text).into()
            }
            Self::Any(text) => text.into(),
        }
    }
}

impl Value<'_> {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Record(at, changes) => {
                let mut bytes = RECORDS[usize::from(*at) % RECORDS.len()]
                    .as_bytes()
                    .to_vec();
                for (place, with) in changes {
                    let place = usize::from(*place) % bytes.len();
                    bytes[place] = *with;
                }
                bytes
            }
            Self::Any(bytes) => bytes.to_vec(),
        }
    }
}

type Store = BTreeMap<String, (Vec<u8>, Revision)>;

fuzz_target!(|input: Input<'_>| {
    let mut store = Store::new();
    let mut registry = Registry::default();
    for (change, revision) in input.transactions.iter().zip(1..) {
        // One change to a key in one transaction, as stores have it.
        let change: BTreeMap<String, Option<Vec<u8>>> = change
            .iter()
            .map(|change| (change.key.text(), change.value.as_ref().map(Value::bytes)))
            .collect();
        registry.apply(
            revision,
            change
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_deref())),
        );
        for (key, value) in change {
            match value {
                Some(value) => store.insert(key, (value, revision)),
                None => store.remove(&key),
            };
        }
    }
    check(&store, &registry);
    decide(&registry, WallMs(input.now), input.spread);
});

fn check(store: &Store, registry: &Registry) {
    for (text, aside) in registry.set_aside() {
        assert_eq!(aside.revision, store[text].1);
        assert_eq!(aside.key, text.parse().ok());
        assert!(!aside.reason.is_empty());
    }
    for (text, (value, _)) in store {
        let aside = registry.set_aside().contains_key(text);
        match text.parse::<Key>() {
            Ok(key) => {
                assert_eq!(key.to_string(), *text);
                assert_eq!(registry.is_set_aside(&key), aside);
                if !aside {
                    read_again(&key, value);
                }
            }
            Err(_) => assert!(aside, "{text}"),
        }
    }
    let load = |known| {
        let entries = store
            .iter()
            .map(|(key, (value, at))| (key.as_str(), value.as_slice(), *at));
        Registry::load(registry.revision(), entries, known)
    };
    assert_eq!(load(Some(registry)), *registry);
    let fresh = load(None);
    assert_eq!(fresh.set_aside(), registry.set_aside());
    let changes = fresh.difference(registry);
    overlay::feed::peer_changes(&changes);
    endpoints(registry);
    for change in &changes.endpoints {
        let now = registry.endpoint(&change.network, &change.node, change.id);
        assert_eq!(change.after, now);
    }
}

/// None is seen but under a lease of its life.
fn endpoints(registry: &Registry) {
    for (_, space) in registry.spaces() {
        for (node, id, present) in space.endpoints() {
            let life = present.endpoint.value.life;
            assert_eq!(space.leases()[node].value.life, life);
            assert!(space.attached().get(node, id).is_some());
            assert_eq!(present.endpoint.value.public.check(), Ok(()));
        }
    }
}

/// What is written of a record that was read is read as the same.
fn read_again(key: &Key, value: &[u8]) {
    fn same<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &[u8]) {
        let record: T = record::read(value).expect("it was read before");
        assert_eq!(record::read(&record::encode(&record)), Ok(record));
    }
    match key {
        Key::Networks => same::<record::Networks>(value),
        Key::Network(_) => same::<overlay::network::Network>(value),
        Key::Node(_) => same::<record::Node>(value),
        Key::Removed(_) => same::<record::Removed>(value),
        Key::Lease(..) => same::<record::Lease>(value),
        Key::Claim(..) => same::<record::Claim>(value),
        Key::Free(..) => same::<record::Free>(value),
        Key::Reservation(..) => same::<record::Reservation>(value),
        Key::Underlay(..) => same::<record::Underlay>(value),
        Key::Endpoint(..) => same::<record::Endpoint>(value),
        Key::Session(_) => same::<record::Session>(value),
        Key::Controller(_) => same::<record::Controller>(value),
        Key::Authority => same::<record::Authority>(value),
        Key::Token(_) => same::<record::Token>(value),
        Key::Operator(_) => same::<record::Operator>(value),
    }
}

/// Every decision there is.
fn decide(registry: &Registry, now: WallMs, spread: u128) {
    let flight = Flight::default();
    let view = View {
        registry,
        flight: &flight,
        ctl: ControllerId(uuid(0xc0)),
        now,
        spread,
    };
    let life = Life(uuid(2));
    let sid = SessionId(uuid(3));
    let vtep = Vtep {
        underlay: Some("192.0.2.1".parse().expect("an address")),
        mac: Some("02:00:00:00:00:02".parse().expect("a MAC")),
    };
    let networks: Vec<NetworkName> = registry.spaces().map(|(name, _)| name.clone()).collect();
    for name in &networks {
        let space = registry.space(name).expect("it is one of them");
        for family in Family::BOTH {
            let _ = space.pool_use(family);
            let _ = space.next(family, spread, |_| false);
        }
        for node in ["a", "b"].map(|node| node.parse::<NodeName>().expect("a name")) {
            let acquire = Acquire {
                network: name.clone(),
                node: node.clone(),
                id: None,
                new_id: NodeId(uuid(1)),
                vtep,
                ttl: Duration::MAX,
                life,
            };
            judge(registry, lease::acquire(&view, &acquire));
            judge(
                registry,
                lease::renew(&view, name, &node, life, Duration::MAX),
            );
            judge(registry, lease::release(&view, name, &node, life));
            let membership = Membership {
                network: name.clone(),
                vtep,
                life,
            };
            judge(registry, session::join(&view, &node, sid, &membership));
            judge(registry, session::leave(&view, &node, sid, name));
            judge(registry, session::close(&view, &node, sid));
            let open = Open {
                node: node.clone(),
                id: NodeId(uuid(1)),
                sid,
                previous: Vec::new(),
                networks: vec![membership],
                ttl: TtlId(1),
            };
            judge(registry, session::open(&view, &open));
            judge(registry, node::remove(&view, &node));
            attach(registry, &view, name, &node, sid, life);
            let subnets =
                ["10.99.0.0/30", "fd99::/124"].map(|text| text.parse().expect("a subnet"));
            judge(registry, reserve::reserve(&view, name, &node, &subnets));
            judge(registry, reserve::unreserve(&view, name, &node));
        }
        let wider = ["10.99.0.0/16", "fd99::/64"].map(|text| text.parse().expect("a subnet"));
        judge(registry, network::grow(&view, name, &wider));
        judge(registry, network::delete(&view, name, true));
    }
    let seen = Seen {
        absent: registry
            .nodes()
            .keys()
            .map(|node| (node.clone(), Duration::MAX))
            .collect(),
        ..Seen::default()
    };
    let patience = Patience::default();
    for due in decay::due(&view, &seen, &patience, |_| 1.0) {
        judge(registry, decay::settle(&view, &patience, &due));
    }
}

/// A node tells what is there already, what is new, and that some are gone.
fn attach(
    registry: &Registry,
    view: &View<'_>,
    network: &NetworkName,
    node: &NodeName,
    sid: SessionId,
    life: Life,
) {
    let teller = Teller {
        node: node.clone(),
        sid,
        network: network.clone(),
        life,
    };
    let space = registry.space(network).expect("it is one of them");
    let held: BTreeMap<_, _> = space
        .attached()
        .of(node)
        .map(|(id, held)| (id, held.value.public.clone().into()))
        .collect();
    let ids: BTreeSet<_> = held.keys().copied().collect();
    for extent in [Extent::Changes, Extent::Part, Extent::Whole(BTreeSet::new())] {
        let news = News {
            set: held.clone(),
            gone: ids.clone(),
            extent,
        };
        if let Ok(plan) = endpoint::plan(view, &teller, &news) {
            for part in &plan.parts {
                judge(registry, endpoint::keep(view, &teller, part));
            }
        }
    }
    let gone = Part {
        set: held,
        gone: BTreeSet::new(),
    };
    judge(registry, endpoint::keep(view, &teller, &gone));
}

/// A refusal is one sentence. A transaction compares and writes nothing that cannot
/// be read, and each key once.
fn judge<T>(registry: &Registry, decided: Result<Decision<T>, Refusal>) {
    match decided {
        Ok(decision) => {
            let txn = decision.txn;
            let keys: BTreeSet<&Key> = txn.ops.iter().map(Op::key).collect();
            assert_eq!(keys.len(), txn.ops.len(), "{txn:?}");
            assert!(
                txn.compares
                    .iter()
                    .map(|compare| &compare.key)
                .filter(|key| !matches!(key, Key::Endpoint(..)))
                .all(|key| !registry.is_set_aside(key))
            );
        }
        Err(refusal) => assert!(!refusal.to_string().contains('\n')),
    }
}

fn uuid(number: u128) -> uuid::Uuid {
    uuid::Uuid::from_u128(number)
}
