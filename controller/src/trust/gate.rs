//! The gate before every call: the table of `overlay::trust`, with what the store says of
//! operators now.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use overlay::{
    decide::trust::role,
    trust::{Caller, Denied, Role, Subject, allowed},
};
use tonic::{Status, body::Body, codegen::http};
use tower::{Layer, Service};

use crate::{keeper::Keeper, listener::Peer, metrics::Metrics, services};

#[derive(Clone)]
pub struct Gate {
    pub keeper: Keeper,
    pub metrics: Metrics,
}

/// That a call may go on: for streams, which others may long have been refused.
#[derive(Clone)]
pub struct Pass {
    gate: Gate,
    path: String,
    peer: Peer,
}

#[derive(Clone)]
pub struct Guarded<S> {
    gate: Gate,
    inner: S,
}

impl<S> Layer<S> for Gate {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded {
            gate: self.clone(),
            inner,
        }
    }
}

impl Gate {
    /// The role in which this may be called.
    async fn check(&self, path: &str, peer: &Peer) -> Result<Role, Status> {
        let caller = peer.identity.caller(self.keeper.clock.now());
        let role = match &caller {
            Caller::Known(subject @ Subject::Operator(..)) => {
                let subject = subject.clone();
                let known = self
                    .keeper
                    .with(move |state| role(state.registry(), &subject));
                known.await.map_err(|failure| services::status(&failure))?
            }
            // Whoever comes is trusted with everything.
            Caller::Plain => Some(Role::Admin),
            _ => None,
        };
        match allowed(path, &caller, role) {
            Ok(()) => Ok(role.unwrap_or(Role::Reader)),
            Err(denied) => {
                self.metrics.denied.inc();
                Err(status(&denied))
            }
        }
    }
}

impl Pass {
    pub async fn is_good(&self) -> Result<(), Status> {
        self.gate.check(&self.path, &self.peer).await.map(drop)
    }
}

fn status(denied: &Denied) -> Status {
    let reason = denied.to_string();
    match denied {
        Denied::Unknown => Status::unimplemented(reason),
        Denied::NotFor { .. } => Status::permission_denied(reason),
        Denied::NoCertificate | Denied::Unencrypted | Denied::Untimely(_) => {
            Status::unauthenticated(reason)
        }
    }
}

impl<S> Service<http::Request<Body>> for Guarded<S>
where
    S: Service<http::Request<Body>, Response = http::Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        // What was ready is called; its clone is for the next.
        let next = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, next);
        let gate = self.gate.clone();
        Box::pin(async move {
            let peer = request.extensions().get::<Peer>().cloned();
            let peer = peer.unwrap_or_default();
            let path = request.uri().path().to_owned();
            match gate.check(&path, &peer).await {
                Ok(role) => {
                    request.extensions_mut().insert(role);
                    let pass = Pass { gate, path, peer };
                    request.extensions_mut().insert(pass);
                    inner.call(request).await
                }
                Err(status) => Ok(status.into_http()),
            }
        })
    }
}
