//! The agent's own doors: a unix socket for this host's tools, and HTTP for its
//! operators' (`/metrics`, `/healthz`, `/readyz`, `/status`, `/probes`, `/events`).

use std::{
    collections::BTreeSet,
    fs, io,
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::UnixStream,
    },
    path::{Path, PathBuf},
    time::Duration,
};

use axum::{
    Router,
    extract::{Path as Segment, State as With},
    http::{StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::{get, put},
};
use options::Events;
use overlay::{datapath::firewall::Published, event::Wish, name::NetworkName};
use socket::words::{Probe, Reason, Refusal};
use thiserror::Error;
use tokio::{
    net::UnixListener,
    sync::{mpsc, oneshot},
    time::timeout,
};

use crate::{
    doctor::{self, Doctor},
    endpoints::Door,
    metrics::Metrics,
    probe::{Asking, Courses, Wishes},
    status::Status,
    support::{self, Support},
    trace, traffic,
    trial::{self, Trials},
};

mod containers;
pub mod json;

/// The reconciler answers between two rounds; one takes a second at the most.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is asked of the reconciler.
pub enum Request {
    Status(oneshot::Sender<Status>),
    /// Why it is not ready.
    Ready(oneshot::Sender<Option<String>>),
    /// Whom to probe.
    Courses(Wishes, oneshot::Sender<Courses>),
    Join(NetworkName, oneshot::Sender<Answer>),
    Leave(NetworkName, oneshot::Sender<Answer>),
    /// These ports and no others are published on this host. The answer comes when it is
    /// so, or with the reason why not.
    Publish(BTreeSet<Published>, oneshot::Sender<Result<(), String>>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    Done,
    NotJoined,
}

#[derive(Debug, Error)]
pub enum SocketError {
    #[error("{}: that is no socket, and it stays what it is", .0.display())]
    NoSocket(PathBuf),
    #[error("{}: another agent answers there; give each its own", .0.display())]
    Taken(PathBuf),
    #[error("cannot {what} {}", path.display())]
    Io {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

#[derive(Clone)]
pub struct Doors {
    pub requests: mpsc::Sender<Request>,
    pub endpoints: Door,
    /// Answers with what the probes of peers show.
    pub probes: mpsc::Sender<Asking>,
    pub doctor: Doctor,
    pub trials: Trials,
    pub metrics: Metrics,
    pub events: Events,
    pub support: Support,
}

impl Doors {
    /// What everybody may read.
    pub fn ops(self) -> Router {
        Router::new()
            .route("/metrics", get(metrics))
            .route("/healthz", get(health))
            .route("/readyz", get(ready))
            .route("/status", get(status))
            .route("/probes", get(probes))
            .route("/events", get(events))
            .with_state(self)
    }

    /// None: the agent is stopping, or busy.
    pub async fn status(&self) -> Option<Status> {
        ask(self, Request::Status).await
    }

    /// What this host's tools may do.
    pub fn socket(self) -> Router {
        let networks = put(join).delete(leave);
        let own = Router::new()
            .route("/networks/{name}", networks)
            .route("/traffic", get(traffic::traffic));
        let containers = containers::routes(self.endpoints.clone());
        own.with_state(self.clone())
            .merge(containers)
            .merge(trace::routes(self.endpoints.clone()))
            .merge(doctor::routes(self.doctor.clone()))
            .merge(trial::routes(self.trials.clone()))
            .merge(support::routes(self.support.clone()))
            .merge(self.ops())
    }
}

/// Listens for this host's tools: root alone may connect. A socket at which nobody
/// answers was left behind, and nothing else is removed.
pub fn listen(path: &Path) -> Result<UnixListener, SocketError> {
    let failed = |what| {
        let path = path.to_owned();
        move |source| SocketError::Io { what, path, source }
    };
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory).map_err(failed("make the directory of"))?;
    }
    if let Ok(there) = fs::symlink_metadata(path) {
        if !there.file_type().is_socket() {
            return Err(SocketError::NoSocket(path.to_owned()));
        }
        if UnixStream::connect(path).is_ok() {
            return Err(SocketError::Taken(path.to_owned()));
        }
        fs::remove_file(path).map_err(failed("remove the old"))?;
    }
    let listener = UnixListener::bind(path).map_err(failed("listen on"))?;
    let private = fs::Permissions::from_mode(0o600);
    fs::set_permissions(path, private).map_err(failed("set the permissions of"))?;
    Ok(listener)
}

async fn metrics(With(doors): With<Doors>) -> Response {
    traffic::sample(&doors).await;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], doors.metrics.text()).into_response()
}

/// The process works: its reconciler answers.
async fn health(With(doors): With<Doors>) -> Response {
    match ask(&doors, Request::Ready).await {
        Some(_) => "ok\n".into_response(),
        None => silent(),
    }
}

async fn ready(With(doors): With<Doors>) -> Response {
    match ask(&doors, Request::Ready).await {
        Some(None) => "ready\n".into_response(),
        Some(Some(reason)) => {
            let text = format!("not ready: {reason}\n");
            (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
        }
        None => silent(),
    }
}

async fn status(With(doors): With<Doors>) -> Response {
    let Some(mut status) = doors.status().await else {
        return silent();
    };
    status.probed(&probed(&doors).await.unwrap_or_default());
    json::shown(&status)
}

async fn probes(With(doors): With<Doors>) -> Response {
    match probed(&doors).await {
        Some(probes) => json::shown(&probes),
        None => silent(),
    }
}

async fn events(With(doors): With<Doors>, uri: Uri) -> Response {
    let wish: Wish = match uri.query().unwrap_or_default().parse() {
        Ok(wish) => wish,
        Err(error) => return json::refused(&Refusal::new(Reason::Bad, error.to_string())),
    };
    match doors.events.wished(wish).await {
        Some(events) => json::shown(&events),
        None => silent(),
    }
}

async fn probed(doors: &Doors) -> Option<Vec<Probe>> {
    let (reply, answer) = oneshot::channel();
    doors.probes.send(reply).await.ok()?;
    timeout(PATIENCE, answer).await.ok()?.ok()
}

async fn join(doors: With<Doors>, name: Segment<String>) -> Response {
    network(doors, name, Request::Join).await
}

async fn leave(doors: With<Doors>, name: Segment<String>) -> Response {
    network(doors, name, Request::Leave).await
}

async fn network(
    With(doors): With<Doors>,
    Segment(name): Segment<String>,
    request: impl FnOnce(NetworkName, oneshot::Sender<Answer>) -> Request,
) -> Response {
    let name: NetworkName = match name.parse() {
        Ok(name) => name,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    };
    let text = format!("network {name} is not joined\n");
    match ask(&doors, |reply| request(name, reply)).await {
        Some(Answer::Done) => StatusCode::NO_CONTENT.into_response(),
        Some(Answer::NotJoined) => (StatusCode::NOT_FOUND, text).into_response(),
        None => silent(),
    }
}

async fn ask<T>(doors: &Doors, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Option<T> {
    let (reply, answer) = oneshot::channel();
    doors.requests.send(request(reply)).await.ok()?;
    timeout(PATIENCE, answer).await.ok()?.ok()
}

fn silent() -> Response {
    let text = "the agent is stopping, or busy with the kernel\n";
    (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
}
