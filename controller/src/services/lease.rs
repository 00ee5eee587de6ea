//! Leases and reservations: acquire, renew, release, get, list, watch, reserve, unreserve.

use std::pin::Pin;

use overlay::{
    decide::{lease, reserve},
    id::{Life, NodeId},
    name::{NetworkName, NodeName},
    record::Lease,
    registry::{Registry, Stored},
    txn::Revision,
};
use proto::{
    decode::{self, BadField},
    encode, v1,
};
use tokio_stream::Stream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, async_trait};
use uuid::Uuid;

use super::{invalid, named, status};
use crate::{
    clock::Clock,
    keeper::{Failure, Keeper, State},
    lease_watch, watching,
};

pub struct Leases {
    pub keeper: Keeper,
    /// Cancelled when the doors close: then watches end.
    pub closed: CancellationToken,
}

#[async_trait]
impl v1::lease_service_server::LeaseService for Leases {
    async fn acquire(
        &self,
        request: Request<v1::AcquireRequest>,
    ) -> Result<Response<v1::Lease>, Status> {
        let (new_id, life) = (NodeId(Uuid::new_v4()), Life(Uuid::new_v4()));
        let ask =
            decode::acquire(request.get_ref(), new_id, life).map_err(|error| invalid(&error))?;
        let (network, node) = (ask.network.clone(), ask.node.clone());
        let granted = self
            .keeper
            .write(move |view| lease::acquire(view, &ask))
            .await;
        answer(&self.keeper.clock, &network, &node, granted)
    }

    async fn renew(
        &self,
        request: Request<v1::RenewRequest>,
    ) -> Result<Response<v1::Lease>, Status> {
        let ask = request.get_ref();
        let (network, node, life) = subject(&ask.network, &ask.node, &ask.life)?;
        let ttl = decode::ttl(ask.ttl_seconds).map_err(|error| invalid(&error))?;
        let (of, by) = (network.clone(), node.clone());
        let renewed = self
            .keeper
            .write(move |view| lease::renew(view, &of, &by, life, ttl))
            .await;
        answer(&self.keeper.clock, &network, &node, renewed)
    }

    async fn release(
        &self,
        request: Request<v1::ReleaseRequest>,
    ) -> Result<Response<v1::ReleaseResponse>, Status> {
        let ask = request.get_ref();
        let (network, node, life) = subject(&ask.network, &ask.node, &ask.life)?;
        let released = self
            .keeper
            .write(move |view| lease::release(view, &network, &node, life))
            .await;
        let ((), revision) = released.map_err(|failure| status(&failure))?;
        Ok(Response::new(v1::ReleaseResponse { revision }))
    }

    async fn get(
        &self,
        request: Request<v1::GetLeaseRequest>,
    ) -> Result<Response<v1::Lease>, Status> {
        let ask = request.get_ref();
        let (network, node) = place(&ask.network, &ask.node)?;
        let missing = Status::not_found(format!("node {node} has no lease in network {network}"));
        let found = self
            .keeper
            .with(move |state| {
                let lease = state.registry().lease(&network, &node)?;
                Some(encode::lease(&network, &node, lease, state.clock.now()))
            })
            .await;
        let found = found.map_err(|failure| status(&failure))?;
        found.map(Response::new).ok_or(missing)
    }

    async fn list(
        &self,
        request: Request<v1::ListLeasesRequest>,
    ) -> Result<Response<v1::ListLeasesResponse>, Status> {
        let ask = request.get_ref();
        let network = named(&self.keeper, &ask.network).await?;
        let node = decode::parse_optional("node", &ask.node).map_err(|error| invalid(&error))?;
        let listed = self.keeper.with(move |state| v1::ListLeasesResponse {
            leases: list(state, network.as_ref(), node.as_ref()),
            revision: state.registry().revision(),
        });
        listed
            .await
            .map(Response::new)
            .map_err(|failure| status(&failure))
    }

    type WatchStream = Pin<Box<dyn Stream<Item = Result<v1::WatchResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<v1::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let pass = request.extensions().get().cloned();
        let ask = request.into_inner();
        let network = named(&self.keeper, &ask.network).await?;
        let held = (!ask.cluster.is_empty()).then_some((ask.cluster, ask.revision));
        let clock = self.keeper.clock.clone();
        let subject = lease_watch::Leases { clock, network };
        let (keeper, closed) = (self.keeper.clone(), self.closed.clone());
        let stream = watching::watch(keeper, closed, subject, held, pass);
        Ok(Response::new(Box::pin(stream)))
    }

    async fn reserve(
        &self,
        request: Request<v1::ReserveRequest>,
    ) -> Result<Response<v1::Reservation>, Status> {
        let ask = request.get_ref();
        let (network, node) = place(&ask.network, &ask.node)?;
        let subnets = decode::subnets("subnets", &ask.subnets).map_err(|error| invalid(&error))?;
        let (of, by) = (network.clone(), node.clone());
        let reserved = self
            .keeper
            .write(move |view| reserve::reserve(view, &of, &by, &subnets))
            .await;
        let (reservation, revision) = reserved.map_err(|failure| status(&failure))?;
        Ok(Response::new(encode::reservation(
            &network,
            &node,
            &reservation,
            revision,
        )))
    }

    async fn unreserve(
        &self,
        request: Request<v1::UnreserveRequest>,
    ) -> Result<Response<v1::UnreserveResponse>, Status> {
        let ask = request.get_ref();
        let (network, node) = place(&ask.network, &ask.node)?;
        let withdrawn = self
            .keeper
            .write(move |view| reserve::unreserve(view, &network, &node))
            .await;
        let (_, revision) = withdrawn.map_err(|failure| status(&failure))?;
        Ok(Response::new(v1::UnreserveResponse { revision }))
    }

    async fn list_reservations(
        &self,
        request: Request<v1::ListReservationsRequest>,
    ) -> Result<Response<v1::ListReservationsResponse>, Status> {
        let network = named(&self.keeper, &request.get_ref().network).await?;
        let listed = self.keeper.with(move |state| {
            let reservations = reservations(state.registry(), network.as_ref());
            v1::ListReservationsResponse { reservations }
        });
        listed
            .await
            .map(Response::new)
            .map_err(|failure| status(&failure))
    }
}

/// The leases of a network, of a node, or all.
pub fn list(
    state: &State,
    network: Option<&NetworkName>,
    node: Option<&NodeName>,
) -> Vec<v1::Lease> {
    let now = state.clock.now();
    state
        .registry()
        .spaces()
        .filter(|(name, _)| network.is_none_or(|wanted| wanted == *name))
        .flat_map(|(name, space)| {
            let wanted = space.leases().iter();
            wanted.map(move |(node, lease)| (name, node, lease))
        })
        .filter(|(_, name, _)| node.is_none_or(|wanted| wanted == *name))
        .map(|(network, node, lease)| encode::lease(network, node, lease, now))
        .collect()
}

fn reservations(registry: &Registry, network: Option<&NetworkName>) -> Vec<v1::Reservation> {
    registry
        .spaces()
        .filter(|(name, _)| network.is_none_or(|wanted| wanted == *name))
        .flat_map(|(name, space)| {
            let reservations = space.reservations().iter();
            reservations.map(move |(node, Stored { revision, value })| {
                encode::reservation(name, node, value, *revision)
            })
        })
        .collect()
}

fn answer(
    clock: &Clock,
    network: &NetworkName,
    node: &NodeName,
    outcome: Result<(Lease, Revision), Failure>,
) -> Result<Response<v1::Lease>, Status> {
    let (value, revision) = outcome.map_err(|failure| status(&failure))?;
    let lease = encode::lease(network, node, &Stored { revision, value }, clock.now());
    Ok(Response::new(lease))
}

fn place(network: &str, node: &str) -> Result<(NetworkName, NodeName), Status> {
    let place = || {
        Ok((
            decode::network_or_default(network)?,
            decode::parse("node", node)?,
        ))
    };
    place().map_err(|error: BadField| invalid(&error))
}

fn subject(network: &str, node: &str, life: &str) -> Result<(NetworkName, NodeName, Life), Status> {
    let (network, node) = place(network, node)?;
    let life = decode::parse("life", life).map_err(|error| invalid(&error))?;
    Ok((network, node, life))
}
