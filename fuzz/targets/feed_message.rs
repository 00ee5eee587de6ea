//! Whatever comes in over a session, from either side: bytes that are no message,
//! and messages that say anything.

#![no_main]

use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};
use overlay::{
    feed::Peers,
    id::{Life, NodeId},
};
use prost::Message;
use proto::{
    decode::{self, BadField},
    encode, v1,
};

/// Texts that fields take, or nearly take.
const TEXTS: [&str; 28] = [
    "",
    "default",
    "Default",
    "host-1.example",
    ".",
    "00000000-0000-0000-0000-000000000001",
    "{00000000-0000-0000-0000-000000000001}",
    "192.0.2.1",
    "0.0.0.0",
    "2001:db8::1",
    "::ffff:192.0.2.1",
    "fe80::1%eth0",
    "02:00:00:00:00:01",
    "ff:ff:ff:ff:ff:ff",
    "10.32.1.0/24",
    "10.32.1.1/24",
    "10.0.0.0/8",
    "0.0.0.0/0",
    "fd00::/64",
    "fd00::/48",
    "::/0",
    "v4",
    "v6",
    "auto",
    "00f3a9c1d2e4b",
    "cni/4f2a/eth0",
    "tcp",
    "8080:80",
];

#[derive(Debug, Arbitrary)]
struct Input<'a> {
    bytes: &'a [u8],
    texts: Vec<Text<'a>>,
    numbers: [u64; 4],
}

#[derive(Debug, Arbitrary)]
enum Text<'a> {
    Known(u8),
    Any(&'a str),
}

/// Gives the texts one after the other, over and over.
struct Texts<'a>(std::iter::Cycle<std::slice::Iter<'a, Text<'a>>>);

impl Texts<'_> {
    fn next(&mut self) -> String {
        match self.0.next() {
            Some(Text::Known(at)) => TEXTS[usize::from(*at) % TEXTS.len()].into(),
            Some(Text::Any(text)) => (*text).into(),
            None => String::new(),
        }
    }

    fn some(&mut self, count: u64) -> Vec<String> {
        (0..count % 20).map(|_| self.next()).collect()
    }
}

fuzz_target!(|input: Input<'_>| {
    bytes(input.bytes);
    let [a, b, c, d] = input.numbers;
    let mut texts = Texts(input.texts.iter().cycle());
    let joins = (0..b % 12).map(|_| join(&mut texts, c));
    let joins = joins.collect();
    hello(&v1::Hello {
        node: texts.next(),
        node_id: texts.next(),
        session: texts.next(),
        previous: texts.some(a),
        networks: joins,
        cluster: texts.next(),
        agent_version: texts.next(),
    });
    let peers = (0..d % 8).map(|_| v1::Peer {
        node: texts.next(),
        subnets: texts.some(a % 4),
        underlay: texts.next(),
        mac: texts.next(),
    });
    let set = peers.collect();
    changes(&v1::Changes {
        network: texts.next(),
        revision: c,
        set,
        gone: texts.some(b),
        partial: false,
    });
    let set = (0..a % 4).map(|_| endpoint(&mut texts, b, c));
    let set = set.collect();
    endpoints(v1::Endpoints {
        network: texts.next(),
        life: texts.next(),
        number: d,
        all: a % 2 == 0,
        set,
        gone: texts.some(b % 4),
        partial: false,
    });
    create_network(&v1::CreateNetworkRequest {
        name: texts.next(),
        pools: texts.some(a % 4),
        vni: b as u32,
        port: (b >> 32) as u32,
        subnet_len4: c as u32,
        subnet_len6: (c >> 32) as u32,
        underlay: texts.next(),
        encap: texts.next(),
        lapse_seconds: Some(d),
        ..Default::default()
    });
    acquire(&v1::AcquireRequest {
        network: texts.next(),
        node: texts.next(),
        node_id: texts.next(),
        underlay: texts.next(),
        mac: texts.next(),
        ttl_seconds: d,
    });
});

fn bytes(bytes: &[u8]) {
    use v1::{agent_message::Message as Agent, controller_message::Message as Controller};
    if let Some(message) = read::<v1::AgentMessage>(bytes) {
        match message.message {
            Some(Agent::Hello(ask)) => hello(&ask),
            Some(Agent::Join(ask)) => judge(decode::join(&ask)),
            Some(Agent::Endpoints(said)) => endpoints(said),
            Some(Agent::Leave(_) | Agent::Report(_)) | None => {}
        }
    }
    if let Some(message) = read::<v1::ControllerMessage>(bytes) {
        match message.message {
            Some(Controller::Changes(told)) => changes(&told),
            Some(Controller::Snapshot(told)) => {
                told.peers.iter().for_each(|peer| judge(decode::peer(peer)));
            }
            Some(
                Controller::Welcome(_)
                | Controller::Joined(_)
                | Controller::Refused(_)
                | Controller::Bookmark(_)
                | Controller::NetworkChanged(_)
                | Controller::EndpointsKept(_)
                | Controller::Move(_),
            )
            | None => {}
        }
    }
    read::<v1::CreateNetworkRequest>(bytes)
        .iter()
        .for_each(create_network);
    read::<v1::AcquireRequest>(bytes).iter().for_each(acquire);
}

/// A message that was read is written so that it is read as the same.
fn read<T: Message + Default + PartialEq + std::fmt::Debug>(bytes: &[u8]) -> Option<T> {
    let message = T::decode(bytes).ok()?;
    let again = T::decode(message.encode_to_vec().as_slice());
    assert_eq!(again.as_ref(), Ok(&message));
    Some(message)
}

fn join(texts: &mut Texts<'_>, revision: u64) -> v1::Join {
    v1::Join {
        network: texts.next(),
        underlay: texts.next(),
        mac: texts.next(),
        revision,
    }
}

fn endpoint(texts: &mut Texts<'_>, a: u64, b: u64) -> v1::Endpoint {
    let ports = (0..a % 3).map(|_| v1::PublishedPort {
        protocol: texts.next(),
        host_address: texts.next(),
        host_port: a as u32,
        port: b as u32,
        count: (b >> 32) as u32,
    });
    let ports = ports.collect();
    v1::Endpoint {
        id: texts.next(),
        key: texts.next(),
        addresses: texts.some(a % 3),
        mac: texts.next(),
        container: texts.next(),
        name: texts.next(),
        aliases: texts.some(b % 3),
        labels: [(texts.next(), texts.next())].into(),
        ports,
        since_ms: b,
        ..Default::default()
    }
}

/// Each endpoint is understood or refused by itself, and what was understood fits into
/// a record and is told again as the same.
fn endpoints(said: v1::Endpoints) {
    let count = said.set.len();
    let decoded = decode::endpoints(said);
    if let Ok(word) = &decoded {
        assert!(word.set.len() + word.refused.len() <= count);
        for (id, public) in &word.set {
            assert_eq!(public.check(), Ok(()));
            let again = decode::endpoint(encode::endpoint_alone(*id, public));
            assert_eq!(again.as_ref(), Ok(&(*id, public.clone())));
        }
        for reason in word.refused.values() {
            assert!(!reason.contains('\n'), "{reason}");
        }
    }
    judge(decoded);
}

fn hello(ask: &v1::Hello) {
    judge(decode::hello(ask));
}

/// What was understood is told again so that it is understood as the same.
fn changes(told: &v1::Changes) {
    let decoded = decode::peer_changes(told);
    if let Ok(changes) = &decoded {
        let again: Result<Peers, BadField> = changes
            .set
            .iter()
            .map(|peer| decode::peer(&encode::peer(peer)))
            .collect();
        assert_eq!(again.as_ref(), Ok(&changes.set));
    }
    judge(decoded);
}

fn create_network(ask: &v1::CreateNetworkRequest) {
    let decoded = decode::create_network(ask);
    if let Ok(spec) = &decoded
        && let Err(error) = spec.network([].iter())
    {
        assert!(!error.to_string().contains('\n'));
    }
    judge(decoded);
}

fn acquire(ask: &v1::AcquireRequest) {
    let (id, life) = (uuid::Uuid::from_u128(1), uuid::Uuid::from_u128(2));
    judge(decode::acquire(ask, NodeId(id), Life(life)));
}

/// What is wrong is one sentence that begins with the field.
fn judge<T>(decoded: Result<T, BadField>) {
    if let Err(error) = decoded {
        let text = error.to_string();
        assert!(
            text.starts_with(error.field) && !text.contains('\n'),
            "{text}"
        );
    }
}
