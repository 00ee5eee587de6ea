//! Ten thousand agents that come to one controller, as after another's death: what a
//! session costs, how long one change takes to reach all, what a snapshot costs. The
//! agents are real sessions, each on a connection of its own; only their kernels are
//! missing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use prost::Message;
use proto::v1::{AcquireRequest, controller_message, lease_service_client::LeaseServiceClient};
use tests::controller::Controller;
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
    time::timeout,
};

use crate::{
    leases::connect,
    rate::{middle, quantile},
    simulated::{AT_ONCE, NETWORK, Node, memory_settled, open, place, report, settle_down},
};

const CHANGES: usize = 5;

#[derive(Debug)]
pub struct Figures {
    pub sessions: usize,
    pub connected_in: Duration,
    pub bytes_a_session: u64,
    /// For each change, until half, 99 of a hundred and all sessions had it.
    pub p50: Duration,
    pub p99: Duration,
    pub all: Duration,
    pub bytes_a_change: usize,
    pub snapshot_peers: usize,
    pub snapshot_bytes: usize,
    pub snapshot_in: Duration,
}

/// What the sessions have in common.
struct Fleet {
    url: String,
    cluster: String,
    /// The newest that any of them has seen: who opens a session holds that much.
    revision: AtomicU64,
    permits: Semaphore,
    ready: AtomicUsize,
    /// A session tells when it saw the change that sets this node.
    seen: mpsc::UnboundedSender<(usize, Instant, usize)>,
}

pub async fn run(controller: &Controller, count: usize) -> Result<Figures> {
    let url = &controller.url()?;
    crate::leases::make_network(url, NETWORK).await?;
    settle_down(url, count).await?;
    let before = controller.memory()?;
    let (cluster, revision) = place(url).await?;
    let (seen, mut sightings) = mpsc::unbounded_channel();
    let fleet = Arc::new(Fleet {
        url: url.to_owned(),
        cluster,
        revision: AtomicU64::new(revision),
        permits: Semaphore::new(AT_ONCE),
        ready: AtomicUsize::new(0),
        seen,
    });
    let began = Instant::now();
    let mut agents = JoinSet::new();
    for number in 0..count {
        agents.spawn(agent(fleet.clone(), number));
    }
    while fleet.ready.load(Ordering::Relaxed) < count {
        if let Ok(Some(ended)) = timeout(Duration::from_millis(100), agents.join_next()).await {
            ended?.context("an agent's session ended")?;
        }
        if began.elapsed() > Duration::from_secs(600) {
            bail!(
                "only {} of {count} sessions opened in ten minutes",
                fleet.ready.load(Ordering::Relaxed)
            );
        }
    }
    let connected_in = began.elapsed();
    let settled = memory_settled(controller).await?;
    let bytes_a_session = settled.saturating_sub(before) / count as u64;

    let (mut p50, mut p99, mut all, mut bytes) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for change in 0..CHANGES {
        let began = change_one(url, change).await?;
        let mut took = Vec::with_capacity(count);
        while took.len() < count {
            let (which, at, size) = timeout(Duration::from_secs(60), sightings.recv())
                .await
                .with_context(|| {
                    format!(
                        "{} of {count} sessions saw change {change} in a minute",
                        took.len()
                    )
                })?
                .context("every agent is gone")?;
            if which == change {
                took.push(at.saturating_duration_since(began));
                bytes = size;
            }
        }
        took.sort_unstable();
        p50.push(quantile(&took, 0.5));
        p99.push(quantile(&took, 0.99));
        all.push(quantile(&took, 1.0));
    }
    let (snapshot_peers, snapshot_bytes, snapshot_in) = snapshot(url).await?;
    agents.shutdown().await;
    Ok(Figures {
        sessions: count,
        connected_in,
        bytes_a_session,
        p50: middle(p50),
        p99: middle(p99),
        all: middle(all),
        bytes_a_change: bytes,
        snapshot_peers,
        snapshot_bytes,
        snapshot_in,
    })
}

/// One agent, for as long as it is let.
async fn agent(fleet: Arc<Fleet>, number: usize) -> Result<()> {
    let permit = fleet.permits.acquire().await?;
    let revision = fleet.revision.load(Ordering::Relaxed);
    let hello = Node::new(number).hello(&fleet.cluster, revision);
    let (say, mut stream) = open(&fleet.url, hello).await?;
    let mut joined = false;
    while !joined {
        let message = stream
            .message()
            .await?
            .context("the stream ended before it was joined")?;
        joined = matches!(
            message.message,
            Some(controller_message::Message::Joined(_))
        );
    }
    fleet.ready.fetch_add(1, Ordering::Relaxed);
    drop(permit);
    while let Some(message) = stream.message().await? {
        let size = message.encoded_len();
        let Some(controller_message::Message::Changes(changes)) = message.message else {
            continue;
        };
        let at = Instant::now();
        fleet
            .revision
            .fetch_max(changes.revision, Ordering::Relaxed);
        for peer in &changes.set {
            if let Some(change) = peer
                .node
                .strip_prefix("change-")
                .and_then(|n| n.parse().ok())
            {
                fleet.seen.send((change, at, size))?;
            }
        }
        say.send(report(changes.revision)).await?;
    }
    bail!("the controller ended the session")
}

/// Adds one peer; when it was asked for.
async fn change_one(url: &str, number: usize) -> Result<Instant> {
    let mut leases = LeaseServiceClient::new(connect(url).await?);
    let request = AcquireRequest {
        network: NETWORK.into(),
        node: format!("change-{number}"),
        underlay: format!("172.31.255.{}", number + 1),
        mac: format!("02:00:00:ff:ff:{number:02x}"),
        ..AcquireRequest::default()
    };
    let began = Instant::now();
    leases.acquire(request).await?;
    Ok(began)
}

/// What a fresh agent is told: how many peers, in how many bytes, in what time.
async fn snapshot(url: &str) -> Result<(usize, usize, Duration)> {
    let began = Instant::now();
    let (_say, mut stream) = open(url, Node::new(1 << 20).hello("", 0)).await?;
    let (mut peers, mut bytes) = (0, 0);
    loop {
        let message = stream
            .message()
            .await?
            .context("the stream ended in the snapshot")?;
        let size = message.encoded_len();
        if let Some(controller_message::Message::Snapshot(snapshot)) = message.message {
            peers += snapshot.peers.len();
            bytes += size;
            if snapshot.last {
                return Ok((peers, bytes, began.elapsed()));
            }
        }
    }
}
