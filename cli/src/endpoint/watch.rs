//! `weft endpoint watch`: what has become of the endpoints.

use proto::v1;

use super::row::EndpointRow;
use crate::{
    connect::Connection,
    failure::Failure,
    output::Output,
    watch::{Part, Watch, Watched},
};

pub async fn run(watch: Watch, connection: &Connection, output: &Output) -> Result<(), Failure> {
    let (network, cluster, revision) = watch.asked();
    let request = v1::WatchEndpointsRequest {
        network,
        cluster,
        revision,
    };
    let mut endpoints = connection.endpoints();
    let stream = connection.answer(endpoints.watch(request)).await?;
    watch
        .follow::<EndpointRow>(stream, connection, output)
        .await
}

impl Watched for EndpointRow {
    type Response = v1::WatchEndpointsResponse;
    type Place = (String, String, String);
    const NOUN: &'static str = "endpoints";
    const WIDTHS: [usize; 8] = [10, 16, 16, 26, 17, 12, 12, 6];

    fn place(&self) -> Self::Place {
        (self.network.clone(), self.node.clone(), self.id.clone())
    }
}

impl From<v1::WatchEndpointsResponse> for Part<EndpointRow> {
    fn from(told: v1::WatchEndpointsResponse) -> Self {
        let gone = |gone: v1::EndpointGone| v1::Endpoint {
            network: gone.network,
            node: gone.node,
            id: gone.id,
            ..v1::Endpoint::default()
        };
        let gone = told.gone.into_iter().map(gone);
        Self {
            cluster: told.cluster,
            revision: told.revision,
            snapshot: told.snapshot,
            set: told.endpoints.into_iter().map(EndpointRow::from).collect(),
            gone: gone.map(EndpointRow::from).collect(),
            partial: told.partial,
        }
    }
}
