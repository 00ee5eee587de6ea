//! An agent: its session with one controller after the other, as `node-agent/src/session`
//! keeps it, over lines that are no sockets.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use overlay::{
    feed::{PeerChanges, Peers},
    hash::fnv1a,
    name::NetworkName,
};
use proto::{
    decode,
    v1::{
        self, agent_message::Message as Word, agent_service_client::AgentServiceClient,
        controller_message::Message,
    },
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, interval, sleep},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use crate::{
    dice::Dice,
    judge,
    machine::{Joined, Machine},
    world::World,
};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const ASK_AGAIN: Duration = Duration::from_secs(10);
const BACKLOG: usize = 16;

/// One agent that runs.
pub struct Agent {
    world: Arc<World>,
    number: usize,
    dice: Dice,
    /// Wakes when the machine's joins are others.
    moved: watch::Receiver<()>,
}

/// What was heard of and is not whole yet.
#[derive(Default)]
struct Talk {
    parts: Peers,
    told: judge::Peers,
    changes: PeerChanges,
    controller: String,
    refused: BTreeMap<String, Instant>,
}

impl Agent {
    pub fn new(world: Arc<World>, number: usize, dice: Dice, moved: watch::Receiver<()>) -> Self {
        Self {
            world,
            number,
            dice,
            moved,
        }
    }

    /// Until it is told that it is not wanted.
    pub async fn live(mut self) {
        let name = self.with(|machine| machine.name.to_string());
        let controllers = self.world.controllers();
        let mut place = (fnv1a(name.as_bytes()) % controllers as u64) as usize;
        let mut pause = FIRST_PAUSE;
        loop {
            let mut opened = false;
            let error = match self.one(place, &mut opened).await {
                Ok(()) => Status::unavailable("the controller closed it"),
                Err(error) => error,
            };
            self.world
                .trace
                .say(format_args!("{name}: no session with {place}: {error:?}"));
            match error.code() {
                Code::PermissionDenied => {
                    self.with(|machine| machine.out = true);
                    if !self.world.may_be_out(&name) {
                        self.world
                            .trace
                            .wrong(format_args!("{name} is refused: {error}"));
                    }
                    return;
                }
                // A record of its own may be garbage.
                Code::FailedPrecondition
                | Code::Unavailable
                | Code::Aborted
                | Code::DeadlineExceeded => {}
                _ => self
                    .world
                    .trace
                    .wrong(format_args!("{name} is told {error:?}")),
            }
            if opened {
                pause = FIRST_PAUSE;
            }
            let half = pause / 2;
            sleep(half + Duration::from_micros(self.dice.next() % pause.as_micros() as u64)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            place = (place + 1) % controllers;
        }
    }

    async fn one(&mut self, place: usize, opened: &mut bool) -> Result<(), Status> {
        let line = self
            .world
            .connect(self.number, place, &mut self.dice)
            .await?;
        let (hello, mut said) = self.with(|machine| {
            let previous = machine.previous.iter().map(ToString::to_string).collect();
            let sid = machine.next_session();
            let joins = machine.joins();
            let networks = joins.keys().map(|network| join(machine, network)).collect();
            let hello = v1::Hello {
                node: machine.name.to_string(),
                node_id: machine.id.to_string(),
                session: sid.to_string(),
                previous,
                networks,
                cluster: machine.memory.cluster.clone(),
                agent_version: "0".into(),
            };
            (hello, joins)
        });
        self.moved.mark_unchanged();
        let (say, words) = mpsc::channel(BACKLOG);
        tell(&say, Word::Hello(hello)).await?;
        let mut client = AgentServiceClient::new(line);
        let mut stream = client
            .session(ReceiverStream::new(words))
            .await?
            .into_inner();
        let mut talk = Talk::default();
        let mut tick = interval(Duration::from_secs(1));
        loop {
            // Cancel-safe, all of them: what was not heard is still in the stream.
            let message = tokio::select! {
                message = stream.message() => message?,
                Ok(()) = self.moved.changed() => {
                    self.follow(&say, &mut said).await?;
                    continue;
                }
                _ = tick.tick() => {
                    self.ask_again(&say, &mut talk).await?;
                    continue;
                }
            };
            let Some(message) = message else {
                return Ok(());
            };
            let Some(message) = message.message else {
                continue;
            };
            if let Message::Move(_) = message {
                return Ok(());
            }
            if let Message::Welcome(_) = message {
                *opened = true;
            }
            let name = said.keys().next().cloned();
            if let Err(wrong) = self.hear(&mut talk, message) {
                self.world
                    .trace
                    .wrong(format_args!("agent {} {name:?}: {wrong}", self.number));
            }
            if *opened {
                let report = self.with(|machine| report(machine));
                tell(&say, Word::Report(report)).await?;
            }
            if self.dice.per_mille(200) {
                self.with(|machine| machine.kept = Some(machine.memory.clone()));
            }
            // Some read slowly.
            if self.dice.per_mille(20) && !self.world.weather.is_calm() {
                sleep(self.dice.pause(Duration::from_secs(8))).await;
            }
        }
    }

    /// Joins what is new or has another VTEP, and leaves what is gone.
    async fn follow(
        &self,
        say: &mpsc::Sender<v1::AgentMessage>,
        said: &mut BTreeMap<NetworkName, Joined>,
    ) -> Result<(), Status> {
        let joins = self.with(|machine| machine.joins());
        let over = |(network, joined): &(&NetworkName, &Joined)| {
            let now = joins.get(*network);
            now.is_none_or(|now| now.time != joined.time)
        };
        for (network, _) in said.iter().filter(over) {
            let network = network.to_string();
            tell(say, Word::Leave(v1::Leave { network })).await?;
        }
        for (network, joined) in &joins {
            if said.get(network) != Some(joined) {
                let join = self.with(|machine| join(machine, network));
                tell(say, Word::Join(join)).await?;
            }
        }
        *said = joins;
        Ok(())
    }

    async fn ask_again(
        &self,
        say: &mpsc::Sender<v1::AgentMessage>,
        talk: &mut Talk,
    ) -> Result<(), Status> {
        let now = Instant::now();
        for (network, at) in &mut talk.refused {
            if *at <= now {
                *at = now + ASK_AGAIN;
                let Ok(network) = network.parse() else {
                    continue;
                };
                let again = self.with(|machine| {
                    machine
                        .wanted
                        .contains(&network)
                        .then(|| join(machine, &network))
                });
                if let Some(again) = again {
                    tell(say, Word::Join(again)).await?;
                }
            }
        }
        Ok(())
    }

    fn with<T>(&self, act: impl FnOnce(&mut Machine) -> T) -> T {
        self.world.machine(self.number, act)
    }

    fn hear(&self, talk: &mut Talk, message: Message) -> Result<(), String> {
        let bad = |error: decode::BadField| error.to_string();
        let now = self.world.elapsed();
        match message {
            Message::Welcome(welcome) => {
                talk.controller = welcome.controller;
                self.with(|machine| {
                    if let Some(sid) = machine.previous.last().copied() {
                        machine.confirm(sid);
                    }
                    if machine.memory.cluster != welcome.cluster {
                        machine.memory.cluster = welcome.cluster;
                        machine.memory.held.clear();
                    }
                    let name = &machine.name;
                    self.world
                        .trace
                        .say(format_args!("{name}: session at {}", welcome.revision));
                });
            }
            Message::Joined(joined) => {
                let lease = joined.lease.unwrap_or_default();
                self.world.told_lease(&lease);
                let subnets = decode::subnets("subnets", &lease.subnets).map_err(bad)?;
                // The record of a network that cannot be read is not told.
                if let Some(network) = &joined.network {
                    let network = decode::network(network).map_err(bad)?;
                    talk.refused.remove(network.name.as_str());
                    self.with(|machine| machine.leased(network, subnets));
                }
            }
            Message::Snapshot(snapshot) => {
                for peer in &snapshot.peers {
                    let (node, decoded) = decode::peer(peer).map_err(bad)?;
                    talk.parts.insert(node, decoded);
                    talk.told.insert(peer.node.clone(), as_told(peer));
                }
                if !snapshot.last {
                    return Ok(());
                }
                let network: NetworkName =
                    decode::parse("network", &snapshot.network).map_err(bad)?;
                let (peers, told) = (
                    std::mem::take(&mut talk.parts),
                    std::mem::take(&mut talk.told),
                );
                let counts = self.with(|machine| {
                    // Told of a time before it left: nothing is known of it any more.
                    let counts = machine.memory.host.member(&network).is_some();
                    if counts {
                        machine.memory.told.insert(network.clone(), told);
                        machine.snapshot(&network, peers, now);
                    }
                    counts
                });
                if counts {
                    return self.holds(talk, &network, snapshot.revision, true);
                }
            }
            Message::Changes(changes) => {
                let network: NetworkName =
                    decode::parse("network", &changes.network).map_err(bad)?;
                talk.changes
                    .then(&decode::peer_changes(&changes).map_err(bad)?);
                self.with(|machine| {
                    let Some(told) = machine.memory.told.get_mut(&network) else {
                        return;
                    };
                    for node in &changes.gone {
                        told.remove(node);
                    }
                    told.extend(
                        changes
                            .set
                            .iter()
                            .map(|peer| (peer.node.clone(), as_told(peer))),
                    );
                });
                if changes.partial {
                    return Ok(());
                }
                let whole = std::mem::take(&mut talk.changes);
                self.with(|machine| machine.changes(&network, whole, now));
                return self.holds(talk, &network, changes.revision, false);
            }
            Message::Bookmark(bookmark) => {
                let network = decode::parse("network", &bookmark.network).map_err(bad)?;
                return self.holds(talk, &network, bookmark.revision, false);
            }
            Message::NetworkChanged(changed) => {
                let name = decode::parse("name", &changed.name).map_err(bad)?;
                let network = changed.network.as_ref().map(decode::network).transpose();
                let network = network.map_err(bad)?;
                self.with(|machine| machine.network_changed(&name, network));
            }
            Message::Refused(refused) => {
                self.world.trace.say(format_args!(
                    "agent {}: refused {}: {}",
                    self.number, refused.network, refused.reason
                ));
                talk.refused
                    .insert(refused.network, Instant::now() + ASK_AGAIN);
            }
            Message::Move(_) => {}
        }
        Ok(())
    }

    /// The agent holds this revision of a network now: is it what the store had then?
    fn holds(
        &self,
        talk: &Talk,
        network: &NetworkName,
        revision: u64,
        snapshot: bool,
    ) -> Result<(), String> {
        self.with(|machine| {
            if !snapshot && !machine.memory.held.contains_key(network) {
                return Ok(());
            }
            let before = machine.memory.held.insert(network.clone(), revision);
            if before.is_some_and(|before| before > revision) {
                return Err(format!("{network}: told {revision} after {before:?}"));
            }
            let (name, told) = (&machine.name, machine.memory.told.get(network));
            let count = told.map_or(0, BTreeMap::len);
            self.world.trace.say(format_args!(
                "{name}: {network} at {revision}, {count} peers"
            ));
            let knows = snapshot
                .then(|| self.world.knows(&talk.controller))
                .flatten();
            let none = judge::Peers::new();
            let told = told.unwrap_or(&none);
            self.world
                .told_peers(network, revision, told, &mut machine.memory.excused, knows)
        })
    }
}

fn as_told(peer: &v1::Peer) -> judge::Peer {
    judge::Peer {
        subnets: peer.subnets.clone(),
        underlay: peer.underlay.clone(),
        mac: peer.mac.clone(),
    }
}

fn join(machine: &Machine, network: &NetworkName) -> v1::Join {
    v1::Join {
        network: network.to_string(),
        underlay: machine.address.to_string(),
        mac: machine.mac.to_string(),
        revision: machine.memory.held.get(network).copied().unwrap_or(0),
    }
}

fn report(machine: &Machine) -> v1::Report {
    let network = |(network, revision): (&NetworkName, &u64)| v1::NetworkReport {
        network: network.to_string(),
        applied_revision: *revision,
        ..v1::NetworkReport::default()
    };
    v1::Report {
        networks: machine.memory.held.iter().map(network).collect(),
        ready: true,
        reason: String::new(),
    }
}

async fn tell(say: &mpsc::Sender<v1::AgentMessage>, word: Word) -> Result<(), Status> {
    let message = v1::AgentMessage {
        message: Some(word),
    };
    let gone = |_| Status::unavailable("the stream is gone");
    say.send(message).await.map_err(gone)
}
