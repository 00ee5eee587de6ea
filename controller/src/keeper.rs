//! The keeper: the one task that owns what the controller knows.
//!
//! It applies the store's changes to the registry and tells the feed; it decides the
//! requests, commits them in groups, and answers each once its revision can be seen
//! here. Others talk to it through [`Keeper`].

mod attempt;
mod group;
mod queue;
mod state;
mod task;
mod unseen;

use std::{sync::Arc, time::Duration};

use overlay::{
    decide::{Decision, Refusal, View},
    txn::Revision,
};
use thiserror::Error;
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot, watch},
};

use attempt::Attempt;
pub(crate) use attempt::{Ask, Pending};
pub use state::{Link, State};
pub use task::{Task, Timing};

use crate::{
    clock::Clock,
    feed::{EndpointLog, Feed, LeaseLog},
    store::Store,
};

/// Requests on their way to the keeper.
const BACKLOG: usize = 4096;

/// Why a request was not done.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Failure {
    #[error("{0}")]
    Refused(#[from] Refusal),
    /// Nothing is known to be done; ask again.
    #[error("{0}; try again in a moment")]
    Unavailable(String),
}

type Work = Box<dyn FnOnce(&mut State) + Send>;

enum Job {
    Write(Box<dyn Attempt>),
    Work(Work),
}

/// How everybody else talks to the keeper.
#[derive(Clone)]
pub struct Keeper {
    jobs: mpsc::Sender<Job>,
    pub clock: Clock,
    feed: watch::Receiver<Feed>,
    leases: watch::Receiver<LeaseLog>,
    endpoints: watch::Receiver<EndpointLog>,
    seen: watch::Receiver<Revision>,
    store: Arc<dyn Store>,
    /// Where the store is asked: who waits for a turn among ten thousand sessions would
    /// take the store for slow, and leave a connection that is well.
    runtime: Handle,
}

impl Keeper {
    /// Decides, commits, and waits until this controller sees it: the answer and the
    /// revision at which it is true. Never an answer from memory alone.
    pub async fn write<T: Send + 'static>(
        &self,
        decide: impl FnMut(&View<'_>) -> Result<Decision<T>, Refusal> + Send + 'static,
    ) -> Result<(T, Revision), Failure> {
        let (reply, answer) = oneshot::channel();
        let ask = Box::new(Ask::new(decide, reply));
        if self.jobs.send(Job::Write(ask)).await.is_err() {
            return Err(stopping());
        }
        answer.await.unwrap_or_else(|_| Err(stopping()))
    }

    /// Does something with what the keeper knows, in its task: keep it short.
    pub async fn with<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut State) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let (reply, answer) = oneshot::channel();
        let work: Work = Box::new(move |state| {
            // Nobody waits any more: the caller was cancelled.
            let _ = reply.send(work(state));
        });
        if self.jobs.send(Job::Work(work)).await.is_err() {
            return Err(stopping());
        }
        answer.await.map_err(|_| stopping())
    }

    /// Like [`Self::with`], for those who do not wait for it.
    pub async fn tell(&self, work: impl FnOnce(&mut State) + Send + 'static) {
        // A keeper that is gone has no state left to tell anything.
        let _ = self.jobs.send(Job::Work(Box::new(work))).await;
    }

    pub fn feed(&self) -> watch::Receiver<Feed> {
        self.feed.clone()
    }

    pub fn leases(&self) -> watch::Receiver<LeaseLog> {
        self.leases.clone()
    }

    pub fn endpoints(&self) -> watch::Receiver<EndpointLog> {
        self.endpoints.clone()
    }

    /// The newest revision that this controller has seen. What it changed is in the logs.
    pub fn revision(&self) -> Revision {
        *self.seen.borrow()
    }

    /// Waits until this controller has seen a revision. False: the store does not know
    /// of it either, so it is of another history.
    pub async fn reach(&self, revision: Revision, within: Duration) -> Result<bool, Failure> {
        let mut seen = self.seen.clone();
        if *seen.borrow() >= revision {
            return Ok(true);
        }
        let store = self.store.clone();
        let head = self.runtime.spawn(async move { store.head().await }).await;
        let head = head.map_err(|_| stopping())?;
        let head = head.map_err(|error| Failure::Unavailable(error.to_string()))?;
        if head < revision {
            return Ok(false);
        }
        let seen = seen.wait_for(|seen| *seen >= revision);
        match tokio::time::timeout(within, seen).await {
            Ok(Ok(_)) => Ok(true),
            Ok(Err(_)) => Err(stopping()),
            Err(_) => Err(Failure::Unavailable(format!(
                "this controller has not seen revision {revision} yet"
            ))),
        }
    }
}

fn stopping() -> Failure {
    Failure::Unavailable("this controller is stopping".into())
}
