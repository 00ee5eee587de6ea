//! The agent's service: who it is first, then its session.

use std::time::Duration;

use futures_channel::mpsc;
use overlay::{
    decide::session::{self, Membership},
    id::Life,
    trust::Subject,
    txn::TtlId,
};
use proto::{
    decode::{self, Hello, Join},
    encoded::Encoded,
    shared::agent_service_server::AgentService,
    v1::{self, agent_message},
};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tonic::{Request, Response, Status, Streaming, async_trait};
use tracing::{field, info};
use uuid::Uuid;

use super::{invalid, status};
use crate::{
    keeper::{Failure, Keeper},
    listener::Peer,
    metrics::Metrics,
    seats::Seats,
    session::{BACKLOG, Joined, Output, Session},
    trust::Identity,
};

/// An agent says who it is within this time.
const HELLO_WITHIN: Duration = Duration::from_secs(10);

pub struct Sessions {
    pub keeper: Keeper,
    pub seats: Seats,
    pub metrics: Metrics,
    pub tasks: TaskTracker,
    pub stuck_after: Duration,
}

#[async_trait]
impl AgentService for Sessions {
    type SessionStream = mpsc::Receiver<Result<Encoded, Status>>;

    async fn session(
        &self,
        request: Request<Streaming<v1::AgentMessage>>,
    ) -> Result<Response<Self::SessionStream>, Status> {
        let peer = request
            .extensions()
            .get::<Peer>()
            .cloned()
            .unwrap_or_default();
        let mut input = request.into_inner();
        let hello = first(&mut input).await?;
        let certified = certified(&peer, &hello)?;
        let (output, stream) = mpsc::channel(BACKLOG);
        let mut left = hello.joins.clone();
        let (session, joined) = self.open(hello, certified, peer, output).await?;
        left.retain(|join| joined.iter().all(|joined| joined.network != join.network));
        self.tasks.spawn(session.run(joined, left, input));
        Ok(Response::new(stream))
    }
}

/// The first message of a stream, which must be a hello.
async fn first(input: &mut Streaming<v1::AgentMessage>) -> Result<Hello, Status> {
    let message = timeout(HELLO_WITHIN, input.message()).await;
    let message = message.map_err(|_| Status::deadline_exceeded("the agent said no hello"))??;
    match message.and_then(|message| message.message) {
        Some(agent_message::Message::Hello(hello)) => {
            decode::hello(&hello).map_err(|error| invalid(&error))
        }
        Some(_) | None => Err(Status::invalid_argument(
            "the first message must be a hello",
        )),
    }
}

/// Does a certificate say that it is this node? It may say so of no other.
fn certified(peer: &Peer, hello: &Hello) -> Result<bool, Status> {
    let Identity::Certified(certified) = &peer.identity else {
        return Ok(false);
    };
    match &certified.subject {
        Subject::Node(node, id) if *node == hello.node && *id == hello.id => Ok(true),
        subject => Err(Status::permission_denied(format!(
            "the certificate is of {subject}, and the agent says it is node {} ({})",
            hello.node, hello.id
        ))),
    }
}

impl Sessions {
    /// Opens the session in the store and enters it in the roster.
    async fn open(
        &self,
        hello: Hello,
        certified: bool,
        peer: Peer,
        output: Output,
    ) -> Result<(Session, Vec<Joined>), Status> {
        let seat = self
            .seats
            .take()
            .await
            .map_err(|failure| status(&failure))?;
        let opened = self.write(&hello, certified, &hello.joins, seat.ttl).await;
        let (joined, leased) = match opened {
            Ok(opened) => opened,
            // One network that cannot be joined must not keep the node from the others:
            // open without any, and let the session join each for itself.
            Err(Failure::Refused(_)) if !hello.joins.is_empty() => {
                let opened = self.write(&hello, certified, &[], seat.ttl).await;
                opened.map_err(|failure| status(&failure))?
            }
            Err(failure) => return Err(status(&failure)),
        };
        info!(node = %hello.node, session = %hello.sid, address = peer.address.map(field::display), leased, "agent connected");
        let session = Session::enter(self, &hello, peer, seat, output).await;
        Ok((session.map_err(|failure| status(&failure))?, joined))
    }

    /// What it has joined, and the subnets that are its own only now.
    async fn write(
        &self,
        hello: &Hello,
        certified: bool,
        joins: &[Join],
        ttl: TtlId,
    ) -> Result<(Vec<Joined>, Option<String>), Failure> {
        let memberships = joins
            .iter()
            .map(|join| join.membership(Life(Uuid::new_v4())));
        let memberships: Vec<Membership> = memberships.collect();
        let lives: Vec<Life> = memberships.iter().map(|one| one.life).collect();
        let ask = session::Open {
            node: hello.node.clone(),
            id: hello.id,
            sid: hello.sid,
            previous: hello.previous.clone(),
            networks: memberships,
            ttl,
            certified,
        };
        let opened = self
            .keeper
            .write(move |view| session::open(view, &ask))
            .await;
        let (leases, revision) = opened?;
        let begun = lives.iter().zip(&leases);
        let begun = begun.filter(|(life, lease)| lease.life == **life);
        let subnets = begun.flat_map(|(_, lease)| lease.subnets());
        let subnets: Vec<String> = subnets.map(|subnet| subnet.to_string()).collect();
        let leased = (!subnets.is_empty()).then(|| subnets.join(","));
        let joined = joins.iter().zip(leases).map(|(join, lease)| Joined {
            network: join.network.clone(),
            lease,
            revision,
            held: join.held,
        });
        Ok((joined.collect(), leased))
    }
}
