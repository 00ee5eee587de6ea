//! For operators and their tools, over HTTP: `/metrics`, `/healthz`, `/readyz`, `/status`, `/events`.

use std::sync::Arc;

use axum::{
    Router,
    extract::State as With,
    http::{StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::get,
};
use options::Process;
use overlay::event::Wish;
use proto::v1;
use serde_json::{Value, json};

use crate::{
    keeper::{Failure, Keeper, State},
    metrics::Metrics,
    services::status::report,
};

#[derive(Clone)]
pub struct Ops {
    pub keeper: Keeper,
    pub metrics: Metrics,
    pub store: Arc<str>,
    pub process: Process,
}

impl Ops {
    /// All that is counted and measured, as Prometheus reads it.
    pub async fn metrics(&self) -> Result<String, Failure> {
        let counted = self.metrics.clone();
        let sample = move |state: &mut State| counted.sample(state, state.clock.now());
        self.keeper.with(sample).await?;
        Ok(self.metrics.text())
    }

    pub async fn status(&self) -> Result<Value, Failure> {
        let store = self.store.clone();
        let report = self.keeper.with(move |state| report(state, &store, 0));
        Ok(json(&report.await?))
    }
}

pub fn router(ops: Ops) -> Router {
    Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(health))
        .route("/readyz", get(ready))
        .route("/status", get(status))
        .route("/events", get(events))
        .with_state(ops)
}

async fn metrics(With(ops): With<Ops>) -> Response {
    let Ok(text) = ops.metrics().await else {
        return stopping();
    };
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

/// The process works: its keeper answers.
async fn health(With(ops): With<Ops>) -> Response {
    match ops.keeper.with(|_| ()).await {
        Ok(()) => "ok\n".into_response(),
        Err(_) => stopping(),
    }
}

/// The controller decides: it sees the store and can keep sessions alive.
async fn ready(With(ops): With<Ops>) -> Response {
    match ops.keeper.with(|state| state.why_not_ready()).await {
        Ok(None) => "ready\n".into_response(),
        Ok(Some(reason)) => (
            StatusCode::SERVICE_UNAVAILABLE,
            format!("not ready: {reason}\n"),
        )
            .into_response(),
        Err(_) => stopping(),
    }
}

async fn status(With(ops): With<Ops>) -> Response {
    match ops.status().await {
        Ok(status) => {
            let kind = [(header::CONTENT_TYPE, "application/json")];
            (kind, status.to_string()).into_response()
        }
        Err(_) => stopping(),
    }
}

async fn events(With(ops): With<Ops>, uri: Uri) -> Response {
    let wish: Wish = match uri.query().unwrap_or_default().parse() {
        Ok(wish) => wish,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    };
    match ops.process.events.wished(wish).await {
        Some(events) => {
            let kind = [(header::CONTENT_TYPE, "application/json")];
            (kind, json!(events).to_string()).into_response()
        }
        None => stopping(),
    }
}

fn stopping() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response()
}

fn json(status: &v1::Status) -> Value {
    let controllers = status.controllers.iter().map(|controller| {
        json!({
            "id": controller.id,
            "listen": controller.listen,
            "version": controller.version,
            "started_at_ms": controller.started_at_ms,
            "clock_offset_ms": controller.clock_offset_ms,
        })
    });
    let pools = |network: &v1::Network| -> Vec<Value> {
        let pools = network.r#use.iter().map(|pool| {
            json!({
                "pool": pool.pool,
                "total": pool.total,
                "leased": pool.leased,
                "reserved": pool.reserved,
                "free": pool.free,
            })
        });
        pools.collect()
    };
    let networks = status.networks.iter().map(
        |network| json!({ "name": network.name, "state": network.state, "pools": pools(network) }),
    );
    let set_aside = status.set_aside.iter().map(
        |aside| json!({ "key": aside.key, "reason": aside.reason, "revision": aside.revision }),
    );
    let nodes: serde_json::Map<String, Value> = status
        .nodes
        .iter()
        .map(|count| (count.state.clone(), count.count.into()))
        .collect();
    json!({
        "controller": status.controller,
        "version": status.version,
        "cluster": status.cluster,
        "revision": status.revision,
        "ready": status.ready,
        "reason": status.reason,
        "store": status.store,
        "store_state": status.store_state,
        "sessions": status.sessions,
        "upkeep_held": status.upkeep_held,
        "controllers": controllers.collect::<Vec<_>>(),
        "networks": networks.collect::<Vec<_>>(),
        "nodes": nodes,
        "set_aside": set_aside.collect::<Vec<_>>(),
    })
}
