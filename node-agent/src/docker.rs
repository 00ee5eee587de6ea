//! The network and IPAM driver `weft` of this host's Docker: dockerd asks over a unix
//! socket, as of any plugin.
//!
//! - [`words`]: what it asks. [`ipam`] and [`network`]: what is done about it.
//! - [`pool`]: which Weft network a pool of Docker's is, and which of its addresses.
//! - [`port`]: published ports. [`route`]: what a container's interface is given.
//! - [`key`]: by which keys the agent knows all of it.
//! - [`notes`]: what Docker tells once, and never again.
//! - [`names`]: what containers are called, which Docker tells no plugin. [`stale`]: what
//!   it forgot. [`api`]: how it is asked.
//! - [`listen`]: the socket, our own or systemd's.
//!
//! Nothing here asks Docker anything while Docker waits for an answer.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::State as With,
    http::{Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;
use serde_json::json;
use socket::words::{Ground, Reason, Refusal};
use thiserror::Error;
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use crate::{
    docker::{
        listen::ListenError,
        network::NetworkError,
        notes::{Notes, NotesError},
        pool::PoolError,
        port::PortError,
        words::Call,
    },
    endpoints::Door,
};

pub mod api;
pub mod ipam;
pub mod key;
pub mod listen;
pub mod names;
pub mod network;
pub mod notes;
pub mod pool;
pub mod port;
pub mod route;
pub mod stale;
pub mod words;

/// Where dockerd looks for a plugin named `weft`.
pub const SOCKET: &str = "/run/docker/plugins/weft.sock";
const CONTENT_TYPE: &str = "application/vnd.docker.plugins.v1.2+json";
/// Containers that Docker starts with the machine find an agent that starts, too.
const PATIENCE: Duration = Duration::from_secs(15);
const AGAIN: Duration = Duration::from_millis(200);

#[derive(Debug, Error)]
pub enum DockerError {
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error("cannot answer Docker")]
    Serve(#[source] io::Error),
}

/// Why a call is not answered as asked.
#[derive(Debug, Error)]
pub enum CallError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Pool(#[from] PoolError),
    #[error(transparent)]
    Network(#[from] NetworkError),
    #[error(transparent)]
    Port(#[from] PortError),
    #[error(transparent)]
    Notes(#[from] NotesError),
}

#[derive(Clone)]
pub struct Driver {
    door: Door,
    notes: Notes,
    /// While an agent is young, a network that it has not yet joined may come.
    since: Instant,
}

/// Serves Docker on this socket, or on the one that systemd hands over; where there is
/// neither, nothing.
pub async fn serve(path: Option<PathBuf>, state_dir: &Path, door: Door) -> Result<(), DockerError> {
    let Some(listener) = listen::listen(path.as_deref())? else {
        return std::future::pending().await;
    };
    let (notes, keeping) = notes::open(state_dir);
    let driver = Driver::new(door.clone(), notes.clone());
    info!("serving Docker");
    // Whatever ends first ends the agent: the other two end only with this.
    tokio::select! {
        served = axum::serve(listener, router(driver)).into_future() => {
            served.map_err(DockerError::Serve)
        }
        () = keeping => Ok(()),
        () = names::follow(Path::new(names::SOCKET), door, notes) => Ok(()),
    }
}

pub fn router(driver: Driver) -> Router {
    Router::new().fallback(call).with_state(driver)
}

async fn call(With(driver): With<Driver>, method: Method, uri: Uri, body: Bytes) -> Response {
    let path = uri.path().trim_start_matches('/');
    if method != Method::POST {
        let text = json!({ "Err": "Docker's plugins are asked by POST" });
        return reply(StatusCode::METHOD_NOT_ALLOWED, &text);
    }
    let call = match Call::read(path, &body) {
        Ok(Some(call)) => call,
        Ok(None) => {
            let text = json!({ "Err": format!("{path} is nothing that Weft does") });
            return reply(StatusCode::NOT_FOUND, &text);
        }
        Err(error) => {
            let text = json!({ "Err": format!("{path}: {error}") });
            return reply(StatusCode::BAD_REQUEST, &text);
        }
    };
    match driver.answer(call).await {
        Ok(answer) => reply(StatusCode::OK, &answer),
        Err(error) => {
            warn!(call = path, %error, "refused Docker");
            // The two interfaces name their errors differently.
            let name = match path.starts_with("IpamDriver.") {
                true => "Error",
                false => "Err",
            };
            reply(StatusCode::OK, &json!({ name: error.to_string() }))
        }
    }
}

impl Driver {
    pub fn new(door: Door, notes: Notes) -> Self {
        Self {
            door,
            notes,
            since: Instant::now(),
        }
    }

    async fn answer(&self, call: Call) -> Result<serde_json::Value, CallError> {
        match call {
            Call::Activate => Ok(json!({ "Implements": ["NetworkDriver", "IpamDriver"] })),
            Call::NetworkCapabilities => Ok(json!({
                "Scope": "local",
                "ConnectivityScope": "global",
                "GwAllocChecker": false,
            })),
            Call::IpamCapabilities => Ok(json!({
                "RequiresMACAddress": true,
                "RequiresRequestReplay": true,
            })),
            Call::AddressSpaces => Ok(json!({
                "LocalDefaultAddressSpace": pool::ADDRESS_SPACE,
                "GlobalDefaultAddressSpace": pool::ADDRESS_SPACE,
            })),
            Call::RequestPool(ask) => value(self.request_pool(&ask).await?),
            Call::ReleasePool(ask) => done(self.release_pool(&ask).await),
            Call::RequestAddress(ask) => value(self.request_address(&ask).await?),
            Call::ReleaseAddress(ask) => done(self.release_address(&ask).await),
            Call::CreateNetwork(ask) => done(self.create_network(&ask).await),
            Call::DeleteNetwork(ask) => done(self.delete_network(&ask).await),
            Call::CreateEndpoint(ask) => {
                self.create_endpoint(&ask).await?;
                // Docker is told only what it did not say.
                Ok(json!({ "Interface": {} }))
            }
            Call::DeleteEndpoint(ask) => done(self.delete_endpoint(&ask).await),
            Call::Join(ask) => value(self.join(&ask).await?),
            Call::Leave(ask) => done(self.leave(&ask).await),
            Call::OperInfo(ask) => value(self.oper_info(&ask).await?),
            // Ports are published as long as the endpoint is attached.
            Call::External | Call::Discover => Ok(json!({})),
        }
    }

    /// Again while the agent is not ready, for as long as Docker may wait.
    async fn patiently<T, F>(&self, mut attempt: impl FnMut() -> F) -> Result<T, Refusal>
    where
        F: Future<Output = Result<T, Refusal>>,
    {
        let start = Instant::now();
        loop {
            match attempt().await {
                Err(refusal)
                    if refusal.reason == Reason::NotReady && start.elapsed() < PATIENCE
                        || refusal.reason == Reason::NotJoined && self.is_young() =>
                {
                    sleep(AGAIN).await;
                }
                done => return done,
            }
        }
    }

    /// What can be said of the networks of this host, once they are there.
    async fn grounded<T>(
        &self,
        attempt: impl Fn(&[Ground]) -> Result<T, PoolError>,
    ) -> Result<T, CallError> {
        loop {
            match attempt(&self.door.grounds().await?) {
                Err(error) if error.may_pass() && self.is_young() => sleep(AGAIN).await,
                done => return Ok(done?),
            }
        }
    }

    fn is_young(&self) -> bool {
        self.since.elapsed() < PATIENCE
    }
}

fn done(done: Result<(), CallError>) -> Result<serde_json::Value, CallError> {
    done.map(|()| json!({}))
}

fn value(answer: impl Serialize) -> Result<serde_json::Value, CallError> {
    Ok(serde_json::to_value(answer).expect("answers hold only plain values"))
}

fn reply(code: StatusCode, value: &serde_json::Value) -> Response {
    let kind = [(header::CONTENT_TYPE, CONTENT_TYPE)];
    (code, kind, value.to_string()).into_response()
}

#[cfg(test)]
mod tests;
