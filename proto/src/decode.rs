//! What comes in: parsed at the edge into types that cannot be wrong. An error
//! names the field.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::IpAddr,
    str::FromStr,
    sync::Arc,
    time::Duration,
};

use overlay::{
    decide::{
        lease::{Acquire, Vtep},
        session::Membership,
    },
    endpoint::{EndpointId, Public, Publish, Who},
    feed::{Peer, PeerChanges},
    id::{Life, NodeId, SessionId},
    name::{NetworkName, NodeName},
    network::{Encap, Network, NetworkSpec, NetworkState, Vni},
    record::{Mac, V1},
    subnet::{Family, Subnet},
    time::WallMs,
    txn::Revision,
};
use thiserror::Error;

use crate::v1;

pub use event::{event, wish};

mod event;

/// Where no network is named.
pub const DEFAULT_NETWORK: &str = "default";
/// Where no time to live is named.
pub const DEFAULT_TTL: Duration = Duration::from_secs(3600);
/// The longest time to live: a year.
const LONGEST_TTL: Duration = Duration::from_secs(366 * 24 * 3600);
/// The shortest time for which a lapsed lease stays its node's.
const SHORTEST_LAPSE: Duration = Duration::from_secs(1);
/// The feature of an agent that answers what is asked of it from afar.
pub const ASK: &str = "ask";
/// An agent names so many former sessions at the most, and joins so many networks at once.
const MOST_PREVIOUS: usize = 16;
const MOST_JOINS: usize = 8;

#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{field}: {problem}")]
pub struct BadField {
    pub field: &'static str,
    pub problem: String,
}

impl BadField {
    pub fn new(field: &'static str, problem: impl fmt::Display) -> Self {
        Self {
            field,
            problem: problem.to_string(),
        }
    }
}

/// A required field.
pub fn parse<T: FromStr<Err: fmt::Display>>(
    field: &'static str,
    text: &str,
) -> Result<T, BadField> {
    text.parse().map_err(|error| BadField::new(field, error))
}

/// An optional field: the empty text is none.
pub fn parse_optional<T: FromStr<Err: fmt::Display>>(
    field: &'static str,
    text: &str,
) -> Result<Option<T>, BadField> {
    match text {
        "" => Ok(None),
        text => parse(field, text).map(Some),
    }
}

pub fn network_or_default(name: &str) -> Result<NetworkName, BadField> {
    match name {
        "" => parse("network", DEFAULT_NETWORK),
        name => parse("network", name),
    }
}

pub fn subnets(field: &'static str, texts: &[String]) -> Result<Vec<Subnet>, BadField> {
    texts.iter().map(|text| parse(field, text)).collect()
}

pub fn ttl(seconds: u64) -> Result<Duration, BadField> {
    match Duration::from_secs(seconds) {
        Duration::ZERO => Ok(DEFAULT_TTL),
        ttl if ttl > LONGEST_TTL => Err(BadField::new("ttl_seconds", "longer than a year")),
        ttl => Ok(ttl),
    }
}

pub fn create_network(ask: &v1::CreateNetworkRequest) -> Result<NetworkSpec, BadField> {
    let mut spec = NetworkSpec::new(parse("name", &ask.name)?, subnets("pools", &ask.pools)?);
    if ask.vni != 0 {
        spec.vni = Some(vni(ask.vni)?);
    }
    if ask.port != 0 {
        spec.port = Some(small("port", ask.port)?);
    }
    if ask.subnet_len4 != 0 {
        spec.len4 = Some(small("subnet_len4", ask.subnet_len4)?);
    }
    if ask.subnet_len6 != 0 {
        spec.len6 = Some(small("subnet_len6", ask.subnet_len6)?);
    }
    if !ask.underlay.is_empty() {
        spec.underlay = family("underlay", &ask.underlay)?;
    }
    if !ask.encap.is_empty() {
        spec.encap = encap(&ask.encap)?;
    }
    spec.masquerade = ask.masquerade.unwrap_or(true);
    if let Some(seconds) = ask.lapse_seconds {
        spec.lapse = Duration::from_secs(seconds);
        if spec.lapse < SHORTEST_LAPSE || spec.lapse > LONGEST_TTL {
            return Err(BadField::new(
                "lapse_seconds",
                "must be between a second and a year",
            ));
        }
    }
    Ok(spec)
}

/// A network as a controller tells it.
pub fn network(told: &v1::Network) -> Result<Network, BadField> {
    let pools = subnets("pools", &told.pools)?;
    let pool = |family| pools.iter().copied().find(|pool| pool.family() == family);
    Ok(Network {
        v: V1,
        name: parse("name", &told.name)?,
        vni: vni(told.vni)?,
        port: small("port", told.port)?,
        pool4: pool(Family::V4),
        pool6: pool(Family::V6),
        len4: small("subnet_len4", told.subnet_len4)?,
        len6: small("subnet_len6", told.subnet_len6)?,
        lapse_s: told.lapse_seconds,
        underlay: family("underlay", &told.underlay)?,
        encap: encap(&told.encap)?,
        masquerade: told.masquerade,
        state: match told.state.as_str() {
            "deleting" => NetworkState::Deleting,
            _ => NetworkState::Active,
        },
    })
}

/// The ids are for what this request may begin; whoever calls brings the randomness.
pub fn acquire(ask: &v1::AcquireRequest, new_id: NodeId, life: Life) -> Result<Acquire, BadField> {
    Ok(Acquire {
        network: network_or_default(&ask.network)?,
        node: parse("node", &ask.node)?,
        id: parse_optional("node_id", &ask.node_id)?,
        new_id,
        vtep: vtep(&ask.underlay, &ask.mac)?,
        ttl: ttl(ask.ttl_seconds)?,
        life,
    })
}

/// An agent's first message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    pub node: NodeName,
    pub id: NodeId,
    pub sid: SessionId,
    pub previous: Vec<SessionId>,
    pub joins: Vec<Join>,
    pub cluster: String,
    pub version: String,
    /// It answers what is asked of it from afar.
    pub answers: bool,
}

/// A network an agent joins, and what it holds of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Join {
    pub network: NetworkName,
    pub vtep: Vtep,
    pub held: Revision,
}

impl Join {
    pub fn membership(&self, life: Life) -> Membership {
        Membership {
            network: self.network.clone(),
            vtep: self.vtep,
            life,
        }
    }
}

pub fn hello(hello: &v1::Hello) -> Result<Hello, BadField> {
    if hello.previous.len() > MOST_PREVIOUS {
        let problem = format!("more than {MOST_PREVIOUS} sessions");
        return Err(BadField::new("previous", problem));
    }
    if hello.networks.len() > MOST_JOINS {
        let problem = format!("more than {MOST_JOINS} at once; join the others afterwards");
        return Err(BadField::new("networks", problem));
    }
    let mut joins: Vec<Join> = hello.networks.iter().map(join).collect::<Result<_, _>>()?;
    joins.sort_by(|a, b| a.network.cmp(&b.network));
    if let Some(twice) = joins
        .windows(2)
        .find(|pair| pair[0].network == pair[1].network)
    {
        let problem = format!("{} is named twice", twice[0].network);
        return Err(BadField::new("networks", problem));
    }
    Ok(Hello {
        node: parse("node", &hello.node)?,
        id: parse("node_id", &hello.node_id)?,
        sid: parse("session", &hello.session)?,
        previous: hello
            .previous
            .iter()
            .map(|sid| parse("previous", sid))
            .collect::<Result<_, _>>()?,
        joins,
        cluster: hello.cluster.clone(),
        version: hello.agent_version.chars().take(64).collect(),
        answers: hello.features.iter().any(|feature| feature == ASK),
    })
}

pub fn join(join: &v1::Join) -> Result<Join, BadField> {
    Ok(Join {
        network: network_or_default(&join.network)?,
        vtep: vtep(&join.underlay, &join.mac)?,
        held: join.revision,
    })
}

fn vtep(underlay: &str, mac: &str) -> Result<Vtep, BadField> {
    Ok(Vtep {
        underlay: parse_optional::<IpAddr>("underlay", underlay)?,
        mac: parse_optional::<Mac>("mac", mac)?,
    })
}

/// What an agent is told became different.
pub fn peer_changes(changes: &v1::Changes) -> Result<PeerChanges, BadField> {
    Ok(PeerChanges {
        set: changes.set.iter().map(peer).collect::<Result<_, _>>()?,
        gone: changes
            .gone
            .iter()
            .map(|node| parse("gone", node))
            .collect::<Result<_, _>>()?,
    })
}

pub fn peer(peer: &v1::Peer) -> Result<(NodeName, Peer), BadField> {
    let subnets = subnets("subnets", &peer.subnets)?;
    let of = |family| {
        subnets
            .iter()
            .copied()
            .find(|subnet| subnet.family() == family)
    };
    let decoded = Peer {
        v4: of(Family::V4),
        v6: of(Family::V6),
        underlay: parse("underlay", &peer.underlay)?,
        mac: parse("mac", &peer.mac)?,
    };
    if decoded.subnets().count() != subnets.len() {
        return Err(BadField::new("subnets", "more than one of a family"));
    }
    Ok((parse("node", &peer.node)?, decoded))
}

/// What an agent says of its endpoints in one network: a message of one part or several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointWord {
    pub network: NetworkName,
    pub life: Life,
    pub number: u64,
    pub all: bool,
    pub set: BTreeMap<EndpointId, Arc<Public>>,
    pub gone: BTreeSet<EndpointId>,
    pub partial: bool,
    /// What cannot be an endpoint, and why: it is nothing to the others.
    pub refused: BTreeMap<String, String>,
}

pub fn endpoints(said: v1::Endpoints) -> Result<EndpointWord, BadField> {
    let mut word = EndpointWord {
        network: parse("network", &said.network)?,
        life: parse("life", &said.life)?,
        number: said.number,
        all: said.all,
        set: BTreeMap::new(),
        gone: said
            .gone
            .iter()
            .map(|id| parse("gone", id))
            .collect::<Result<_, _>>()?,
        partial: said.partial,
        refused: BTreeMap::new(),
    };
    for one in said.set {
        let id = one.id.clone();
        match endpoint(one) {
            Ok((id, public)) => {
                word.set.insert(id, public);
            }
            Err(error) => {
                word.refused.insert(id, error.to_string());
            }
        }
    }
    Ok(word)
}

pub fn endpoint(told: v1::Endpoint) -> Result<(EndpointId, Arc<Public>), BadField> {
    let text = |text: String| (!text.is_empty()).then_some(text);
    let public = Public {
        key: parse("key", &told.key)?,
        addresses: told
            .addresses
            .iter()
            .map(|address| parse("addresses", address))
            .collect::<Result<_, _>>()?,
        mac: parse("mac", &told.mac)?,
        who: Who {
            container: text(told.container),
            name: text(told.name),
            aliases: told.aliases,
            labels: told.labels,
        },
        publish: told.ports.iter().map(published).collect::<Result<_, _>>()?,
        since: WallMs(told.since_ms),
    };
    let fits = public.check();
    fits.map_err(|error| BadField::new("endpoint", error))?;
    Ok((parse("id", &told.id)?, Arc::new(public)))
}

fn published(port: &v1::PublishedPort) -> Result<Publish, BadField> {
    Ok(Publish {
        protocol: parse("protocol", &port.protocol)?,
        at: parse_optional("host_address", &port.host_address)?,
        host_port: small("host_port", port.host_port)?,
        port: small("port", port.port)?,
        count: small("count", port.count.max(1))?,
    })
}

fn family(field: &'static str, text: &str) -> Result<Family, BadField> {
    match text {
        "v4" => Ok(Family::V4),
        "v6" => Ok(Family::V6),
        other => Err(BadField::new(
            field,
            format!("{other:?} is neither v4 nor v6"),
        )),
    }
}

fn encap(text: &str) -> Result<Encap, BadField> {
    Encap::from_str(text).map_err(|error| BadField::new("encap", error.problem))
}

fn vni(number: u32) -> Result<Vni, BadField> {
    Vni::try_from(number).map_err(|error| BadField::new("vni", error.problem))
}

fn small<T: TryFrom<u32>>(field: &'static str, value: u32) -> Result<T, BadField> {
    T::try_from(value).map_err(|_| BadField::new(field, format!("{value} is too large")))
}
