//! A stream of lease changes for everybody who asks: a snapshot, or what changed
//! since the revision the reader holds, then what happens.

use std::sync::Arc;

use overlay::{name::NetworkName, registry::Changes, txn::Revision};
use proto::{encode, v1};
use tokio::sync::mpsc;
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::{
    clock::Clock,
    keeper::{Failure, Keeper},
    services::{lease::list, status},
};

/// Leases in one message.
const A_MESSAGE: usize = 2_000;
/// Messages on their way to a reader; a slow one finds the log, then a snapshot.
const BACKLOG: usize = 4;

type Sender = mpsc::Sender<Result<v1::WatchResponse, Status>>;

pub fn watch(
    keeper: Keeper,
    closed: CancellationToken,
    network: Option<NetworkName>,
    held: Option<(String, Revision)>,
) -> impl Stream<Item = Result<v1::WatchResponse, Status>> {
    let (sender, receiver) = mpsc::channel(BACKLOG);
    tokio::spawn(async move {
        let told = tell(&keeper, network.as_ref(), held, &sender);
        let told = closed.run_until_cancelled(told).await;
        if let Err(failure) = told.unwrap_or_else(|| Err(stopping())) {
            // The reader may be gone by now.
            let _ = sender.send(Err(status(&failure))).await;
        }
    });
    ReceiverStream::new(receiver)
}

async fn tell(
    keeper: &Keeper,
    network: Option<&NetworkName>,
    held: Option<(String, Revision)>,
    sender: &Sender,
) -> Result<(), Failure> {
    let mut log = keeper.leases();
    let cluster = log.borrow().cluster().to_owned();
    let mut place = match held {
        Some((theirs, revision)) if theirs == cluster => {
            let within = std::time::Duration::from_secs(5);
            keeper.reach(revision, within).await?.then_some(revision)
        }
        Some(_) | None => None,
    };
    loop {
        let changes = place.map(|place| log.borrow_and_update().after(place));
        match (place, changes) {
            (Some(_), Some(Ok(changes))) => {
                for changes in changes {
                    place = Some(changes.revision);
                    if let Some(response) = changed(&cluster, &keeper.clock, network, &changes)
                        && sender.send(Ok(response)).await.is_err()
                    {
                        return Ok(());
                    }
                }
            }
            _ => {
                let (revision, parts) = snapshot(keeper, &cluster, network).await?;
                place = Some(revision);
                for part in parts {
                    if sender.send(Ok(part)).await.is_err() {
                        return Ok(());
                    }
                }
            }
        }
        // Both arms are cancel-safe: a change that was seen stays marked as new.
        tokio::select! {
            changed = log.changed() => if changed.is_err() {
                return Err(stopping());
            },
            () = sender.closed() => return Ok(()),
        }
        if log.borrow().cluster() != cluster {
            return Err(Failure::Unavailable(
                "the store holds another history".into(),
            ));
        }
    }
}

fn stopping() -> Failure {
    Failure::Unavailable("this controller is stopping".into())
}

async fn snapshot(
    keeper: &Keeper,
    cluster: &str,
    network: Option<&NetworkName>,
) -> Result<(Revision, Vec<v1::WatchResponse>), Failure> {
    let wanted = network.cloned();
    let (revision, leases) = keeper
        .with(move |state| {
            let revision = state.registry().revision();
            (revision, list(state, wanted.as_ref(), None))
        })
        .await?;
    let count = leases.len().div_ceil(A_MESSAGE).max(1);
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

/// What the reader is told of these changes; none: nothing of its network.
fn changed(
    cluster: &str,
    clock: &Clock,
    network: Option<&NetworkName>,
    changes: &Arc<Changes>,
) -> Option<v1::WatchResponse> {
    let mut response = v1::WatchResponse {
        cluster: cluster.to_owned(),
        revision: changes.revision,
        ..v1::WatchResponse::default()
    };
    let wanted = |change: &&overlay::registry::LeaseChange| {
        network.is_none_or(|network| *network == change.network)
    };
    for change in changes.leases.iter().filter(wanted) {
        match &change.after {
            Some(lease) => {
                let lease = encode::lease(&change.network, &change.node, lease, clock.now());
                response.leases.push(lease);
            }
            None => response.gone.push(v1::LeaseGone {
                network: change.network.to_string(),
                node: change.node.to_string(),
            }),
        }
    }
    (!response.leases.is_empty() || !response.gone.is_empty()).then_some(response)
}
