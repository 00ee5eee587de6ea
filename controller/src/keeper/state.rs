//! What the keeper knows, and how store events change it.

use std::{collections::BTreeMap, time::Duration};

use overlay::{
    feed,
    id::ControllerId,
    name::NetworkName,
    registry::{Changes, Registry},
    time::WallMs,
    txn::Revision,
};
use proto::{encode, encoded::Encoded};
use tokio::sync::watch;
use tracing::{info, warn};

use crate::{
    clock::Clock,
    feed::{self as logs, EndpointLog, Feed, LeaseLog},
    roster::{End, Roster},
    store::{Batch, Loaded},
};

const UNSETTLED: &str = "the first network is not made yet";
/// A cached snapshot is used while no more changes than this came after it.
const SNAPSHOT_REUSE: usize = 256;

/// Whether this controller sees the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// Nothing was loaded yet.
    Starting,
    Live,
    /// Decides nothing, acknowledges nothing.
    Down(String),
}

/// Whether a load continues what was known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum History {
    Same,
    Another,
}

pub struct State {
    pub ctl: ControllerId,
    pub clock: Clock,
    pub roster: Roster,
    pub link: Link,
    /// Why this controller must not decide although it may see the store: it cannot
    /// keep its sessions' records alive.
    cut_off: Option<String>,
    /// What must be settled before anybody is sent here, although this controller
    /// decides: until there is a first network, "there is none" is no answer.
    unsettled: Option<&'static str>,
    /// Why nobody can come in yet.
    shut: Option<&'static str>,
    /// The clocks of the other controllers against this one's, in milliseconds.
    pub offsets: BTreeMap<ControllerId, i64>,
    /// What holds lapse and reclaim back; empty: nothing.
    pub upkeep_held: String,
    pub(super) registry: Registry,
    /// Wakes its readers only with news for them: there are ten thousand.
    pub(super) feed: watch::Sender<Feed>,
    pub(super) leases: watch::Sender<LeaseLog>,
    pub(super) endpoints: watch::Sender<EndpointLog>,
    /// The registry's revision.
    pub(super) seen: watch::Sender<Revision>,
    snapshots: BTreeMap<NetworkName, Snapshot>,
    store_cluster: String,
}

/// All peers of a network at a revision, encoded.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub revision: Revision,
    pub parts: Vec<Encoded>,
}

impl State {
    pub fn new(ctl: ControllerId, clock: Clock) -> Self {
        Self {
            ctl,
            clock,
            roster: Roster::default(),
            link: Link::Starting,
            cut_off: None,
            unsettled: Some(UNSETTLED),
            shut: None,
            offsets: BTreeMap::new(),
            upkeep_held: String::new(),
            registry: Registry::default(),
            feed: watch::Sender::new(Feed::new(String::new(), 0)),
            leases: watch::Sender::new(LeaseLog::new(String::new(), 0)),
            endpoints: watch::Sender::new(EndpointLog::new(String::new(), 0)),
            seen: watch::Sender::new(0),
            snapshots: BTreeMap::new(),
            store_cluster: String::new(),
        }
    }

    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// May this controller decide and acknowledge?
    pub fn decides(&self) -> bool {
        self.link == Link::Live && self.cut_off.is_none()
    }

    pub fn why_not_ready(&self) -> Option<String> {
        match &self.link {
            Link::Starting => Some("the store has not been reached yet".into()),
            Link::Down(reason) => Some(reason.clone()),
            Link::Live => self
                .cut_off
                .clone()
                .or_else(|| self.unsettled.or(self.shut).map(str::to_owned)),
        }
    }

    /// Nobody can come in until this is over.
    pub fn shut(&mut self, why: Option<&'static str>) {
        self.shut = why;
    }

    /// In this history the first network is there, or will not be.
    pub fn settled(&mut self, cluster: &str) {
        if self.feed.borrow().cluster() == cluster {
            self.unsettled = None;
        }
    }

    /// This controller could not renew its word in the store for too long: by now its
    /// sessions may have ended there. Its agents must go to one that can.
    pub fn cut_off(&mut self, reason: String) {
        if self.cut_off.is_none() {
            warn!(%reason, sessions = self.roster.count(), "cut off from the store: sending the agents away");
        }
        self.roster.end_all(&End::Move(reason.clone()));
        self.cut_off = Some(reason);
    }

    pub fn reconnected(&mut self) {
        if self.cut_off.take().is_some() {
            info!("keeping sessions alive in the store again");
        }
    }

    pub fn feed(&self) -> watch::Ref<'_, Feed> {
        self.feed.borrow()
    }

    /// A snapshot for a stream to begin with. It may be a little old: the log after it
    /// is told next. Agents that start together share one.
    pub fn snapshot(&mut self, network: &NetworkName) -> Snapshot {
        let distance = |cached: &&Snapshot| self.feed.borrow().distance(network, cached.revision);
        let cached = self.snapshots.get(network);
        if let Some(cached) =
            cached.filter(|cached| distance(cached).is_some_and(|n| n <= SNAPSHOT_REUSE))
        {
            return cached.clone();
        }
        let revision = self.registry.revision();
        let peers = self
            .registry
            .space(network)
            .map(feed::peers)
            .unwrap_or_default();
        let snapshot = Snapshot {
            revision,
            parts: encode::snapshot(network, revision, &peers)
                .into_iter()
                .map(Encoded::from)
                .collect(),
        };
        self.snapshots.insert(network.clone(), snapshot.clone());
        snapshot
    }

    pub(super) fn apply(&mut self, batch: &Batch) {
        let changes = batch
            .changes
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_deref()));
        let asides = self.registry.set_aside().len();
        let changes = self.registry.apply(batch.revision, changes);
        self.tell_asides(asides);
        for id in changes.controllers.iter().filter(|id| **id != self.ctl) {
            match self.registry.controllers().get(id) {
                Some(other) => {
                    let offset = offset_ms(other.value.wall_ms, self.clock.now());
                    self.offsets.insert(*id, offset);
                }
                None => {
                    self.offsets.remove(id);
                }
            }
        }
        self.publish(changes);
    }

    /// Takes over a fresh load: as changes where it continues what was known, as a
    /// new history where it does not.
    pub(super) fn load(&mut self, loaded: &Loaded) -> History {
        let entries = loaded
            .entries
            .iter()
            .map(|entry| (entry.key.as_str(), entry.value.as_slice(), entry.revision));
        let later = Registry::load(loaded.revision, entries, Some(&self.registry));
        self.store_cluster.clone_from(&loaded.cluster);
        let cluster = cluster_of(&loaded.cluster, &later);
        let same =
            self.feed.borrow().cluster() == cluster && self.registry.revision() <= loaded.revision;
        let asides = self.registry.set_aside().len();
        if same {
            let changes = self.registry.difference(&later);
            self.registry = later;
            self.publish(changes);
        } else {
            let known = self.registry.revision() > 0;
            self.registry = later;
            self.unsettled = Some(UNSETTLED);
            self.snapshots.clear();
            self.leases
                .send_replace(LeaseLog::new(cluster.clone(), loaded.revision));
            self.endpoints
                .send_replace(EndpointLog::new(cluster.clone(), loaded.revision));
            self.feed.send_replace(Feed::new(cluster, loaded.revision));
            self.seen.send_replace(loaded.revision);
            if known {
                warn!(
                    revision = loaded.revision,
                    "the store holds another history: all agents start over"
                );
                let why = "the store holds another history";
                self.roster.end_all(&End::Move(why.into()));
            }
        }
        let present = self.registry.controllers();
        self.offsets.retain(|id, _| present.contains_key(id));
        self.tell_asides(asides);
        if same {
            History::Same
        } else {
            History::Another
        }
    }

    fn publish(&mut self, mut changes: Changes) {
        for node in &changes.sessions {
            let Some(here) = self.roster.get(node) else {
                continue;
            };
            match self.registry.sessions().get(node) {
                Some(session) if session.value.sid == here.sid => {}
                Some(_) => self.roster.end(node, End::TakenOver),
                None if !self.registry.nodes().contains_key(node) => {
                    self.roster.end(node, End::Removed);
                }
                None => self.roster.end(node, End::Expired),
            }
        }
        for network in &changes.networks {
            self.snapshots.remove(network);
        }
        let registry = &self.registry;
        // The first network of a fleet names the fleet.
        if self.feed.borrow().cluster() == self.store_cluster {
            let cluster = cluster_of(&self.store_cluster, registry);
            self.leases
                .send_modify(|leases| leases.rename(cluster.clone()));
            self.endpoints
                .send_modify(|endpoints| endpoints.rename(cluster.clone()));
            self.feed.send_modify(|feed| feed.rename(cluster));
        }
        self.feed
            .send_if_modified(|feed| feed.push(&changes, registry));
        let revision = changes.revision;
        let endpoints = std::mem::take(&mut changes.endpoints);
        if !endpoints.is_empty() {
            let weight = logs::weight(&endpoints);
            self.endpoints
                .send_modify(|log| log.push(revision, endpoints, weight));
        }
        if !changes.leases.is_empty() {
            let weight = changes.leases.len();
            self.leases
                .send_modify(|log| log.push(revision, changes, weight));
        }
        self.seen.send_replace(registry.revision());
    }

    /// See [`Feed::bookmark`].
    pub(super) fn bookmark(&self) {
        self.feed.send_if_modified(Feed::bookmark);
    }

    fn tell_asides(&self, before: usize) {
        let now = self.registry.set_aside();
        if now.len() > before {
            for (key, aside) in now
                .iter()
                .filter(|(_, aside)| aside.revision == self.registry.revision())
                .take(10)
            {
                warn!(%key, reason = %aside.reason, "a store record cannot be read and is set aside");
            }
        } else if now.is_empty() && before > 0 {
            info!("every store record can be read again");
        }
    }
}

/// How far another's clock, read just now from its record, is ahead of ours.
fn offset_ms(theirs: WallMs, ours: WallMs) -> i64 {
    let ahead = theirs.since(ours);
    let behind = ours.since(theirs);
    let ms = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    ms(ahead) - ms(behind)
}

/// Names the history of what the store holds.
fn cluster_of(store: &str, registry: &Registry) -> String {
    match registry.generation() {
        Some(networks) => format!("{store}-{}", networks.value.fleet),
        None => store.into(),
    }
}
