//! `/trials`: places that are put up for a short time, to send between them and measure. What
//! one leaves behind when the agent dies ends by itself: its process has a given life, and
//! an endpoint whose namespace is gone ends.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State as With},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{delete, post},
};
use overlay::{
    name::NetworkName,
    trial::{
        LONGEST_LIFE, LONGEST_MEASUREMENT, MOST_WAYS, Measure, Measured, Open, Opened, Reach,
        Reached, Target, TrialId,
    },
};
use socket::words::{Reason, Refusal};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::sleep,
};
use tracing::info;
use uuid::Uuid;

use crate::{
    endpoints::Door,
    local::{Request, json},
    status::NetworkStatus,
};
use place::Place;
use serve::Listeners;

mod measure;
mod place;
mod serve;

/// On one host at a time.
const MOST: usize = 8;

/// All trials of this host.
#[derive(Clone)]
pub struct Trials {
    endpoints: Door,
    reconciler: mpsc::Sender<Request>,
    open: Arc<Mutex<BTreeMap<TrialId, Arc<Trial>>>>,
    room: Arc<Semaphore>,
}

struct Trial {
    network: NetworkName,
    place: Place,
    listeners: Listeners,
    _room: OwnedSemaphorePermit,
}

pub fn routes(trials: Trials) -> Router {
    Router::new()
        .route("/trials", post(open))
        .route("/trials/{id}", delete(close))
        .route("/trials/{id}/reach", post(reach))
        .route("/trials/{id}/measure", post(measure))
        .with_state(trials)
}

async fn open(With(trials): With<Trials>, body: Bytes) -> Response {
    json::answer(match json::read(&body) {
        Ok(words) => trials.open(words).await,
        Err(refusal) => Err(refusal),
    })
}

async fn close(With(trials): With<Trials>, Path(id): Path<String>) -> Response {
    match id.parse() {
        Ok(id) => {
            trials.close(id).await;
            StatusCode::NO_CONTENT.into_response()
        }
        Err(text) => json::refused(&Refusal::new(Reason::Bad, text)),
    }
}

async fn reach(With(trials): With<Trials>, Path(id): Path<String>, body: Bytes) -> Response {
    json::answer(match json::read(&body) {
        Ok(words) => trials.reach(&id, words).await,
        Err(refusal) => Err(refusal),
    })
}

async fn measure(With(trials): With<Trials>, Path(id): Path<String>, body: Bytes) -> Response {
    json::answer(match json::read(&body) {
        Ok(words) => trials.measure(&id, words).await,
        Err(refusal) => Err(refusal),
    })
}

impl Trials {
    pub fn new(endpoints: Door, reconciler: mpsc::Sender<Request>) -> Self {
        Self {
            endpoints,
            reconciler,
            open: Arc::default(),
            room: Arc::new(Semaphore::new(MOST)),
        }
    }

    async fn open(&self, open: Open) -> Result<Opened, Refusal> {
        let Ok(room) = self.room.clone().try_acquire_owned() else {
            let text = format!("there are {MOST} trials on this host; they end by themselves");
            return Err(Refusal::new(Reason::NotReady, text));
        };
        let life = Duration::from_millis(open.life_ms).min(LONGEST_LIFE);
        let id = TrialId(Uuid::new_v4().as_u64_pair().0);
        let place = match open.place {
            overlay::trial::Place::Endpoint => {
                Place::endpoint(&self.endpoints, id, &open.network, life).await?
            }
            overlay::trial::Place::Host => Place::host(&self.network(&open.network).await?)?,
        };
        let listeners = match Listeners::open(&place, id, life) {
            Ok(listeners) => listeners,
            Err(error) => {
                place.leave(&self.endpoints).await;
                let text = format!("cannot listen for a trial: {error}");
                return Err(Refusal::new(Reason::Kernel, text));
            }
        };
        let targets = listeners.targets.clone();
        info!(trial = %id, network = %open.network, place = ?open.place, "a trial begins");
        let trial = Arc::new(Trial {
            network: open.network,
            place,
            listeners,
            _room: room,
        });
        self.held().insert(id, trial);
        let trials = self.clone();
        tokio::spawn(async move {
            sleep(life).await;
            trials.close(id).await;
        });
        Ok(Opened { id, targets })
    }

    /// One that is not there has ended already.
    async fn close(&self, id: TrialId) {
        let found = self.held().remove(&id);
        if let Some(trial) = found {
            trial.listeners.stop();
            trial.place.leave(&self.endpoints).await;
            info!(trial = %id, "the trial ended");
        }
    }

    async fn reach(&self, id: &str, reach: Reach) -> Result<Vec<Reached>, Refusal> {
        if reach.to.len() > MOST_WAYS {
            let text = format!("a request tries {MOST_WAYS} ways at the most");
            return Err(Refusal::new(Reason::Bad, text));
        }
        let trial = self.find(id)?;
        self.are_peers(&trial.network, &reach.to).await?;
        let asked = measure::reach(&trial.place, &reach.to).await;
        asked.map_err(|error| Refusal::new(Reason::Kernel, error.to_string()))
    }

    async fn measure(&self, id: &str, measure: Measure) -> Result<Measured, Refusal> {
        let trial = self.find(id)?;
        self.are_peers(&trial.network, &[measure.to]).await?;
        let time = Duration::from_millis(measure.for_ms).min(LONGEST_MEASUREMENT);
        let (to, what) = (measure.to, measure.what);
        let measured = tokio::task::spawn_blocking(move || {
            trial.place.inside(|| measure::measure(to, what, time))
        });
        let measured = measured
            .await
            .map_err(|error| Refusal::new(Reason::Kernel, error.to_string()))?;
        measured.map_err(|error| Refusal::new(Reason::Kernel, format!("{}: {error}", to.address)))
    }

    /// Nobody has this host send to others than its peers.
    async fn are_peers(&self, network: &NetworkName, targets: &[Target]) -> Result<(), Refusal> {
        let network = self.network(network).await?;
        let is_peer = |address: IpAddr| {
            network.peers.iter().any(|peer| {
                peer.underlay == address || peer.subnets.iter().any(|one| one.holds(address))
            })
        };
        match targets.iter().find(|target| !is_peer(target.address)) {
            None => Ok(()),
            Some(target) => {
                let text = format!("{} is no peer's, as far as this host knows", target.address);
                Err(Refusal::new(Reason::Bad, text))
            }
        }
    }

    async fn network(&self, name: &NetworkName) -> Result<NetworkStatus, Refusal> {
        let (reply, answer) = oneshot::channel();
        let asked = self.reconciler.send(Request::Status(reply)).await;
        let status = asked.ok().and(answer.await.ok());
        let stopping = || Refusal::new(Reason::NotReady, "the agent is stopping");
        let networks = status.ok_or_else(stopping)?.networks;
        let found = networks.into_iter().find(|one| one.network == *name);
        found.ok_or_else(|| {
            let text = format!("network {name} is not joined on this host");
            Refusal::new(Reason::NotJoined, text)
        })
    }

    fn find(&self, id: &str) -> Result<Arc<Trial>, Refusal> {
        let id: TrialId = id
            .parse()
            .map_err(|text: String| Refusal::new(Reason::Bad, text))?;
        self.held().get(&id).cloned().ok_or_else(|| {
            Refusal::new(
                Reason::NoSandbox,
                format!("there is no trial {id} any more"),
            )
        })
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<TrialId, Arc<Trial>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
