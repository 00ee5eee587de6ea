//! Nodes: list, get, remove.

use std::time::Duration;

use overlay::{
    decide::{decay, node},
    name::{NetworkName, NodeName},
    record::{Lease, LeaseKind},
    registry::Stored,
};
use proto::{decode, encode, v1};
use tonic::{Request, Response, Status, async_trait};
use tracing::info;

use super::{by, invalid, status};
use crate::{
    finish::finish,
    keeper::{Keeper, State},
    roster::Present,
};

pub struct Nodes {
    pub keeper: Keeper,
}

#[async_trait]
impl v1::node_service_server::NodeService for Nodes {
    async fn list(
        &self,
        _: Request<v1::ListNodesRequest>,
    ) -> Result<Response<v1::ListNodesResponse>, Status> {
        let listed = self.keeper.with(|state| v1::ListNodesResponse {
            nodes: state
                .registry()
                .nodes()
                .keys()
                .map(|name| describe(state, name))
                .collect(),
        });
        listed
            .await
            .map(Response::new)
            .map_err(|failure| status(&failure))
    }

    async fn get(
        &self,
        request: Request<v1::GetNodeRequest>,
    ) -> Result<Response<v1::Node>, Status> {
        let name = named(&request.get_ref().name)?;
        let missing = Status::not_found(format!("there is no node {name}"));
        let found = self.keeper.with(move |state| {
            let known = state.registry().nodes().contains_key(&name);
            known.then(|| describe(state, &name))
        });
        let found = found.await.map_err(|failure| status(&failure))?;
        found.map(Response::new).ok_or(missing)
    }

    async fn remove(
        &self,
        request: Request<v1::RemoveNodeRequest>,
    ) -> Result<Response<v1::RemoveNodeResponse>, Status> {
        let name = named(&request.get_ref().name)?;
        let removing = name.clone();
        let removed = self
            .keeper
            .write(move |view| node::remove(view, &removing))
            .await;
        removed.map_err(|failure| status(&failure))?;
        info!(node = %name, by = by(&request), "a node was removed");
        let released_leases = finish(&self.keeper, move |registry| {
            decay::due_of_node(registry, &name)
        })
        .await;
        Ok(Response::new(v1::RemoveNodeResponse { released_leases }))
    }
}

/// All that this controller knows of a node.
pub fn describe(state: &State, name: &NodeName) -> v1::Node {
    let registry = state.registry();
    let record = registry.nodes().get(name).map(|node| &node.value);
    let session = registry.sessions().get(name).map(|session| &session.value);
    let here = state.roster.get(name);
    let failing = here.and_then(|here| here.failing);
    let leases: Vec<_> = registry.leases_of(name).collect();
    let networks = leases
        .iter()
        .map(|(network, lease)| attachment(state, network, name, lease, here))
        .collect();
    v1::Node {
        name: name.to_string(),
        id: record.map(|node| node.id.to_string()).unwrap_or_default(),
        joined_at_ms: record.map_or(0, |node| node.joined_at.0),
        state: life(state, name, &leases).into(),
        controller: session
            .map(|session| session.ctl.to_string())
            .unwrap_or_default(),
        address: here
            .and_then(|here| here.address)
            .map(|address| address.to_string())
            .unwrap_or_default(),
        agent_version: here.map(|here| here.version.clone()).unwrap_or_default(),
        networks,
        ready: here.map(|here| here.ready),
        reason: here.map(|here| here.reason.clone()).unwrap_or_default(),
        repaired: here.map_or(0, |here| here.repaired),
        failing_since_ms: failing.map_or(0, |(since, _)| since.0),
        retry_ms: failing.map_or(0, |(_, retry)| in_ms(retry)),
    }
}

/// How a node is, in one word.
pub fn life(
    state: &State,
    name: &NodeName,
    leases: &[(&NetworkName, &Stored<Lease>)],
) -> &'static str {
    let by_agent =
        |(_, lease): &(&NetworkName, &Stored<Lease>)| lease.value.kind == LeaseKind::Agent;
    if state.registry().sessions().contains_key(name) {
        "connected"
    } else if leases.is_empty() {
        "idle"
    } else if leases.iter().any(by_agent) {
        "disconnected"
    } else {
        "api"
    }
}

fn attachment(
    state: &State,
    network: &NetworkName,
    name: &NodeName,
    lease: &Stored<Lease>,
    here: Option<&Present>,
) -> v1::NodeNetwork {
    let feed = state.feed();
    let word = here.and_then(|here| here.networks.get(network)).cloned();
    let word = word.unwrap_or_default();
    let lag = here.and_then(|here| here.lag_in(network, &feed));
    let encoded = encode::lease(network, name, lease, state.clock.now());
    v1::NodeNetwork {
        network: encoded.network,
        subnets: encoded.subnets,
        underlay: encoded.underlay,
        mac: encoded.mac,
        applied_revision: word.applied,
        feed_revision: feed.newest(network),
        lag_ms: lag.map(in_ms),
        state: encoded.state,
        gone_at_ms: lease.value.gone_at.map_or(0, |at| at.0),
        expires_at_ms: encoded.expires_at_ms,
        mtu: word.mtu,
        peers: word.peers,
        troubled: word.troubled,
        reported_at_ms: word.at.map_or(0, |at| at.0),
        probes: word.probes,
    }
}

fn in_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn named(name: &str) -> Result<NodeName, Status> {
    decode::parse("name", name).map_err(|error| invalid(&error))
}
