//! One request on its way to being decided and committed.

use overlay::{
    decide::{Decision, Refusal, View},
    txn::{Revision, Transaction},
};
use tokio::{sync::oneshot, time::Instant};

use super::Failure;

/// A request whose answer's type is its own business.
pub trait Attempt: Send {
    /// Decides, afresh each time: the view may be another.
    fn decide(&mut self, view: &View<'_>) -> Result<Transaction, Refusal>;

    /// Answers whoever asked.
    fn finish(self: Box<Self>, outcome: Result<Revision, Failure>);
}

/// A request with an answer of type `T`.
pub struct Ask<F, T> {
    decide: F,
    decided: Option<T>,
    reply: oneshot::Sender<Result<(T, Revision), Failure>>,
}

impl<F, T> Ask<F, T> {
    pub fn new(decide: F, reply: oneshot::Sender<Result<(T, Revision), Failure>>) -> Self {
        Self {
            decide,
            decided: None,
            reply,
        }
    }
}

impl<F, T> Attempt for Ask<F, T>
where
    F: FnMut(&View<'_>) -> Result<Decision<T>, Refusal> + Send,
    T: Send,
{
    fn decide(&mut self, view: &View<'_>) -> Result<Transaction, Refusal> {
        let decision = (self.decide)(view)?;
        self.decided = Some(decision.answer);
        Ok(decision.txn)
    }

    fn finish(self: Box<Self>, outcome: Result<Revision, Failure>) {
        let Self { decided, reply, .. } = *self;
        let answer = outcome.map(|revision| {
            let decided = decided.expect("what was committed was decided");
            (decided, revision)
        });
        // Nobody waits any more: the caller was cancelled, the commit stands.
        let _ = reply.send(answer);
    }
}

/// An attempt with what the keeper remembers of it.
pub struct Pending {
    pub attempt: Box<dyn Attempt>,
    pub since: Instant,
    /// It lost against another's write this many times.
    pub conflicts: u32,
    /// A refusal counts only when it was decided on a view at least this new.
    pub confirm: Confirm,
}

/// Whether the view is known to be new enough to refuse on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confirm {
    /// Not asked yet.
    Open,
    /// The store's newest revision was asked for after this request came.
    Asked,
    /// The view has reached it.
    Done,
}

impl Pending {
    pub fn new(attempt: Box<dyn Attempt>) -> Self {
        Self {
            attempt,
            since: Instant::now(),
            conflicts: 0,
            confirm: Confirm::Open,
        }
    }

    pub fn fail(self, failure: Failure) {
        self.attempt.finish(Err(failure));
    }
}
