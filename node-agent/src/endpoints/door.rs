//! How endpoints are asked for, by whoever attaches containers.

use overlay::{
    endpoint::{Key, Who},
    name::NetworkName,
};
use socket::words::{
    Attach, Attached, Check, Detach, Finding, Ground, Held, Hold, Reason, Refusal, Shown, Unhold,
    Use,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use crate::metrics::Metrics;

/// What is asked of the one owner of this host's endpoints.
pub enum Request {
    Attach(Box<Attach>, Answer<Attached>),
    Detach(Detach, Answer<()>),
    Check(Check, Answer<Vec<String>>),
    Hold(Hold, Answer<Held>),
    Unhold(Unhold, Answer<()>),
    Holds(Answer<Vec<Hold>>),
    List(Answer<Vec<Shown>>),
    Use(Answer<Vec<Use>>),
    /// True: and mend what can be mended.
    Audit(bool, Answer<Vec<Finding>>),
    Grounds(Answer<Vec<Ground>>),
    Name(Box<Name>, Answer<()>),
}

/// What people call an endpoint, learned after it was attached. One that is not there
/// is gone already.
pub struct Name {
    pub network: NetworkName,
    pub key: Key,
    pub who: Who,
}

pub type Answer<T> = oneshot::Sender<Result<T, Refusal>>;

#[derive(Clone)]
pub struct Door {
    requests: mpsc::Sender<Request>,
    metrics: Metrics,
}

impl Door {
    pub fn new(requests: mpsc::Sender<Request>, metrics: Metrics) -> Self {
        Self { requests, metrics }
    }

    pub async fn attach(&self, attach: Attach) -> Result<Attached, Refusal> {
        let began = Instant::now();
        let attached = self
            .ask(|answer| Request::Attach(Box::new(attach), answer))
            .await;
        let took = began.elapsed().as_secs_f64();
        self.metrics.attach_seconds.observe(took);
        if attached.is_err() {
            self.metrics.attach_refused.inc();
        }
        attached
    }

    pub async fn detach(&self, detach: Detach) -> Result<(), Refusal> {
        self.ask(|answer| Request::Detach(detach, answer)).await
    }

    /// What is wrong with an attachment, in sentences.
    pub async fn check(&self, check: Check) -> Result<Vec<String>, Refusal> {
        self.ask(|answer| Request::Check(check, answer)).await
    }

    pub async fn hold(&self, hold: Hold) -> Result<Held, Refusal> {
        self.ask(|answer| Request::Hold(hold, answer)).await
    }

    pub async fn unhold(&self, unhold: Unhold) -> Result<(), Refusal> {
        self.ask(|answer| Request::Unhold(unhold, answer)).await
    }

    /// All addresses that are held, and by whom.
    pub async fn holds(&self) -> Result<Vec<Hold>, Refusal> {
        self.ask(Request::Holds).await
    }

    pub async fn list(&self) -> Result<Vec<Shown>, Refusal> {
        self.ask(Request::List).await
    }

    pub async fn usage(&self) -> Result<Vec<Use>, Refusal> {
        self.ask(Request::Use).await
    }

    pub async fn audit(&self, repair: bool) -> Result<Vec<Finding>, Refusal> {
        self.ask(|answer| Request::Audit(repair, answer)).await
    }

    /// The networks of this host.
    pub async fn grounds(&self) -> Result<Vec<Ground>, Refusal> {
        self.ask(Request::Grounds).await
    }

    pub async fn name(&self, name: Name) -> Result<(), Refusal> {
        self.ask(|answer| Request::Name(Box::new(name), answer))
            .await
    }

    async fn ask<T>(&self, request: impl FnOnce(Answer<T>) -> Request) -> Result<T, Refusal> {
        let stopping = || Refusal::new(Reason::NotReady, "the agent is stopping");
        let (answer, answered) = oneshot::channel();
        let sent = self.requests.send(request(answer)).await;
        sent.map_err(|_| stopping())?;
        answered.await.map_err(|_| stopping())?
    }
}
