//! Endpoints, as somebody watches them.

use overlay::{
    name::{NetworkName, NodeName},
    registry::EndpointChange,
    txn::Revision,
};
use proto::{encode, v1};
use tokio::sync::watch;

use crate::{
    feed::ChangeLog,
    keeper::{Failure, Keeper},
    services::endpoint::{Chosen, list},
    watching::{Subject, parts},
};

/// Endpoints in one message. Those of engines are half a kilobyte each.
const A_MESSAGE: usize = 500;

pub struct Endpoints {
    /// None: all.
    pub network: Option<NetworkName>,
}

impl Subject for Endpoints {
    type Change = Vec<EndpointChange>;
    type Response = v1::WatchEndpointsResponse;

    fn log(keeper: &Keeper) -> watch::Receiver<ChangeLog<Vec<EndpointChange>>> {
        keeper.endpoints()
    }

    async fn snapshot(
        &self,
        keeper: &Keeper,
        cluster: &str,
    ) -> Result<(Revision, Vec<v1::WatchEndpointsResponse>), Failure> {
        let chosen = Chosen {
            network: self.network.clone(),
            ..Chosen::default()
        };
        let (revision, endpoints) = keeper
            .with(move |state| (state.registry().revision(), list(state, &chosen)))
            .await?;
        let count = parts(endpoints.len(), A_MESSAGE);
        let mut rest = endpoints.into_iter();
        let parts = (1..=count).map(|part| v1::WatchEndpointsResponse {
            cluster: cluster.to_owned(),
            revision,
            snapshot: true,
            endpoints: rest
                .by_ref()
                .take(A_MESSAGE)
                .map(|listed| listed.encode())
                .collect(),
            gone: Vec::new(),
            partial: part < count,
        });
        Ok((revision, parts.collect()))
    }

    fn changed(
        &self,
        cluster: &str,
        revision: Revision,
        changes: &Vec<EndpointChange>,
    ) -> Vec<v1::WatchEndpointsResponse> {
        let network = self.network.as_ref();
        let wanted =
            |change: &&EndpointChange| network.is_none_or(|network| *network == change.network);
        let changes: Vec<&EndpointChange> = changes.iter().filter(wanted).collect();
        let count = changes.len().div_ceil(A_MESSAGE);
        let part = |(place, changes): (usize, &[&EndpointChange])| {
            let mut response = v1::WatchEndpointsResponse {
                partial: place + 1 < count,
                ..bare(cluster, revision)
            };
            for change in changes {
                let EndpointChange {
                    network, node, id, ..
                } = change;
                match &change.after {
                    Some(present) => {
                        let endpoint = encode::endpoint(network, node, *id, present);
                        response.endpoints.push(endpoint);
                    }
                    None => response.gone.push(gone(network, node, *id)),
                }
            }
            response
        };
        changes.chunks(A_MESSAGE).enumerate().map(part).collect()
    }

    fn bookmark(cluster: &str, revision: Revision) -> Option<v1::WatchEndpointsResponse> {
        Some(bare(cluster, revision))
    }
}

fn bare(cluster: &str, revision: Revision) -> v1::WatchEndpointsResponse {
    v1::WatchEndpointsResponse {
        cluster: cluster.to_owned(),
        revision,
        ..v1::WatchEndpointsResponse::default()
    }
}

fn gone(
    network: &NetworkName,
    node: &NodeName,
    id: overlay::endpoint::EndpointId,
) -> v1::EndpointGone {
    v1::EndpointGone {
        network: network.to_string(),
        node: node.to_string(),
        id: id.to_string(),
    }
}
