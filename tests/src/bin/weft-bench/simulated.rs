//! Agents without a kernel: each speaks the real session, on a connection of its own.

use std::time::Duration;

use anyhow::Result;
use proto::v1::{
    AcquireRequest, AgentMessage, ControllerMessage, GetStatusRequest, Hello, Join, NetworkReport,
    Report, agent_message, agent_service_client::AgentServiceClient,
    lease_service_client::LeaseServiceClient, status_service_client::StatusServiceClient,
};
use tests::controller::Controller;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{
    Status, Streaming,
    transport::{Channel, Endpoint},
};

use crate::{leases::connect, rate::measure};

/// What all of them join.
pub const NETWORK: &str = "fleet";
/// Requests, or handshakes, that are under way at once.
pub const AT_ONCE: usize = 128;
/// As a real agent has it.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
const PING_EVERY: Duration = Duration::from_secs(2);
/// Longer than a real agent's: ten thousand of these share one process, which may be
/// slow to read what has come.
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// Who an agent is, and where.
#[derive(Debug, Clone)]
pub struct Node {
    pub name: String,
    pub id: String,
    pub underlay: String,
    pub mac: String,
    /// What the next session's id is made of.
    sessions: u128,
    /// The last that was opened, and those tried since.
    previous: Vec<String>,
}

impl Node {
    pub fn new(number: usize) -> Self {
        let unique = number as u128;
        let [.., b, c, d] = (number as u32 + 1).to_be_bytes();
        Self {
            name: format!("agent-{number}"),
            id: format!("{:032x}", unique + (1 << 64)),
            underlay: format!("172.{}.{c}.{d}", 16 + u32::from(b)),
            mac: format!("02:00:00:{b:02x}:{c:02x}:{d:02x}"),
            sessions: (unique << 32) + (2 << 64),
            previous: Vec::new(),
        }
    }

    /// The first word of a new session.
    pub fn hello(&mut self, cluster: &str, revision: u64) -> AgentMessage {
        self.sessions += 1;
        let session = format!("{:032x}", self.sessions);
        let previous = self.previous.clone();
        self.previous.push(session.clone());
        let hello = Hello {
            node: self.name.clone(),
            node_id: self.id.clone(),
            session,
            previous,
            cluster: cluster.to_owned(),
            networks: vec![self.place(revision)],
            features: vec![proto::decode::ASK.into()],
            ..Hello::default()
        };
        said(agent_message::Message::Hello(hello))
    }

    /// The session that was tried last is open.
    pub fn confirm(&mut self) {
        self.previous.drain(..self.previous.len().saturating_sub(1));
    }

    /// That it is elsewhere now.
    pub fn join(&self, revision: u64) -> AgentMessage {
        said(agent_message::Message::Join(self.place(revision)))
    }

    fn place(&self, revision: u64) -> Join {
        Join {
            network: NETWORK.into(),
            underlay: self.underlay.clone(),
            mac: self.mac.clone(),
            revision,
        }
    }
}

pub fn report(applied_revision: u64) -> AgentMessage {
    let network = NetworkReport {
        network: NETWORK.into(),
        applied_revision,
        ..NetworkReport::default()
    };
    said(agent_message::Message::Report(Report {
        networks: vec![network],
        ready: true,
        ..Report::default()
    }))
}

/// A stream on a connection of its own, which is watched as a real agent watches it.
pub async fn open(
    url: &str,
    hello: AgentMessage,
) -> Result<(mpsc::Sender<AgentMessage>, Streaming<ControllerMessage>), Status> {
    let (say, words) = mpsc::channel(4);
    drop(say.send(hello).await);
    let channel = dial(url)
        .await
        .map_err(|error| Status::unavailable(error.to_string()))?;
    let mut client = AgentServiceClient::new(channel);
    let stream = client.session(ReceiverStream::new(words)).await?;
    Ok((say, stream.into_inner()))
}

/// Where the feed is: agents that begin here are told only what is new.
pub async fn place(url: &str) -> Result<(String, u64)> {
    let mut status = StatusServiceClient::new(connect(url).await?);
    let status = status.get(GetStatusRequest::default()).await?.into_inner();
    Ok((status.cluster, status.revision))
}

/// Leases to agents of so many numbers, as they have had them since yesterday.
pub async fn settle_down(url: &str, count: usize) -> Result<()> {
    let channel = connect(url).await?;
    measure(AT_ONCE, count, move |_, number| {
        let mut leases = LeaseServiceClient::new(channel.clone());
        let node = Node::new(number);
        async move {
            let request = AcquireRequest {
                network: NETWORK.into(),
                node: node.name,
                node_id: node.id,
                underlay: node.underlay,
                mac: node.mac,
                ..AcquireRequest::default()
            };
            leases.acquire(request).await?;
            Ok(())
        }
    })
    .await?;
    Ok(())
}

/// Waits until the controller's memory stands still.
pub async fn memory_settled(controller: &Controller) -> Result<u64> {
    let mut last = controller.memory()?;
    for _ in 0..30 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let now = controller.memory()?;
        if now.abs_diff(last) < last / 200 {
            return Ok(now);
        }
        last = now;
    }
    Ok(last)
}

async fn dial(url: &str) -> Result<Channel, tonic::transport::Error> {
    let endpoint = Endpoint::from_shared(url.to_owned())?
        .connect_timeout(CONNECT_WITHIN)
        .http2_keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT)
        .keep_alive_while_idle(true)
        .tcp_nodelay(true);
    endpoint.connect().await
}

fn said(message: agent_message::Message) -> AgentMessage {
    AgentMessage {
        message: Some(message),
    }
}
