//! The state of the fleet as this controller sees it, with reasons.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use overlay::{name::NodeName, registry::Space};
use proto::{encode, v1};
use tonic::{Request, Response, Status, async_trait};

use super::{
    node::{describe, life},
    status,
};
use crate::{
    feed::Feed,
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
    async fn get(
        &self,
        request: Request<v1::GetStatusRequest>,
    ) -> Result<Response<v1::Status>, Status> {
        let most = request.get_ref().nodes as usize;
        let store = self.store.clone();
        let report = self
            .keeper
            .with(move |state| report(state, &store, most))
            .await;
        report
            .map(Response::new)
            .map_err(|failure| status(&failure))
    }
}

/// With so many nodes listed at most.
pub fn report(state: &State, store: &str, most: usize) -> v1::Status {
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
    let nodes = by_trouble(state);
    let shown = |(_, name): &(Trouble, &NodeName)| describe(state, name);
    let troubled = nodes
        .iter()
        .take_while(|(trouble, _)| *trouble > Trouble::None);
    let sick = troubled.clone();
    let here = sick.filter(|(trouble, _)| *trouble < Trouble::Gone).count();
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
        nodes: counts(state).into_iter().map(count).collect(),
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
        troubled: troubled.take(MOST_TROUBLED).map(shown).collect(),
        listed: nodes.iter().take(most).map(shown).collect(),
        troubled_here: here as u64,
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

fn count((state, count): (&'static str, u64)) -> v1::NodeCount {
    v1::NodeCount {
        state: state.into(),
        count,
    }
}

/// The nodes of the fleet by their state.
pub fn counts(state: &State) -> BTreeMap<&'static str, u64> {
    let mut counts: BTreeMap<&'static str, u64> = BTreeMap::new();
    for name in state.registry().nodes().keys() {
        let leases: Vec<_> = state.registry().leases_of(name).collect();
        *counts.entry(life(state, name, &leases)).or_default() += 1;
    }
    counts
}

/// How bad it is with a node, the worst greatest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    None,
    /// Packets do not pass as they should between it and nodes that are there.
    Probes,
    Behind(Duration),
    NotReady,
    Gone,
}

/// All nodes, the worst first, and then by name.
fn by_trouble(state: &State) -> Vec<(Trouble, &NodeName)> {
    let feed = state.feed();
    let mut nodes: Vec<(Trouble, &NodeName)> = state
        .registry()
        .nodes()
        .keys()
        .map(|name| (trouble(state, &feed, name), name))
        .collect();
    nodes.sort_by(|(a, one), (b, other)| b.cmp(a).then(one.cmp(other)));
    nodes
}

fn trouble(state: &State, feed: &Feed, name: &NodeName) -> Trouble {
    let leases: Vec<_> = state.registry().leases_of(name).collect();
    if life(state, name, &leases) == "disconnected" {
        return Trouble::Gone;
    }
    let Some(here) = state.roster.get(name) else {
        return Trouble::None;
    };
    let lag = here.lag(feed).unwrap_or_default();
    // That nobody reaches a node that is gone is its own trouble.
    let sessions = state.registry().sessions();
    let is_there = |probe: &v1::ProbedPeer| {
        let name = probe.node.parse::<NodeName>();
        name.is_ok_and(|name| sessions.contains_key(&name))
    };
    if !here.ready {
        Trouble::NotReady
    } else if lag.as_millis() > 0 {
        Trouble::Behind(lag)
    } else if here.troubled_probes().any(is_there) {
        Trouble::Probes
    } else {
        Trouble::None
    }
}
