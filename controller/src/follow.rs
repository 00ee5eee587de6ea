//! Follows the store: everything once, then every change, for as long as it takes.
//!
//! A watch that ends, was compacted or belongs to another cluster is answered with a
//! fresh load; what is different goes on as changes.

use std::{sync::Arc, time::Duration};

use tokio::{sync::mpsc, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::debug;

use crate::store::{Batch, Loaded, Store, StoreError, WatchEvent};

/// What the keeper is told of the store.
#[derive(Debug)]
pub enum StoreEvent {
    /// Everything there is: at the start, and where the watch could not go on.
    Loaded(Loaded),
    Batch(Batch),
    /// No view of the store until the next `Loaded` or `Batch`.
    Down(StoreError),
}

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Events on their way to the keeper; past that the store's own buffer holds them.
const BACKLOG: usize = 256;

/// Starts following. The receiver ends when `stop` is cancelled.
pub fn follow(store: Arc<dyn Store>, stop: CancellationToken) -> mpsc::Receiver<StoreEvent> {
    let (events, receiver) = mpsc::channel(BACKLOG);
    tokio::spawn(async move {
        stop.run_until_cancelled(follower(store, events)).await;
    });
    receiver
}

async fn follower(store: Arc<dyn Store>, events: mpsc::Sender<StoreEvent>) {
    let mut pause = FIRST_PAUSE;
    loop {
        let Some(ended) = stretch(store.as_ref(), &events).await else {
            return;
        };
        if ended.lasted {
            pause = FIRST_PAUSE;
        }
        debug!(error = %ended.error, "the watch of the store ended");
        if events.send(StoreEvent::Down(ended.error)).await.is_err() {
            return;
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Why a stretch of following ended, and whether it had come to see anything.
struct Ended {
    error: StoreError,
    lasted: bool,
}

/// One load and the watch after it. None when nobody listens any more.
///
/// Each stretch begins with a load: a store that was wiped and made anew may count
/// its revisions from the beginning, and a watch from a revision that it has yet to
/// reach would wait in silence.
async fn stretch(store: &dyn Store, events: &mpsc::Sender<StoreEvent>) -> Option<Ended> {
    let early = |error| Ended {
        error,
        lasted: false,
    };
    let loaded = match store.load().await {
        Ok(loaded) => loaded,
        Err(error) => return Some(early(error)),
    };
    let mut watch = match store.watch(loaded.revision).await {
        Ok(watch) => watch,
        Err(error) => return Some(early(error)),
    };
    events.send(StoreEvent::Loaded(loaded)).await.ok()?;
    let error = loop {
        match watch.recv().await {
            Some(WatchEvent::Batch(batch)) => {
                events.send(StoreEvent::Batch(batch)).await.ok()?;
            }
            Some(WatchEvent::Lost(error)) => break error,
            Some(WatchEvent::Compacted) => break lost("the store was compacted"),
            None => break lost("its channel closed"),
        }
    };
    Some(Ended {
        error,
        lasted: true,
    })
}

fn lost(reason: &str) -> StoreError {
    StoreError::Unavailable {
        what: "the watch",
        reason: reason.into(),
    }
}
