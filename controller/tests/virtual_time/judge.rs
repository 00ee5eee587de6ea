//! What must be so whatever happens. The judge reads the store's value, revision by
//! revision, as JSON: it asks nothing of the code under test.

#[path = "judge/record.rs"]
mod record;
#[path = "judge/witness.rs"]
mod witness;

use std::collections::{BTreeMap, BTreeSet};

use controller::store::Batch;
use overlay::{time::WallMs, txn::Revision};
use serde_json::Value as Json;

use crate::store::Value;
use record::lease;
pub use record::{Lease, Peer, peer};

/// A network and a node.
pub type Place = (String, String);

pub type Peers = BTreeMap<String, Peer>;

/// By their ids, the lives of leases that they name.
pub type Endpoints = BTreeMap<String, String>;

/// What somebody asked for that ends leases. It may be done at any time afterwards.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Asked {
    Release { life: String },
    Leave { place: Place },
    Remove { node: String },
}

#[derive(Debug, Default)]
pub struct Judge {
    seen: Revision,
    leases: BTreeMap<Place, Lease>,
    claims: BTreeMap<String, Json>,
    sessions: BTreeSet<String>,
    asked: BTreeSet<Asked>,
    ended: BTreeSet<String>,
    /// Written by hand, and no record: what was there before counts.
    garbage: BTreeMap<String, Revision>,
    /// Each lease at every revision that changed it.
    past: BTreeMap<Place, BTreeMap<Revision, Option<Lease>>>,
    /// The peers of each network at every revision that changed one.
    peers: BTreeMap<String, BTreeMap<Revision, Peers>>,
    /// The endpoints of each place, with the lives that they name, at every revision that
    /// changed one.
    endpoints: BTreeMap<Place, BTreeMap<Revision, Endpoints>>,
    /// When records were garbage: until the revision that mended them.
    spoilt: BTreeMap<Place, Vec<(Revision, Revision)>>,
}

impl Judge {
    pub fn ask(&mut self, asked: Asked) {
        self.asked.insert(asked);
    }

    pub fn seen(&self) -> Revision {
        self.seen
    }

    pub fn sessions(&self) -> &BTreeSet<String> {
        &self.sessions
    }

    pub fn leases(&self) -> &BTreeMap<Place, Lease> {
        &self.leases
    }

    /// Reads what the store did since the last time.
    pub fn follow(
        &mut self,
        value: &Value,
        wall: impl Fn(tokio::time::Instant) -> WallMs,
    ) -> Vec<String> {
        let mut wrong = Vec::new();
        for (at, batch) in value.past(self.seen) {
            self.read(&batch, wall(at), &mut wrong);
            self.seen = batch.revision;
        }
        wrong
    }

    /// The endpoints that the store has now.
    pub fn endpoints(&self) -> impl Iterator<Item = (&Place, &Endpoints)> {
        let all = self.endpoints.iter();
        all.filter_map(|(place, past)| Some((place, past.last_key_value()?.1)))
    }

    /// One endpoint became another. Only its node's agent says so, under its lease.
    fn attached(
        &mut self,
        place: Place,
        id: &str,
        new: Option<&Json>,
        revision: Revision,
        wrong: &mut Vec<String>,
    ) {
        if let Some(new) = new {
            let life = self.leases.get(&place).map(|lease| lease.life.as_str());
            if life.is_none() || life != new["life"].as_str() {
                wrong.push(format!(
                    "{place:?} at {revision}: {new} is of no lease, it has {life:?}"
                ));
            }
            if !self.sessions.contains(&place.1) {
                wrong.push(format!("{place:?} at {revision}: {id} is said by nobody"));
            }
        }
        let past = self.endpoints.entry(place).or_default();
        let mut now = past
            .last_key_value()
            .map(|(_, now)| now.clone())
            .unwrap_or_default();
        match new {
            Some(new) => {
                let life = new["life"].as_str().unwrap_or_default();
                now.insert(id.to_owned(), life.to_owned());
            }
            None => {
                now.remove(id);
            }
        }
        past.insert(revision, now);
    }

    fn read(&mut self, batch: &Batch, now: WallMs, wrong: &mut Vec<String>) {
        let revision = batch.revision;
        let before = self.sessions.clone();
        let mut networks = BTreeSet::new();
        for (key, value) in &batch.changes {
            let parts: Vec<&str> = key.split('/').collect();
            let json: Option<Option<Json>> = value
                .as_deref()
                .map(|value| serde_json::from_slice(value).ok());
            if let Some(None) = json {
                self.garbage.insert(key.clone(), revision);
                if let ["lease", network, node] = parts[..] {
                    let spoilt = self
                        .spoilt
                        .entry((network.into(), node.into()))
                        .or_default();
                    spoilt.push((revision, Revision::MAX));
                }
                continue;
            }
            let json = json.flatten();
            if self.garbage.remove(key).is_some()
                && let ["lease", network, node] = parts[..]
            {
                let spoilt = self
                    .spoilt
                    .entry((network.into(), node.into()))
                    .or_default();
                if let Some((_, to)) = spoilt.last_mut() {
                    *to = revision;
                }
            }
            match parts[..] {
                ["sess", node] => {
                    match json {
                        Some(_) => self.sessions.insert(node.into()),
                        None => self.sessions.remove(node),
                    };
                }
                ["claim", ..] => {
                    match json {
                        Some(claim) => self.claims.insert(key.clone(), claim),
                        None => self.claims.remove(key),
                    };
                }
                ["lease", network, node] => {
                    let place = (network.to_owned(), node.to_owned());
                    let new = json.as_ref().map(lease);
                    self.change(&place, new.clone(), &before, now, revision, wrong);
                    self.past.entry(place).or_default().insert(revision, new);
                    networks.insert(network.to_owned());
                }
                ["endpoint", network, node, id] => {
                    let place = (network.to_owned(), node.to_owned());
                    self.attached(place, id, json.as_ref(), revision, wrong);
                }
                _ => {}
            }
        }
        for network in networks {
            self.unique(&network, revision, wrong);
            let peers = self.leases.iter().filter(|((of, _), _)| *of == network);
            let peers = peers.filter_map(|((_, node), lease)| Some((node.clone(), peer(lease)?)));
            let peers = peers.collect();
            self.peers
                .entry(network)
                .or_default()
                .insert(revision, peers);
        }
    }

    /// One lease became another.
    fn change(
        &mut self,
        place: &Place,
        new: Option<Lease>,
        sessions: &BTreeSet<String>,
        now: WallMs,
        revision: Revision,
        wrong: &mut Vec<String>,
    ) {
        let old = match &new {
            Some(new) => self.leases.insert(place.clone(), new.clone()),
            None => self.leases.remove(place),
        };
        let has_session = sessions.contains(&place.1);
        let mut bad = |what: String| wrong.push(format!("{place:?} at {revision}: {what}"));
        match (old, new) {
            (Some(old), Some(new)) => {
                let same = (&old.life, &old.node_id, &old.subnets);
                if same != (&new.life, &new.node_id, &new.subnets) {
                    bad(format!("{old:?} became {new:?} without being ended"));
                }
                if new.gone && !old.gone && has_session {
                    bad("lapsed while its node has a session".into());
                }
            }
            (Some(old), None) => {
                let asked = [
                    Asked::Release {
                        life: old.life.clone(),
                    },
                    Asked::Leave {
                        place: place.clone(),
                    },
                    Asked::Remove {
                        node: place.1.clone(),
                    },
                ];
                let due = old.expires.is_some_and(|at| at <= now.0) && !has_session;
                if !due && !asked.iter().any(|asked| self.asked.contains(asked)) {
                    bad(format!("{old:?} ended at {now}, which nobody asked for"));
                }
                self.ended.insert(old.life);
            }
            (None, Some(new)) => {
                if self.ended.contains(&new.life) {
                    bad(format!("{} lives again", new.life));
                }
            }
            (None, None) => {}
        }
    }

    /// One subnet, one node, and its claim says so.
    fn unique(&self, network: &str, revision: Revision, wrong: &mut Vec<String>) {
        let mut holders: BTreeMap<&str, &str> = BTreeMap::new();
        for ((_, node), lease) in self.leases.iter().filter(|((of, _), _)| of == network) {
            for subnet in &lease.subnets {
                if let Some(other) = holders.insert(subnet, node) {
                    wrong.push(format!("{subnet} is {other}'s and {node}'s at {revision}"));
                }
                let family = if subnet.contains(':') { 6 } else { 4 };
                let key = format!("claim/{network}/{family}/{}", subnet.replace('/', "-"));
                let claim = self.claims.get(&key);
                let life = claim.and_then(|claim| claim["life"].as_str());
                if life != Some(&lease.life) {
                    wrong.push(format!("{key} of {node} says {claim:?} at {revision}"));
                }
            }
        }
    }
}
