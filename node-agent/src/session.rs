//! The session with a controller: one at a time, any of several, for ever.
//!
//! A session that ends is opened again, elsewhere if need be, from the revisions that
//! are held. What the controller tells goes to whoever listens as [`Told`].

use std::collections::{BTreeMap, VecDeque};

use overlay::{
    hash::fnv1a,
    name::{NetworkName, NodeName},
    pause::Pause,
    txn::Revision,
};
use proto::{
    decode,
    v1::{self, agent_message, agent_service_client::AgentServiceClient, controller_message},
};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming, transport::Channel};
use tracing::{info, warn};
use uuid::Uuid;

use crate::{access::Access, identity::Identity};

use answering::Answering;
pub(crate) use connection::connect;
pub use end::SessionError;
use end::refused_or_broken;
pub use member::{Joining, Joins, Member};
pub use talk::{Talk, replay};
use telling::Telling;
pub use telling::{Endpoints, Known, KnownOf, OfNetwork};
pub use told::Told;
use voice::{Said, Voice, join, room};

mod answering;
mod connection;
mod end;
mod member;
mod talk;
mod telling;
mod told;
mod voice;

/// Words on their way to the controller.
const BACKLOG: usize = 16;
/// A hello names so many networks at the most; the others are joined after it.
const MOST_AT_ONCE: usize = 8;

/// What is held of each network, to resume from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Held {
    pub cluster: String,
    pub revisions: BTreeMap<NetworkName, Revision>,
}

impl Held {
    /// Of a network that was not joined before, or was left meanwhile, nothing is held.
    fn forget_others(&mut self, before: &Joins, now: &Joins) {
        self.revisions
            .retain(|network, _| match (before.get(network), now.get(network)) {
                (Some(before), Some(now)) => before.turn == now.turn,
                _ => false,
            });
    }
}

/// Keeps a session open with one of these controllers until nobody listens, or until
/// one of them refuses this node for good.
pub async fn keep(
    urls: &[String],
    access: &Access,
    mut member: Member,
    identity: &mut Identity,
    mut held: Held,
    told: &mpsc::Sender<Told>,
) -> SessionError {
    let mut pause = Pause::default();
    let mut failures: u32 = 0;
    // What is held was held of these.
    let mut said = Said::new(member.joins.borrow().clone());
    for url in urls.iter().cycle().skip(first(&member.node, urls.len())) {
        let mut opened = false;
        let ends = Ends {
            said: &mut said,
            held: &mut held,
            opened: &mut opened,
        };
        let opening = async {
            let channel = connect(url, &access.line(url)?).await?;
            one(url, channel, &mut member, identity, told, ends).await
        };
        let error = match opening.await {
            Ok(()) => {
                SessionError::Broken(Box::new(Status::unavailable("the controller closed it")))
            }
            Err(error) => error,
        };
        match &error {
            SessionError::Refused(_) | SessionError::Stopping | SessionError::NotJoined => {
                return error;
            }
            // The disk may have room again.
            SessionError::Identity(_)
            | SessionError::Broken(_)
            | SessionError::Unreachable { .. }
            | SessionError::Nonsense(_) => {}
        }
        let closed = Told::Closed {
            reason: options::sentence(&error),
        };
        if told.send(closed).await.is_err() {
            return SessionError::Stopping;
        }
        if opened {
            (pause, failures) = (Pause::default(), 0);
            info!(%url, reason = %error, "the session ended; opening another");
        } else {
            failures += 1;
            // A repeated failure is said once, and then again when it has doubled.
            if failures.is_power_of_two() {
                warn!(%url, failures, %error, "no session with a controller");
            }
        }
        sleep(pause.take(random())).await;
    }
    SessionError::Unreachable {
        url: String::new(),
        reason: "no controller is configured".into(),
    }
}

/// Where in a list of so many controllers this node begins. A fleet shares one list:
/// by their names its nodes spread over it, each at the same place every time.
fn first(node: &NodeName, urls: usize) -> usize {
    let hash = fnv1a(node.as_str().as_bytes());
    let place = hash % (urls.max(1) as u64);
    usize::try_from(place).expect("a place in a list is a usize")
}

/// What one session leaves to the next.
struct Ends<'a> {
    said: &'a mut Said,
    held: &'a mut Held,
    opened: &'a mut bool,
}

/// One session, from hello to end.
async fn one(
    url: &str,
    channel: Channel,
    member: &mut Member,
    identity: &mut Identity,
    told: &mpsc::Sender<Told>,
    ends: Ends<'_>,
) -> Result<(), SessionError> {
    let Ends { said, held, opened } = ends;
    let previous = identity.previous().iter();
    let previous = previous.map(ToString::to_string).collect();
    let sid = identity.next_session()?;
    let joins = member.joins.borrow_and_update().clone();
    held.forget_others(&said.joins, &joins);
    let mut first = joins
        .iter()
        .map(|(network, joining)| join(network, &joining.vtep, held));
    let hello = v1::Hello {
        node: member.node.to_string(),
        node_id: identity.id().to_string(),
        session: sid.to_string(),
        previous,
        networks: first.by_ref().take(MOST_AT_ONCE).collect(),
        cluster: held.cluster.clone(),
        agent_version: member.version.clone(),
        features: vec![decode::ASK.into()],
    };
    let rest: Vec<v1::Join> = first.collect();
    let (say, words) = mpsc::channel(BACKLOG);
    said.change(joins);
    let line = say.clone();
    let mut voice = Voice::new(say, said);
    voice.say(agent_message::Message::Hello(hello)).await?;
    let mut client = AgentServiceClient::new(channel);
    let answer = client
        .session(ReceiverStream::new(words))
        .await
        .map_err(refused_or_broken)?;
    let mut stream = answer.into_inner();
    voice.leave_gone().await?;
    for join in rest {
        voice.say(agent_message::Message::Join(join)).await?;
    }
    member.report.mark_changed();
    let mut talk = Talk::default();
    let mut telling = Telling::new(&member.known);
    let mut outbox = VecDeque::new();
    let mut answering = Answering::new(member.doors.clone());
    loop {
        // Every arm is cancel-safe: a change stays marked as new until it is seen, a time
        // that has come is found to have come again, and a message is either returned or
        // still in the stream.
        let message = tokio::select! {
            message = next(&mut stream) => message?,
            Ok(()) = member.joins.changed() => {
                let joins = member.joins.borrow_and_update().clone();
                // A new connection is quicker than finding out that nothing comes back.
                if let Some(address) = voice.lost(&joins) {
                    let why = format!("this host no longer has the address {address}");
                    return Err(SessionError::Broken(Box::new(Status::unavailable(why))));
                }
                for network in voice.over(&joins) {
                    telling.left(&network);
                }
                voice.follow(joins, held).await?;
                continue;
            }
            Ok(()) = member.endpoints.changed() => {
                telling.stir();
                continue;
            }
            () = at(telling.next()) => {
                let endpoints = member.endpoints.borrow_and_update();
                outbox.extend(telling.words(&endpoints, voice.joins()));
                continue;
            }
            // Many words do not keep this side from listening: the other may be talking.
            room = room(&line), if !outbox.is_empty() || answering.has_words() => {
                let room = room?;
                if let Some(word) = outbox.pop_front() {
                    room.say(agent_message::Message::Endpoints(word));
                } else if let Some(word) = answering.word() {
                    room.say(agent_message::Message::Answer(word));
                }
                continue;
            }
            () = answering.answered() => continue,
            Ok(()) = member.report.changed(), if *opened => {
                let report = member.report.borrow_and_update().clone();
                voice.say(agent_message::Message::Report(report)).await?;
                continue;
            }
            () = sleep_until(talk.ask_again()) => {
                for network in talk.refused() {
                    if !voice.insist(&network, held).await? {
                        talk.forget(&network);
                    }
                }
                continue;
            }
        };
        let Some(message) = message else {
            return Ok(());
        };
        if let controller_message::Message::Welcome(welcome) = &message {
            identity.confirm(sid)?;
            *opened = true;
            info!(%url, controller = %welcome.controller, revision = welcome.revision, "session open");
            if held.cluster != welcome.cluster {
                held.cluster.clone_from(&welcome.cluster);
                held.revisions.clear();
                telling.forget();
            }
            let open = Told::Open {
                url: url.to_owned(),
                cluster: welcome.cluster.clone(),
                revision: welcome.revision,
            };
            told.send(open).await.map_err(|_| SessionError::Stopping)?;
        }
        if let controller_message::Message::Move(moved) = &message {
            info!(%url, reason = %moved.reason, "the controller asks to go to another");
            return Ok(());
        }
        let message = match message {
            controller_message::Message::Ask(ask) => {
                answering.ask(ask);
                continue;
            }
            other => other,
        };
        match &message {
            controller_message::Message::Joined(joined) => telling.joined(joined),
            controller_message::Message::EndpointsKept(kept) => {
                telling.kept(kept.clone(), random());
            }
            controller_message::Message::NetworkChanged(changed) if changed.network.is_none() => {
                if let Ok(name) = changed.name.parse() {
                    telling.left(&name);
                }
            }
            _ => {}
        }
        if let Some(word) = talk.interpret(message, held)? {
            // Nobody listens any more: the agent is stopping.
            told.send(word).await.map_err(|_| SessionError::Stopping)?;
        }
    }
}

/// At a time, or never.
async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
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

/// From 0 to 1.
pub(crate) fn random() -> f64 {
    f64::from(Uuid::new_v4().as_fields().0) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests;
