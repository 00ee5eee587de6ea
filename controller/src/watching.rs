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
    trust::gate::Pass,
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
    pass: Option<Pass>,
) -> impl Stream<Item = Result<S::Response, Status>> {
    let (sender, receiver) = mpsc::channel(BACKLOG);
    tokio::spawn(async move {
        let told = tell(&keeper, &subject, held, pass, &sender);
        let told = closed.run_until_cancelled(told).await;
        if let Err(status) = told.unwrap_or_else(|| Err(status(&stopping()))) {
            // The reader may be gone by now.
            let _ = sender.send(Err(status)).await;
        }
    });
    ReceiverStream::new(receiver)
}

async fn tell<S: Subject>(
    keeper: &Keeper,
    subject: &S,
    held: Option<(String, Revision)>,
    pass: Option<Pass>,
    sender: &mpsc::Sender<Result<S::Response, Status>>,
) -> Result<(), Status> {
    let mut log = S::log(keeper);
    let cluster = log.borrow().cluster().to_owned();
    let mut place = match held {
        Some((theirs, revision)) if theirs == cluster => {
            let reached = keeper.reach(revision, CATCH_UP).await;
            reached
                .map_err(|failure| status(&failure))?
                .then_some(revision)
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
                let is_due = bookmark <= Instant::now();
                if let Some(pass) = pass.as_ref().filter(|_| is_due || !told.is_empty()) {
                    pass.is_good().await?;
                }
                if is_due {
                    bookmark = Instant::now() + BOOKMARK_EVERY;
                    if told.is_empty() && before < seen {
                        place = place.max(Some(seen));
                        told.extend(S::bookmark(&cluster, seen));
                    }
                }
            }
            _ => {
                let listed = subject.snapshot(keeper, &cluster).await;
                let (revision, parts) = listed.map_err(|failure| status(&failure))?;
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
                return Err(status(&stopping()));
            },
            () = sleep_until(bookmark) => {}
            () = sender.closed() => return Ok(()),
        }
        if log.borrow().cluster() != cluster {
            return Err(Status::unavailable("the store holds another history"));
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
