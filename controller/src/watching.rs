//! Streams for everybody who asks: a snapshot, or what changed since the revision the
//! reader holds, then what happens. What of is a [`Subject`].

use std::{sync::Arc, time::Duration};

use overlay::txn::Revision;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};
use tokio_stream::{Stream, wrappers::ReceiverStream};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::{
    feed::ChangeLog,
    keeper::{Failure, Keeper},
    services::status,
};

/// Messages on their way to a reader; a slow one finds the log, then a snapshot.
const BACKLOG: usize = 4;
/// How long a stream waits for this controller to see what its reader has seen.
const CATCH_UP: Duration = Duration::from_secs(5);
const BOOKMARK_EVERY: Duration = Duration::from_secs(10);

/// Something that is watched, and by whom: readers may want a part of it only.
pub trait Subject: Send + Sync + 'static {
    /// What happened at one revision.
    type Change: Send + Sync;
    type Response: Send + 'static;

    fn log(keeper: &Keeper) -> watch::Receiver<ChangeLog<Self::Change>>;

    /// Everything there is, in at least one message.
    fn snapshot(
        &self,
        keeper: &Keeper,
        cluster: &str,
    ) -> impl Future<Output = Result<(Revision, Vec<Self::Response>), Failure>> + Send;

    /// What the reader is told of a change; nothing: it does not concern it.
    fn changed(
        &self,
        cluster: &str,
        revision: Revision,
        change: &Self::Change,
    ) -> Vec<Self::Response>;

    /// That nothing up to this revision concerns the reader which it was not told.
    fn bookmark(cluster: &str, revision: Revision) -> Option<Self::Response>;
}

pub fn watch<S: Subject>(
    keeper: Keeper,
    closed: CancellationToken,
    subject: S,
    held: Option<(String, Revision)>,
) -> impl Stream<Item = Result<S::Response, Status>> {
    let (sender, receiver) = mpsc::channel(BACKLOG);
    tokio::spawn(async move {
        let told = tell(&keeper, &subject, held, &sender);
        let told = closed.run_until_cancelled(told).await;
        if let Err(failure) = told.unwrap_or_else(|| Err(stopping())) {
            // The reader may be gone by now.
            let _ = sender.send(Err(status(&failure))).await;
        }
    });
    ReceiverStream::new(receiver)
}

async fn tell<S: Subject>(
    keeper: &Keeper,
    subject: &S,
    held: Option<(String, Revision)>,
    sender: &mpsc::Sender<Result<S::Response, Status>>,
) -> Result<(), Failure> {
    let mut log = S::log(keeper);
    let cluster = log.borrow().cluster().to_owned();
    let mut place = match held {
        Some((theirs, revision)) if theirs == cluster => {
            keeper.reach(revision, CATCH_UP).await?.then_some(revision)
        }
        Some(_) | None => None,
    };
    let mut bookmark = Instant::now() + BOOKMARK_EVERY;
    loop {
        // Before the log: whatever is as old as this is in it.
        let seen = keeper.revision();
        let changes = place.map(|place| log.borrow_and_update().after(place));
        let mut told = Vec::new();
        match (place, changes) {
            (Some(before), Some(Ok(changes))) => {
                place = changes
                    .last()
                    .map_or(place, |(revision, _)| Some(*revision));
                for (revision, change) in changes {
                    told.extend(subject.changed(&cluster, revision, &Arc::clone(&change)));
                }
                if bookmark <= Instant::now() {
                    bookmark = Instant::now() + BOOKMARK_EVERY;
                    if told.is_empty() && before < seen {
                        place = place.max(Some(seen));
                        told.extend(S::bookmark(&cluster, seen));
                    }
                }
            }
            _ => {
                let (revision, parts) = subject.snapshot(keeper, &cluster).await?;
                place = Some(revision);
                told = parts;
            }
        }
        for response in told {
            if sender.send(Ok(response)).await.is_err() {
                return Ok(());
            }
        }
        // All arms are cancel-safe: a change that was seen stays marked as new, and a
        // time that has come is found to have come again.
        tokio::select! {
            changed = log.changed() => if changed.is_err() {
                return Err(stopping());
            },
            () = sleep_until(bookmark) => {}
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

/// How many messages it takes to tell so many, at least one.
pub fn parts(count: usize, in_one: usize) -> usize {
    count.div_ceil(in_one).max(1)
}
