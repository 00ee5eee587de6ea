//! What must be so whatever happens. The judge reads the store's value, revision by
//! revision, as JSON: it asks nothing of the code under test.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use controller::store::Batch;
use overlay::{time::WallMs, txn::Revision};
use proto::v1;
use serde_json::Value as Json;

use crate::store::Value;

/// A network and a node.
pub type Place = (String, String);

/// A lease as the store has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub life: String,
    pub node_id: String,
    /// IPv4 first.
    pub subnets: Vec<String>,
    pub underlay: Option<String>,
    pub mac: Option<String>,
    pub gone: bool,
    pub expires: Option<u64>,
}

/// A peer in the words in which agents are told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    pub subnets: Vec<String>,
    pub underlay: String,
    pub mac: String,
}

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

    /// Somebody was told of this lease: it must have been so in the store.
    pub fn told_lease(&self, lease: &v1::Lease) -> Result<(), String> {
        let place = (lease.network.clone(), lease.node.clone());
        let past = self.past.get(&place);
        let held = past.and_then(|past| past.range(..=lease.revision).next_back());
        let held = held.and_then(|(_, held)| held.as_ref());
        match held {
            Some(held) if held.life == lease.life && held.subnets == lease.subnets => Ok(()),
            held => Err(format!(
                "{place:?} was told of {} {:?} at {}, the store had {held:?}",
                lease.life, lease.subnets, lease.revision
            )),
        }
    }

    /// An agent holds these peers, all of them, of this revision. A controller that `saw`
    /// nothing of a lease before its record was garbage is excused.
    pub fn told_peers(
        &self,
        network: &str,
        revision: Revision,
        told: &Peers,
        excused: &mut BTreeSet<Place>,
        saw: impl Fn(Range<Revision>) -> bool,
    ) -> Result<(), String> {
        let none = Peers::new();
        let peers = self.peers.get(network);
        let peers = peers.and_then(|peers| peers.range(..=revision).next_back());
        let should = peers.map_or(&none, |(_, peers)| peers);
        if should == told {
            excused.retain(|(of, _)| of != network);
            return Ok(());
        }
        let nodes: BTreeSet<&String> = should.keys().chain(told.keys()).collect();
        for node in nodes {
            let place = (network.to_owned(), node.clone());
            let (is, should) = (told.get(node), should.get(node));
            if is == should {
                excused.remove(&place);
                continue;
            }
            let Some(since) = self.spoilt_since(&place, revision) else {
                return Err(format!(
                    "of {network} at {revision} {node} is told as {is:?}, the store had {should:?}"
                ));
            };
            if is.is_none() {
                if !saw(self.made(&place, since)..since) {
                    excused.insert(place.clone());
                }
                if !excused.contains(&place) {
                    return Err(format!(
                        "of {network} at {revision} {node} is taken for gone: its record cannot be read since {since}"
                    ));
                }
            }
        }
        Ok(())
    }

    /// An agent was told that the store has these endpoints of this life, and no others.
    pub fn told_kept(
        &self,
        network: &str,
        node: &str,
        life: &str,
        revision: Revision,
        told: &BTreeSet<String>,
    ) -> Result<(), String> {
        let past = self.endpoints.get(&(network.to_owned(), node.to_owned()));
        let had = past.and_then(|past| past.range(..=revision).next_back());
        let had = had.into_iter().flat_map(|(_, endpoints)| endpoints);
        let had = had.filter(|(_, of)| *of == life).map(|(id, _)| id.clone());
        let had: BTreeSet<String> = had.collect();
        if had == *told {
            return Ok(());
        }
        Err(format!(
            "{node} was told that {told:?} are kept in {network} at {revision}, the store had {had:?}"
        ))
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

    /// When a lease that was there before a revision was made.
    fn made(&self, place: &Place, before: Revision) -> Revision {
        let past = self.past.get(place).into_iter();
        let past = past.flat_map(|past| past.range(..before).rev());
        let there = past.take_while(|(_, lease)| lease.is_some());
        there.last().map_or(before, |(revision, _)| *revision)
    }

    /// Was this lease's record garbage at a revision, and since when?
    fn spoilt_since(&self, place: &Place, revision: Revision) -> Option<Revision> {
        let spoilt = self.spoilt.get(place)?;
        let at = spoilt
            .iter()
            .find(|(from, to)| (*from..*to).contains(&revision));
        at.map(|(from, _)| *from)
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

fn lease(json: &Json) -> Lease {
    let text = |field: &str| json[field].as_str().map(str::to_owned);
    Lease {
        life: text("life").unwrap_or_default(),
        node_id: text("node_id").unwrap_or_default(),
        subnets: [text("v4"), text("v6")].into_iter().flatten().collect(),
        underlay: text("underlay"),
        mac: text("mac"),
        gone: !json["gone_at"].is_null(),
        expires: json["expires_at"].as_u64(),
    }
}

pub fn peer(lease: &Lease) -> Option<Peer> {
    Some(Peer {
        subnets: lease.subnets.clone(),
        underlay: lease.underlay.clone()?,
        mac: lease.mac.clone()?,
    })
}
