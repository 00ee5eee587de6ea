//! An agent: its session with one controller after the other, as `node-agent/src/session`
//! keeps it, over lines that are no sockets.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use overlay::{hash::fnv1a, name::NetworkName, pause::Pause};
use proto::v1::{
    self, agent_message::Message as Word, agent_service_client::AgentServiceClient,
    controller_message::Message,
};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, interval, sleep},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use crate::{
    attached::CONTAINERS,
    dice::Dice,
    machine::{Joined, Machine},
    talk::{ASK_AGAIN, Talk},
    world::World,
};

const BACKLOG: usize = 16;

/// One agent that runs.
pub struct Agent {
    world: Arc<World>,
    number: usize,
    dice: Dice,
    /// Wakes when the machine's joins are others.
    moved: watch::Receiver<()>,
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
        let mut pause = Pause::default();
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
                pause = Pause::default();
            }
            let random = self.dice.below(1001) as f64 / 1000.0;
            sleep(pause.take(random)).await;
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
                features: Vec::new(),
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
        let world = self.world.clone();
        let mut talk = Talk::new(&world, self.number);
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
                    self.attach();
                    let words = self.with(|machine| talk.attached.words(machine));
                    for word in words {
                        tell(&say, Word::Endpoints(word)).await?;
                    }
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
            if let Err(wrong) = talk.hear(message) {
                self.world
                    .trace
                    .wrong(format_args!("agent {}: {wrong}", self.number));
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

    /// Containers come and go.
    fn attach(&mut self) {
        if self.dice.per_mille(300) && !self.world.weather.is_calm() {
            let container = 1 + self.dice.below(usize::from(CONTAINERS)) as u8;
            self.with(|machine| machine.toggle(container));
        }
    }

    async fn ask_again(
        &self,
        say: &mpsc::Sender<v1::AgentMessage>,
        talk: &mut Talk<'_>,
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
}

fn join(machine: &mut Machine, network: &NetworkName) -> v1::Join {
    let revision = machine.memory.held.get(network).copied().unwrap_or(0);
    machine.memory.said.insert(network.clone(), revision);
    v1::Join {
        network: network.to_string(),
        underlay: machine.address.to_string(),
        mac: machine.mac.to_string(),
        revision,
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
        ..v1::Report::default()
    }
}

async fn tell(say: &mpsc::Sender<v1::AgentMessage>, word: Word) -> Result<(), Status> {
    let message = v1::AgentMessage {
        message: Some(word),
    };
    let gone = |_| Status::unavailable("the stream is gone");
    say.send(message).await.map_err(gone)
}
