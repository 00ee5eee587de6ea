//! `weft lease watch`: what has become of the leases.

use proto::v1;

use super::row::LeaseRow;
use crate::{
    connect::Connection,
    failure::Failure,
    output::Output,
    watch::{Part, Watch, Watched},
};

pub async fn run(watch: Watch, connection: &Connection, output: &Output) -> Result<(), Failure> {
    let (network, cluster, revision) = watch.asked();
    let request = v1::WatchRequest {
        network,
        cluster,
        revision,
    };
    let mut leases = connection.leases();
    let stream = connection.answer(leases.watch(request)).await?;
    watch.follow::<LeaseRow>(stream, connection, output).await
}

impl Watched for LeaseRow {
    type Response = v1::WatchResponse;
    type Place = (String, String);
    const NOUN: &'static str = "leases";
    const WIDTHS: [usize; 8] = [10, 16, 18, 15, 17, 5, 6, 7];

    fn place(&self) -> Self::Place {
        (self.network.clone(), self.node.clone())
    }
}

impl From<v1::WatchResponse> for Part<LeaseRow> {
    fn from(told: v1::WatchResponse) -> Self {
        let gone = |gone: v1::LeaseGone| v1::Lease {
            network: gone.network,
            node: gone.node,
            ..v1::Lease::default()
        };
        Self {
            cluster: told.cluster,
            revision: told.revision,
            snapshot: told.snapshot,
            set: told.leases.into_iter().map(LeaseRow::from).collect(),
            gone: told
                .gone
                .into_iter()
                .map(gone)
                .map(LeaseRow::from)
                .collect(),
            partial: told.partial,
        }
    }
}
