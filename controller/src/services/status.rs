//! The state of the fleet as this controller sees it, with reasons.

use std::{collections::BTreeMap, sync::Arc};

use overlay::registry::Space;
use proto::{encode, v1};
use tonic::{Request, Response, Status, async_trait};

use super::{
    node::{describe, life},
    status,
};
use crate::{
    keeper::{Keeper, Link, State},
    roster::quantile,
};

/// Nodes in trouble that are named one by one.
const MOST_TROUBLED: usize = 20;
const QUANTILES: [f64; 3] = [0.5, 0.9, 0.99];

pub struct StatusReport {
    pub keeper: Keeper,
    pub store: Arc<str>,
}

#[async_trait]
impl v1::status_service_server::StatusService for StatusReport {
    async fn get(&self, _: Request<v1::GetStatusRequest>) -> Result<Response<v1::Status>, Status> {
        let store = self.store.clone();
        let report = self.keeper.with(move |state| report(state, &store)).await;
        report
            .map(Response::new)
            .map_err(|failure| status(&failure))
    }
}

pub fn report(state: &State, store: &str) -> v1::Status {
    let registry = state.registry();
    let feed = state.feed();
    let lags = state.roster.lags(&feed);
    let not_ready = state.why_not_ready();
    let network = |space: &Space| Some(encode::network(space.network()?, Some(space)));
    let set_aside = registry
        .set_aside()
        .iter()
        .map(|(key, aside)| v1::SetAside {
            key: key.clone(),
            reason: aside.reason.clone(),
            revision: aside.revision,
        });
    v1::Status {
        controller: state.ctl.to_string(),
        version: env!("CARGO_PKG_VERSION").into(),
        cluster: feed.cluster().into(),
        revision: registry.revision(),
        ready: not_ready.is_none(),
        reason: not_ready.unwrap_or_default(),
        store: store.into(),
        store_state: match &state.link {
            Link::Starting => "starting".into(),
            Link::Live => "live".into(),
            Link::Down(reason) => format!("down: {reason}"),
        },
        controllers: controllers(state),
        networks: registry.networks().filter_map(network).collect(),
        nodes: nodes(state),
        set_aside: set_aside.collect(),
        lag: QUANTILES
            .iter()
            .map(|&share| v1::LagQuantile {
                quantile: share,
                lag_ms: u64::try_from(quantile(&lags, share).as_millis()).unwrap_or(u64::MAX),
            })
            .collect(),
        sessions: state.roster.count() as u64,
        upkeep_held: state.upkeep_held.clone(),
        troubled: troubled(state),
    }
}

fn controllers(state: &State) -> Vec<v1::Controller> {
    let known = state.registry().controllers().iter();
    known
        .map(|(id, record)| v1::Controller {
            id: id.to_string(),
            listen: record.value.listen.clone(),
            version: record.value.version.clone(),
            started_at_ms: record.value.started.0,
            clock_offset_ms: state.offsets.get(id).copied().unwrap_or(0),
        })
        .collect()
}

fn nodes(state: &State) -> Vec<v1::NodeCount> {
    let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
    for name in state.registry().nodes().keys() {
        let leases: Vec<_> = state.registry().leases_of(name).collect();
        *counts.entry(life(state, name, &leases)).or_default() += 1;
    }
    let count = |(state, count): (&str, u64)| v1::NodeCount {
        state: state.into(),
        count,
    };
    counts.into_iter().map(count).collect()
}

/// The nodes that are gone, not ready, or lag, worst first.
fn troubled(state: &State) -> Vec<v1::Node> {
    let feed = state.feed();
    let mut troubled = Vec::new();
    for name in state.registry().nodes().keys() {
        let leases: Vec<_> = state.registry().leases_of(name).collect();
        if life(state, name, &leases) == "disconnected" {
            troubled.push((u128::MAX, name));
        } else if let Some(here) = state.roster.get(name) {
            let lag = here.lag(&feed).unwrap_or_default().as_millis();
            if !here.ready || lag > 0 {
                troubled.push((lag, name));
            }
        }
    }
    troubled.sort_by(|a, b| b.cmp(a));
    troubled.truncate(MOST_TROUBLED);
    troubled
        .into_iter()
        .map(|(_, name)| describe(state, name))
        .collect()
}
