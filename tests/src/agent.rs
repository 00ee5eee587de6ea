//! An agent without a kernel: it opens sessions, keeps what it is told, and knows
//! after a restart what a real one would have on disk.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow, bail};
use proto::v1::{
    self, agent_message, agent_service_client::AgentServiceClient, controller_message::Message,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming, transport::Channel};
use uuid::Uuid;

use crate::{
    client::{mac, underlay},
    wait::{DEADLINE, within},
};

mod endpoints;
mod held;

pub use endpoints::endpoint;
pub use held::Held;

#[derive(Debug)]
pub struct Agent {
    pub node: String,
    pub id: Uuid,
    /// The one network that it joins.
    pub network: String,
    /// What it says that it can do.
    pub features: Vec<String>,
    number: u32,
    /// Newest last.
    sessions: Vec<Uuid>,
    /// Of which history the revisions are.
    pub cluster: String,
    pub lease: Option<v1::Lease>,
    pub held: Held,
    /// What it was sent in this session.
    pub heard: Vec<Message>,
    stream: Option<Stream>,
    /// The number of its last word about endpoints.
    word: u64,
}

#[derive(Debug)]
struct Stream {
    say: mpsc::Sender<v1::AgentMessage>,
    hear: Streaming<v1::ControllerMessage>,
}

impl Agent {
    /// The host of this number, which nobody has heard of yet.
    pub fn new(number: u32) -> Self {
        Self {
            node: format!("host-{number}"),
            id: Uuid::new_v4(),
            network: "default".into(),
            features: Vec::new(),
            number,
            sessions: Vec::new(),
            cluster: String::new(),
            lease: None,
            held: Held::default(),
            heard: Vec::new(),
            stream: None,
            word: 0,
        }
    }

    /// What comes up from this one's disk: itself again, or a machine with a copy.
    pub fn restarted(&self) -> Self {
        Self {
            node: self.node.clone(),
            id: self.id,
            network: self.network.clone(),
            sessions: self.sessions.clone(),
            ..Self::new(self.number)
        }
    }

    /// Opens a session in place of the one it has.
    pub async fn connect(&mut self, channel: Channel) -> Result<(), Status> {
        self.stream = None;
        self.heard.clear();
        let hello = self.hello();
        let (say, said) = mpsc::channel(16);
        let first = agent_message::Message::Hello(hello);
        let first = v1::AgentMessage {
            message: Some(first),
        };
        drop(say.send(first).await);
        let mut client = AgentServiceClient::new(channel);
        let opened = tokio::time::timeout(DEADLINE, client.session(ReceiverStream::new(said)));
        let opened = opened
            .await
            .map_err(|_| Status::deadline_exceeded("the session does not open"))?;
        self.stream = Some(Stream {
            say,
            hear: opened?.into_inner(),
        });
        Ok(())
    }

    /// As after a crash: the connection is gone without a word.
    pub fn disconnect(&mut self) {
        self.stream = None;
    }

    /// The next message, which is applied; the status that ended the stream is an error.
    pub async fn hear(&mut self) -> Result<Message> {
        let stream = self.stream.as_mut().ok_or_else(|| anyhow!("no session"))?;
        let what = format!("{} hears something", self.node);
        match within(&what, stream.hear.message()).await?? {
            Some(v1::ControllerMessage {
                message: Some(message),
            }) => {
                self.apply(&message);
                self.heard.push(message.clone());
                Ok(message)
            }
            Some(_) => bail!("a message without content"),
            None => bail!("the stream ended without a status"),
        }
    }

    /// Hears on until it holds.
    pub async fn until(&mut self, what: &str, holds: impl Fn(&Self) -> bool) -> Result<()> {
        while !holds(self) {
            let heard = self.hear().await;
            heard.map_err(|error| error.context(format!("{what}: not yet, at {:?}", self.held)))?;
        }
        Ok(())
    }

    /// Hears on until everything it asked for is there.
    pub async fn joined(&mut self) -> Result<()> {
        self.until("it has joined", |agent| {
            let in_place = |message: &Message| matches!(message, Message::Joined(_));
            agent.heard.iter().any(in_place) && agent.held.is_whole()
        })
        .await
    }

    /// Hears on to the end of the session, and why it ended.
    pub async fn dismissed(&mut self) -> Result<Status> {
        loop {
            if let Err(error) = self.hear().await {
                return error.downcast::<Status>();
            }
        }
    }

    pub async fn report(&self) -> Result<()> {
        let network = v1::NetworkReport {
            network: self.network.clone(),
            applied_revision: self.held.revision,
            ..v1::NetworkReport::default()
        };
        let report = agent_message::Message::Report(v1::Report {
            networks: vec![network],
            ready: true,
            ..v1::Report::default()
        });
        self.say(report).await
    }

    /// Leaves its network.
    pub async fn leave(&self) -> Result<()> {
        let network = self.network.clone();
        let leave = agent_message::Message::Leave(v1::Leave { network });
        self.say(leave).await
    }

    /// The next question, whatever else is heard before it.
    pub async fn asked(&mut self) -> Result<v1::Ask> {
        loop {
            if let Message::Ask(ask) = self.hear().await? {
                return Ok(ask);
            }
        }
    }

    /// One part of an answer.
    pub async fn answer(&self, id: u64, body: Vec<u8>, last: bool) -> Result<()> {
        let (status, body) = (200, body.into());
        let answer = v1::Answer {
            id,
            status,
            body,
            last,
        };
        self.say(agent_message::Message::Answer(answer)).await
    }

    async fn say(&self, message: agent_message::Message) -> Result<()> {
        let stream = self.stream.as_ref().ok_or_else(|| anyhow!("no session"))?;
        let message = v1::AgentMessage {
            message: Some(message),
        };
        Ok(stream.say.send(message).await?)
    }

    /// The subnets it was given.
    pub fn subnets(&self) -> Vec<String> {
        let lease = self.lease.as_ref();
        lease.map(|lease| lease.subnets.clone()).unwrap_or_default()
    }

    fn hello(&mut self) -> v1::Hello {
        let session = Uuid::new_v4();
        let previous = self.sessions.iter().map(Uuid::to_string).collect();
        // Kept before it is said: a hello without an answer may have been heard.
        self.sessions.push(session);
        v1::Hello {
            node: self.node.clone(),
            node_id: self.id.to_string(),
            session: session.to_string(),
            previous,
            networks: vec![v1::Join {
                network: self.network.clone(),
                underlay: underlay(self.number),
                mac: mac(self.number),
                revision: self.held.revision,
            }],
            cluster: self.cluster.clone(),
            agent_version: "test".into(),
            features: self.features.clone(),
        }
    }

    fn apply(&mut self, message: &Message) {
        match message {
            Message::Welcome(welcome) => self.cluster.clone_from(&welcome.cluster),
            Message::Joined(joined) => self.lease.clone_from(&joined.lease),
            other => self.held.apply(other),
        }
    }
}

/// All leases as peers, as the registry would tell them.
pub fn peers_of(leases: &[v1::Lease]) -> BTreeMap<String, v1::Peer> {
    let peer = |lease: &v1::Lease| {
        let peer = v1::Peer {
            node: lease.node.clone(),
            subnets: lease.subnets.clone(),
            underlay: lease.underlay.clone(),
            mac: lease.mac.clone(),
        };
        (lease.node.clone(), peer)
    };
    let told = |lease: &&v1::Lease| !lease.underlay.is_empty() && !lease.mac.is_empty();
    leases.iter().filter(told).map(peer).collect()
}
