//! What is asked of a node's agent goes through its session; what is asked of this
//! controller itself: what happened, and all that it tells of itself.

use std::time::Duration;

use futures_util::SinkExt;
use overlay::{
    afar::{self, LONGEST_QUESTION},
    id::ControllerId,
    name::NodeName,
    trust::Role,
};
use proto::{
    decode, encode,
    v1::{self, controller_message::Message},
};
use tokio::{sync::Semaphore, time::timeout};
use tonic::{Request, Response, Status, async_trait};

use super::{invalid, status};
use crate::{
    keeper::State,
    ops::Ops,
    roster::{Asking, LineError},
};

/// Questions under way: an answer may be long, and each is here as a whole.
const MOST: usize = 64;
const WITHIN: Duration = Duration::from_secs(10);
const LONGEST_WITHIN: Duration = Duration::from_secs(120);

pub struct Fleet {
    room: Semaphore,
    ctl: ControllerId,
    ops: Ops,
}

impl Fleet {
    pub fn new(ctl: ControllerId, ops: Ops) -> Self {
        let room = Semaphore::new(MOST);
        Self { room, ctl, ops }
    }

    async fn relay(
        &self,
        node: NodeName,
        ask: v1::AskRequest,
        within: Duration,
    ) -> Result<v1::AskResponse, Status> {
        let _room = self.room.acquire().await;
        let of = node.clone();
        let found = self.ops.keeper.with(move |state| line(state, &of)).await;
        let mut asking = found.map_err(|failure| status(&failure))??;
        let message = Message::Ask(v1::Ask {
            id: asking.id,
            method: ask.method,
            path: ask.path,
            body: ask.body,
            within_ms: u64::try_from(within.as_millis()).unwrap_or(u64::MAX),
        });
        let over = || Status::unavailable(format!("the session of node {node} ended meanwhile"));
        let sent = asking.output.send(Ok(message.into())).await;
        sent.map_err(|_| over())?;
        let answer = asking.answer.await.map_err(|_| over())?;
        answer.map_err(|error| refused(&node, error))
    }
}

#[async_trait]
impl v1::fleet_service_server::FleetService for Fleet {
    async fn ask(
        &self,
        request: Request<v1::AskRequest>,
    ) -> Result<Response<v1::AskResponse>, Status> {
        let role = request.extensions().get().copied().unwrap_or(Role::Reader);
        let ask = request.into_inner();
        let node: NodeName = decode::parse("node", &ask.node).map_err(|error| invalid(&error))?;
        let Some(needed) = afar::needs(&ask.method, &ask.path) else {
            let text = format!("path: {} {} is not open from afar", ask.method, ask.path);
            return Err(Status::invalid_argument(text));
        };
        if role < needed {
            let text = format!(
                "{} {} is for operators with the role admin",
                ask.method, ask.path
            );
            return Err(Status::permission_denied(text));
        }
        if ask.body.len() > LONGEST_QUESTION {
            let text = format!("body: longer than {} KB", LONGEST_QUESTION >> 10);
            return Err(Status::invalid_argument(text));
        }
        let within = match Duration::from_millis(ask.within_ms) {
            Duration::ZERO => WITHIN,
            within => within.min(LONGEST_WITHIN),
        };
        let late = format!("node {node} has not answered within {within:?}");
        let answer = timeout(within, self.relay(node, ask, within)).await;
        let answer = answer.map_err(|_| Status::deadline_exceeded(late))?;
        answer.map(Response::new)
    }

    async fn events(
        &self,
        request: Request<v1::EventsRequest>,
    ) -> Result<Response<v1::EventsResponse>, Status> {
        let wish = decode::wish(request.get_ref()).map_err(|error| invalid(&error))?;
        let events = self.ops.process.events.wished(wish).await;
        let events = events.ok_or_else(|| Status::unavailable("this controller is stopping"))?;
        Ok(Response::new(v1::EventsResponse {
            controller: self.ctl.to_string(),
            events: events.into_iter().map(encode::event).collect(),
        }))
    }

    async fn inspect(
        &self,
        _: Request<v1::InspectRequest>,
    ) -> Result<Response<v1::InspectResponse>, Status> {
        let told = self.ops.status().await;
        let metrics = self.ops.metrics().await;
        Ok(Response::new(v1::InspectResponse {
            controller: self.ctl.to_string(),
            version: env!("CARGO_PKG_VERSION").into(),
            status: told.map_err(|failure| status(&failure))?.to_string(),
            metrics: metrics.map_err(|failure| status(&failure))?,
            options: self.ops.process.in_force.to_string(),
        }))
    }
}

/// The way to a node's agent, or why there is none here.
fn line(state: &mut State, node: &NodeName) -> Result<Asking, Status> {
    if let Some(here) = state.roster.get_mut(node) {
        let version = here.version.clone();
        let line = here.line.as_mut().ok_or_else(|| {
            let text = format!(
                "the agent of node {node} is {version}, which cannot be asked from afar: upgrade it"
            );
            Status::unimplemented(text)
        })?;
        return line.ask().map_err(|error| refused(node, error));
    }
    let registry = state.registry();
    if !registry.nodes().contains_key(node) {
        return Err(Status::not_found(format!("there is no node {node}")));
    }
    let holder = registry
        .sessions()
        .get(node)
        .map(|session| session.value.ctl);
    match holder.filter(|holder| *holder != state.ctl) {
        Some(holder) => {
            let record = registry.controllers().get(&holder);
            let place = record.map(|record| format!(" at {}", record.value.listen));
            let place = place.unwrap_or_default();
            Err(Status::failed_precondition(format!(
                "node {node} has its session with controller {holder}{place}; ask there"
            )))
        }
        None => Err(Status::unavailable(format!(
            "node {node} is not connected: no controller has a session with its agent"
        ))),
    }
}

fn refused(node: &NodeName, error: LineError) -> Status {
    let text = format!("node {node}: {error}");
    match error {
        LineError::Busy => Status::resource_exhausted(text),
        LineError::TooLong => Status::out_of_range(text),
    }
}
