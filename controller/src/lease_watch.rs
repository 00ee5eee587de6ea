//! Leases, as somebody watches them.

use overlay::{
    name::NetworkName,
    registry::{Changes, LeaseChange},
    txn::Revision,
};
use proto::{encode, v1};
use tokio::sync::watch;

use crate::{
    clock::Clock,
    feed::ChangeLog,
    keeper::{Failure, Keeper},
    services::lease::list,
    watching::{Subject, parts},
};

/// Leases in one message.
const A_MESSAGE: usize = 2_000;

pub struct Leases {
    pub clock: Clock,
    /// None: all.
    pub network: Option<NetworkName>,
}

impl Subject for Leases {
    type Change = Changes;
    type Response = v1::WatchResponse;

    fn log(keeper: &Keeper) -> watch::Receiver<ChangeLog<Changes>> {
        keeper.leases()
    }

    async fn snapshot(
        &self,
        keeper: &Keeper,
        cluster: &str,
    ) -> Result<(Revision, Vec<v1::WatchResponse>), Failure> {
        let wanted = self.network.clone();
        let (revision, leases) = keeper
            .with(move |state| {
                let revision = state.registry().revision();
                (revision, list(state, wanted.as_ref(), None))
            })
            .await?;
        let count = parts(leases.len(), A_MESSAGE);
        let mut rest = leases.into_iter();
        let parts = (1..=count).map(|part| v1::WatchResponse {
            cluster: cluster.to_owned(),
            revision,
            snapshot: true,
            leases: rest.by_ref().take(A_MESSAGE).collect(),
            gone: Vec::new(),
            partial: part < count,
        });
        Ok((revision, parts.collect()))
    }

    fn changed(
        &self,
        cluster: &str,
        revision: Revision,
        changes: &Changes,
    ) -> Vec<v1::WatchResponse> {
        let mut response = v1::WatchResponse {
            cluster: cluster.to_owned(),
            revision,
            ..v1::WatchResponse::default()
        };
        let network = self.network.as_ref();
        let wanted =
            |change: &&LeaseChange| network.is_none_or(|network| *network == change.network);
        for change in changes.leases.iter().filter(wanted) {
            match &change.after {
                Some(lease) => {
                    let now = self.clock.now();
                    let lease = encode::lease(&change.network, &change.node, lease, now);
                    response.leases.push(lease);
                }
                None => response.gone.push(v1::LeaseGone {
                    network: change.network.to_string(),
                    node: change.node.to_string(),
                }),
            }
        }
        if response.leases.is_empty() && response.gone.is_empty() {
            return Vec::new();
        }
        vec![response]
    }

    fn bookmark(_: &str, _: Revision) -> Option<v1::WatchResponse> {
        None
    }
}
