//! The session with a controller: one at a time, any of several, for ever.
//!
//! A session that ends is opened again, elsewhere if need be, from the revisions that
//! are held. What the controller tells goes to whoever listens as [`Told`].

use std::{collections::BTreeMap, time::Duration};

use overlay::{
    feed::{PeerChanges, Peers},
    name::{NetworkName, NodeName},
    txn::Revision,
};
use proto::{
    decode::{self, BadField},
    v1::{self, agent_message, agent_service_client::AgentServiceClient, controller_message},
};
use thiserror::Error;
use tokio::{sync::mpsc, time::sleep};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming, transport::Endpoint};
use tracing::{info, warn};
use uuid::Uuid;

use crate::identity::{Identity, IdentityError};

const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// A controller that answers no ping is gone: another is tried.
const PING_EVERY: Duration = Duration::from_secs(2);
const PING_TIMEOUT: Duration = Duration::from_secs(2);
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Words on their way to the controller.
const BACKLOG: usize = 16;

/// What an agent brings to a session.
#[derive(Debug, Clone)]
pub struct Member {
    pub node: NodeName,
    pub joins: Vec<v1::Join>,
    pub version: String,
}

/// What a controller told, parsed.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    Joined {
        network: Option<v1::Network>,
        lease: v1::Lease,
    },
    /// All peers: what is not here is not there.
    Snapshot {
        network: NetworkName,
        revision: Revision,
        peers: Peers,
    },
    Changes {
        network: NetworkName,
        revision: Revision,
        changes: PeerChanges,
    },
    NetworkChanged {
        name: NetworkName,
        network: Option<v1::Network>,
    },
    Refused {
        network: String,
        reason: String,
    },
}

#[derive(Debug, Error)]
pub enum SessionError {
    /// Another attempt will not be answered otherwise.
    #[error("the controller refused this node: {}", .0.message())]
    Refused(Box<Status>),
    #[error("{}", .0.message())]
    Broken(Box<Status>),
    #[error(
        "no controller can be reached at {url}: {reason}; does weft-controller listen there, \
         and is the way to it open?"
    )]
    Unreachable { url: String, reason: String },
    #[error("the controller said something that cannot be: {0}")]
    Nonsense(#[from] BadField),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error("the agent is stopping")]
    Stopping,
}

/// What is held of each network, to resume from.
#[derive(Debug, Default)]
struct Held {
    cluster: String,
    revisions: BTreeMap<NetworkName, Revision>,
}

/// Keeps a session open with one of these controllers until nobody listens, or until
/// one of them refuses this node for good.
pub async fn keep(
    urls: &[String],
    member: &Member,
    identity: &mut Identity,
    told: &mpsc::Sender<Told>,
) -> SessionError {
    let mut held = Held::default();
    let mut pause = FIRST_PAUSE;
    let mut failures: u32 = 0;
    for url in urls.iter().cycle().skip(first(&member.node, urls.len())) {
        let mut opened = false;
        let error = match one(url, member, identity, &mut held, told, &mut opened).await {
            Ok(()) => {
                SessionError::Broken(Box::new(Status::unavailable("the controller closed it")))
            }
            Err(error) => error,
        };
        match &error {
            SessionError::Refused(_) | SessionError::Identity(_) | SessionError::Stopping => {
                return error;
            }
            SessionError::Broken(_)
            | SessionError::Unreachable { .. }
            | SessionError::Nonsense(_) => {}
        }
        if opened {
            (pause, failures) = (FIRST_PAUSE, 0);
            info!(%url, reason = %error, "the session ended; opening another");
        } else {
            failures += 1;
            // A repeated failure is said once, and then again when it has doubled.
            if failures.is_power_of_two() {
                warn!(%url, failures, %error, "no session with a controller");
            }
        }
        sleep(jittered(pause)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    SessionError::Unreachable {
        url: String::new(),
        reason: "no controller is configured".into(),
    }
}

/// Where in a list of so many controllers this node begins. A fleet shares one list:
/// by their names its nodes spread over it, each at the same place every time.
fn first(node: &NodeName, urls: usize) -> usize {
    // FNV-1a: the standard library's hash may change with its version.
    let hash = node
        .as_str()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    let place = hash % (urls.max(1) as u64);
    usize::try_from(place).expect("a place in a list is a usize")
}

/// One session, from hello to end.
async fn one(
    url: &str,
    member: &Member,
    identity: &mut Identity,
    held: &mut Held,
    told: &mpsc::Sender<Told>,
    opened: &mut bool,
) -> Result<(), SessionError> {
    let unreachable = |reason: String| SessionError::Unreachable {
        url: url.to_owned(),
        reason,
    };
    let endpoint = Endpoint::from_shared(url.to_owned())
        .map_err(|error| unreachable(options::root(&error).to_string()))?
        .connect_timeout(CONNECT_WITHIN)
        .http2_keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT)
        .keep_alive_while_idle(true);
    let channel = endpoint
        .connect()
        .await
        .map_err(|error| unreachable(options::root(&error).to_string()))?;
    let previous = identity
        .previous()
        .iter()
        .map(ToString::to_string)
        .collect();
    let sid = identity.next_session()?;
    let hello = v1::Hello {
        node: member.node.to_string(),
        node_id: identity.id().to_string(),
        session: sid.to_string(),
        previous,
        networks: member.joins.iter().map(|join| resume(join, held)).collect(),
        cluster: held.cluster.clone(),
        agent_version: member.version.clone(),
    };
    let (say, words) = mpsc::channel(BACKLOG);
    let first = v1::AgentMessage {
        message: Some(agent_message::Message::Hello(hello)),
    };
    say.send(first).await.map_err(|_| SessionError::Stopping)?;
    let mut client = AgentServiceClient::new(channel);
    let answer = client
        .session(ReceiverStream::new(words))
        .await
        .map_err(refused_or_broken)?;
    let mut stream = answer.into_inner();
    let mut parts = Peers::new();
    while let Some(message) = next(&mut stream).await? {
        if let controller_message::Message::Welcome(welcome) = &message {
            identity.confirm(sid)?;
            *opened = true;
            info!(%url, controller = %welcome.controller, revision = welcome.revision, "session open");
            if held.cluster != welcome.cluster {
                held.cluster.clone_from(&welcome.cluster);
                held.revisions.clear();
            }
        }
        if let controller_message::Message::Move(moved) = &message {
            info!(%url, reason = %moved.reason, "the controller asks to go to another");
            return Ok(());
        }
        if let Some(word) = interpret(message, held, &mut parts)? {
            // Nobody listens any more: the agent is stopping.
            told.send(word).await.map_err(|_| SessionError::Stopping)?;
        }
    }
    Ok(())
}

async fn next(
    stream: &mut Streaming<v1::ControllerMessage>,
) -> Result<Option<controller_message::Message>, SessionError> {
    loop {
        match stream.message().await.map_err(refused_or_broken)? {
            Some(v1::ControllerMessage { message: None }) => {}
            Some(v1::ControllerMessage { message }) => return Ok(message),
            None => return Ok(None),
        }
    }
}

/// What a message means to whoever listens, and what is held after it.
fn interpret(
    message: controller_message::Message,
    held: &mut Held,
    parts: &mut Peers,
) -> Result<Option<Told>, BadField> {
    let word = match message {
        controller_message::Message::Joined(joined) => Told::Joined {
            network: joined.network,
            lease: joined.lease.unwrap_or_default(),
        },
        controller_message::Message::Snapshot(snapshot) => {
            for peer in &snapshot.peers {
                let (node, peer) = decode::peer(peer)?;
                parts.insert(node, peer);
            }
            if !snapshot.last {
                return Ok(None);
            }
            let network: NetworkName = decode::parse("network", &snapshot.network)?;
            held.revisions.insert(network.clone(), snapshot.revision);
            Told::Snapshot {
                network,
                revision: snapshot.revision,
                peers: std::mem::take(parts),
            }
        }
        controller_message::Message::Changes(changes) => {
            let network: NetworkName = decode::parse("network", &changes.network)?;
            if !changes.partial {
                held.revisions.insert(network.clone(), changes.revision);
            }
            Told::Changes {
                network,
                revision: changes.revision,
                changes: decode::peer_changes(&changes)?,
            }
        }
        controller_message::Message::Bookmark(bookmark) => {
            let network = decode::parse("network", &bookmark.network)?;
            held.revisions.insert(network, bookmark.revision);
            return Ok(None);
        }
        controller_message::Message::NetworkChanged(changed) => Told::NetworkChanged {
            name: decode::parse("name", &changed.name)?,
            network: changed.network,
        },
        controller_message::Message::Refused(refused) => Told::Refused {
            network: refused.network,
            reason: refused.reason,
        },
        controller_message::Message::Welcome(_) | controller_message::Message::Move(_) => {
            return Ok(None);
        }
    };
    Ok(Some(word))
}

fn resume(join: &v1::Join, held: &Held) -> v1::Join {
    let network: Result<NetworkName, _> = join.network.parse();
    let revision = network
        .ok()
        .and_then(|network| held.revisions.get(&network).copied());
    v1::Join {
        revision: revision.unwrap_or(0),
        ..join.clone()
    }
}

fn refused_or_broken(status: Status) -> SessionError {
    match status.code() {
        Code::PermissionDenied
        | Code::AlreadyExists
        | Code::InvalidArgument
        | Code::Unauthenticated => SessionError::Refused(Box::new(status)),
        _ => SessionError::Broken(Box::new(status)),
    }
}

/// Half to one and a half times as long: thousands of agents do not come back as one.
fn jittered(pause: Duration) -> Duration {
    let random = f64::from(Uuid::new_v4().as_fields().0) / f64::from(u32::MAX);
    pause.mul_f64(0.5 + random)
}

#[cfg(test)]
mod tests;
