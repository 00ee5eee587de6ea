//! Endpoints of all nodes: list, watch. Nodes tell them in their sessions.

use std::pin::Pin;

use overlay::{
    endpoint::EndpointId,
    name::{NetworkName, NodeName},
    registry::Present,
};
use proto::{decode, encode, v1};
use tokio_stream::Stream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, async_trait};

use super::{invalid, named, status};
use crate::{
    endpoint_watch,
    keeper::{Keeper, State},
    watching,
};

pub struct Endpoints {
    pub keeper: Keeper,
    /// Cancelled when the doors close: then watches end.
    pub closed: CancellationToken,
}

/// Which endpoints are wanted: all for which nothing here says otherwise.
#[derive(Debug, Clone, Default)]
pub struct Chosen {
    pub network: Option<NetworkName>,
    pub node: Option<NodeName>,
    /// A name, an address, an id.
    pub which: Option<String>,
}

/// One of them. It is encoded elsewhere: the keeper has other things to do.
pub struct Listed {
    network: NetworkName,
    node: NodeName,
    id: EndpointId,
    present: Present,
}

#[async_trait]
impl v1::endpoint_service_server::EndpointService for Endpoints {
    async fn list(
        &self,
        request: Request<v1::ListEndpointsRequest>,
    ) -> Result<Response<v1::ListEndpointsResponse>, Status> {
        let ask = request.into_inner();
        let chosen = Chosen {
            network: named(&self.keeper, &ask.network).await?,
            node: decode::parse_optional("node", &ask.node).map_err(|error| invalid(&error))?,
            which: (!ask.which.is_empty()).then_some(ask.which),
        };
        let listed = self.keeper.with(move |state| {
            let cluster = state.feed().cluster().to_owned();
            (cluster, state.registry().revision(), list(state, &chosen))
        });
        let (cluster, revision, listed) = listed.await.map_err(|failure| status(&failure))?;
        Ok(Response::new(v1::ListEndpointsResponse {
            endpoints: listed.iter().map(Listed::encode).collect(),
            revision,
            cluster,
        }))
    }

    type WatchStream =
        Pin<Box<dyn Stream<Item = Result<v1::WatchEndpointsResponse, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<v1::WatchEndpointsRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let pass = request.extensions().get().cloned();
        let ask = request.into_inner();
        let network = named(&self.keeper, &ask.network).await?;
        let held = (!ask.cluster.is_empty()).then_some((ask.cluster, ask.revision));
        let subject = endpoint_watch::Endpoints { network };
        let (keeper, closed) = (self.keeper.clone(), self.closed.clone());
        let stream = watching::watch(keeper, closed, subject, held, pass);
        Ok(Response::new(Box::pin(stream)))
    }
}

pub fn list(state: &State, chosen: &Chosen) -> Vec<Listed> {
    let Chosen {
        network,
        node,
        which,
    } = chosen;
    let mut listed = Vec::new();
    for (name, space) in state.registry().spaces() {
        if network.as_ref().is_some_and(|wanted| wanted != name) {
            continue;
        }
        let mut add = |of: &NodeName, id: EndpointId, present: Present| {
            let meant = which.as_ref().is_none_or(|which| {
                *which == id.to_string() || present.endpoint.value.public.is_called(which)
            });
            if meant {
                listed.push(Listed {
                    network: name.clone(),
                    node: of.clone(),
                    id,
                    present,
                });
            }
        };
        match node {
            Some(node) => space
                .endpoints_of(node)
                .for_each(|(id, present)| add(node, id, present)),
            None => space
                .endpoints()
                .for_each(|(node, id, present)| add(node, id, present)),
        }
    }
    listed
}

impl Listed {
    pub fn encode(&self) -> v1::Endpoint {
        encode::endpoint(&self.network, &self.node, self.id, &self.present)
    }
}
