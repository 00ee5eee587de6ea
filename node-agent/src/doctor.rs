//! `POST /doctor`, and `weft-agent doctor` where no agent runs: looks at this host, and says
//! what is wrong with it. Some packets are sent, and nothing is changed.

use std::{path::PathBuf, time::Duration};

use anyhow::Context;
use axum::{Router, extract::State as With, response::Response, routing::post};
use options::clock;
use overlay::{
    doctor::{Agent, Facts, Finding, judge},
    time::WallMs,
};
use tokio::sync::{mpsc, oneshot};

use crate::{
    access::Access,
    local::{Request, json},
    status::Status,
};
use ground::Ground;

mod controllers;
mod ground;
mod host;
mod ways;

/// What it goes by.
#[derive(Clone)]
pub struct Doctor {
    pub state_dir: PathBuf,
    pub controllers: Vec<String>,
    pub access: Access,
    /// None: no agent runs.
    pub reconciler: Option<mpsc::Sender<Request>>,
}

/// The reconciler answers between two rounds; one that does not is not well.
const PATIENCE: Duration = Duration::from_secs(5);

pub fn routes(doctor: Doctor) -> Router {
    Router::new()
        .route("/doctor", post(examined))
        .with_state(doctor)
}

async fn examined(With(doctor): With<Doctor>) -> Response {
    let examined = doctor.examine().await;
    json::answer(examined.map_err(|error| json::broken(&error)))
}

impl Doctor {
    pub async fn examine(&self) -> anyhow::Result<Vec<Finding>> {
        let now = WallMs(clock::now_ms());
        let mut facts = Facts::at(now, self.state_dir.display().to_string());
        let status = self.status().await;
        let grounds = match &status {
            Some(status) => Ground::told(status),
            None => Ground::kept(&self.state_dir)?,
        };
        if let Some(status) = status {
            facts.disk.not_kept = status.not_kept;
            facts.agent = Agent::Runs {
                not_ready: status.reason.filter(|_| !status.ready),
                failing: status
                    .failing
                    .into_iter()
                    .map(|failing| format!("{}: {}", failing.step, failing.reason))
                    .collect(),
                in_the_way: status.in_the_way,
            };
        }
        facts.certificate = self.access.ends_at();
        let directory = self.state_dir.clone();
        let (controllers, ways, looked) = tokio::join!(
            controllers::asked(&self.controllers, &self.access),
            ways::tried(&grounds),
            tokio::task::spawn_blocking({
                let grounds = grounds.clone();
                move || host::look(facts, &directory, &grounds)
            }),
        );
        let mut facts = looked.context("the look at this host died")??;
        facts.controllers = controllers;
        (facts.ways, facts.untried) = ways;
        Ok(judge(&facts))
    }

    /// None: no agent runs, or it does not answer.
    async fn status(&self) -> Option<Status> {
        let (reply, answer) = oneshot::channel();
        let asked = self.reconciler.as_ref()?.send(Request::Status(reply)).await;
        asked.ok()?;
        tokio::time::timeout(PATIENCE, answer).await.ok()?.ok()
    }
}
