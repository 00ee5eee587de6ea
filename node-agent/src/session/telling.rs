//! What this host has attached, as the fleet is told of it: everything after a join,
//! then what becomes different. One word about a network is under way at a time; what
//! changes meanwhile is said together when it was answered.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use overlay::{
    endpoint::{EndpointId, Public},
    name::NetworkName,
    pause::Pause,
};
use proto::v1;
use tokio::{sync::watch, time::Instant};
use tracing::{debug, warn};

use super::Joins;

mod word;

/// What happens within this time after something was said is said together.
const TOGETHER: Duration = Duration::from_millis(50);

/// What this host has attached, as its owner publishes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Endpoints {
    /// Grows with every change.
    pub version: u64,
    pub networks: BTreeMap<NetworkName, OfNetwork>,
}

pub type OfNetwork = BTreeMap<EndpointId, Arc<Public>>;

/// What the fleet knows of it. A controller of before endpoints never says that it does:
/// who waits for it waits for so long and no longer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    pub networks: BTreeMap<NetworkName, KnownOf>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KnownOf {
    /// The store has the endpoints of this version, and a controller sees them there.
    pub version: u64,
    /// Why it has not those of a later one. It is told again.
    pub problem: Option<String>,
    /// What it does not keep, and why.
    pub refused: BTreeMap<EndpointId, String>,
}

impl Known {
    /// Does the fleet know a network's endpoints as of this version, or of a later one?
    pub fn has(&self, network: &NetworkName, version: u64) -> bool {
        let known = self.networks.get(network);
        known.is_some_and(|known| known.version >= version)
    }
}

/// What was told in this session, and is known from this one or those before.
pub struct Telling<'a> {
    known: &'a watch::Sender<Known>,
    places: BTreeMap<NetworkName, Place>,
    number: u64,
    /// When there may be something to say.
    next: Option<Instant>,
    last: Option<Instant>,
}

/// How far the controller was told of one network.
#[derive(Debug)]
struct Place {
    life: String,
    /// What it was told; none: it is to be told everything.
    said: Option<OfNetwork>,
    /// The word that it has yet to answer.
    waiting: Option<Waiting>,
    pause: Pause,
    /// It could not be kept: not again before this.
    not_before: Option<Instant>,
}

#[derive(Debug)]
struct Waiting {
    number: u64,
    version: u64,
    /// What was said anew: whether it is refused is yet to be heard.
    named: BTreeSet<EndpointId>,
}

impl<'a> Telling<'a> {
    pub fn new(known: &'a watch::Sender<Known>) -> Self {
        Self {
            known,
            places: BTreeMap::new(),
            number: 0,
            next: None,
            last: None,
        }
    }

    /// When there may be something to say; none: not before something happens.
    pub fn next(&self) -> Option<Instant> {
        self.next
    }

    /// Something is other than it was.
    pub fn stir(&mut self) {
        let free = self.last.map(|last| last + TOGETHER);
        self.look_at(free.unwrap_or_else(Instant::now));
    }

    /// The store is another one: it knows nothing.
    pub fn forget(&mut self) {
        self.known.send_if_modified(|known| {
            let any = !known.networks.is_empty();
            known.networks.clear();
            any
        });
    }

    /// A network is joined, and so many endpoints are kept of this host from before.
    pub fn joined(&mut self, joined: &v1::Joined) {
        let network = joined.network.as_ref();
        let name = network.and_then(|network| network.name.parse::<NetworkName>().ok());
        let (Some(name), Some(lease)) = (name, &joined.lease) else {
            return;
        };
        let place = Place {
            life: lease.life.clone(),
            // Where none are kept, and none are here, nothing is to be said.
            said: (joined.endpoints == 0).then(OfNetwork::new),
            waiting: None,
            pause: Pause::default(),
            not_before: None,
        };
        self.places.insert(name, place);
        self.stir();
    }

    /// A network is left, or gone.
    pub fn left(&mut self, network: &NetworkName) {
        self.places.remove(network);
        self.known
            .send_if_modified(|known| known.networks.remove(network).is_some());
    }

    /// A word was answered. `random` is from 0 to 1.
    pub fn kept(&mut self, kept: v1::EndpointsKept, random: f64) {
        let Ok(network) = kept.network.parse::<NetworkName>() else {
            return;
        };
        let Some(place) = self.places.get_mut(&network) else {
            return;
        };
        let answered = |waiting: &mut Waiting| waiting.number == kept.number;
        let Some(waiting) = place.waiting.take_if(answered) else {
            return;
        };
        if !kept.problem.is_empty() {
            place.said = None;
            place.not_before = Some(Instant::now() + place.pause.take(random));
            self.trouble(&network, &kept.problem);
            self.stir();
            return;
        }
        (place.pause, place.not_before) = (Pause::default(), None);
        let refused = kept.refused.into_iter();
        let refused = refused.filter_map(|one| Some((one.id.parse().ok()?, one.reason)));
        let refused: BTreeMap<EndpointId, String> = refused.collect();
        for (id, reason) in &refused {
            warn!(%network, endpoint = %id, reason, "the fleet does not know this endpoint");
        }
        self.known.send_modify(|known| {
            let known = known.networks.entry(network).or_default();
            known.version = waiting.version;
            known.problem = None;
            known.refused.retain(|id, _| !waiting.named.contains(id));
            known.refused.extend(refused);
        });
        self.stir();
    }

    /// What is to be said now of the networks that are joined.
    pub fn words(&mut self, endpoints: &Endpoints, joins: &Joins) -> Vec<v1::Endpoints> {
        self.next = None;
        let now = Instant::now();
        let none = OfNetwork::new();
        let mut words = Vec::new();
        let mut known = Vec::new();
        let mut later = None;
        for (network, place) in &mut self.places {
            if place.waiting.is_some() || !joins.contains_key(network) {
                continue;
            }
            if let Some(at) = place.not_before.filter(|at| *at > now) {
                later = Some(later.map_or(at, |other: Instant| other.min(at)));
                continue;
            }
            let here = endpoints.networks.get(network).unwrap_or(&none);
            let news = word::News::between(place.said.as_ref(), here);
            if news.is_nothing() {
                known.push(network.clone());
                continue;
            }
            self.number += 1;
            words.extend(news.say(network, &place.life, self.number));
            place.waiting = Some(Waiting {
                number: self.number,
                version: endpoints.version,
                named: news.named(),
            });
            place.said = Some(here.clone());
        }
        if let Some(at) = later {
            self.look_at(at);
        }
        if !words.is_empty() {
            self.last = Some(now);
        }
        self.is_known(known, endpoints.version);
        words
    }

    /// Nothing of these networks is other than it was said.
    fn is_known(&self, networks: Vec<NetworkName>, version: u64) {
        self.known.send_if_modified(|known| {
            let mut news = false;
            for network in networks {
                let known = known.networks.entry(network).or_default();
                news |= known.version != version;
                known.version = version;
            }
            news
        });
    }

    fn trouble(&self, network: &NetworkName, problem: &str) {
        let first = self.known.send_if_modified(|known| {
            let known = known.networks.entry(network.clone()).or_default();
            let first = known.problem.is_none();
            known.problem = Some(problem.to_owned());
            first
        });
        // A repeated failure is said once.
        if first {
            warn!(%network, reason = problem, "the fleet does not know of all endpoints yet");
        } else {
            debug!(%network, reason = problem, "the fleet does not know of all endpoints yet");
        }
    }

    fn look_at(&mut self, at: Instant) {
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
    }
}

#[cfg(test)]
mod tests;
