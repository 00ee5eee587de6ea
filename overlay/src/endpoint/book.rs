//! The book of one node: its endpoints, the addresses that are held, and those that
//! were given back. A decision is a [`Line`] to be written down; what is written is
//! then true, before and after a crash.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use serde::{Deserialize, Serialize};

use super::{Endpoint, EndpointId, Key};
use crate::{name::NetworkName, record::Mac, subnet::Family, time::WallMs};

pub use choice::{Ask, Lot};
pub use place::Place;
pub use range::USUAL_MOST;
pub use refused::Refused;

mod choice;
mod place;
mod range;
mod refused;

/// How many addresses that were given back are remembered.
const PAST_MOST: usize = 4096;

/// What happened, in the order in which it did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Line {
    Attached(Endpoint),
    Detached {
        network: NetworkName,
        key: Key,
        at: WallMs,
    },
    Held {
        network: NetworkName,
        address: IpAddr,
        by: Key,
    },
    Released {
        network: NetworkName,
        address: IpAddr,
        at: WallMs,
    },
    /// Who had an address last, for a book that is written anew.
    Past {
        network: NetworkName,
        address: IpAddr,
        past: Past,
    },
    /// No attachment so far has a greater one.
    Seq(u64),
    /// Some of what was written before could not be read; later: it need not be known.
    Torn(bool),
    /// People call it so.
    Named {
        network: NetworkName,
        key: Key,
        who: super::Who,
    },
}

/// Who had an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Past {
    pub key: Key,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    pub at: WallMs,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Book {
    endpoints: BTreeMap<EndpointId, Endpoint>,
    holds: BTreeMap<Place, Key>,
    /// Whose address it is: an endpoint's.
    taken: BTreeMap<Place, EndpointId>,
    past: BTreeMap<Place, Past>,
    seq: u64,
    torn: bool,
}

impl Book {
    pub fn endpoints(&self) -> impl Iterator<Item = &Endpoint> {
        self.endpoints.values()
    }

    pub fn endpoint(&self, id: EndpointId) -> Option<&Endpoint> {
        self.endpoints.get(&id)
    }

    pub fn holds(&self) -> impl Iterator<Item = (&Place, &Key)> {
        self.holds.iter()
    }

    /// It may lack endpoints that there are.
    pub fn is_torn(&self) -> bool {
        self.torn
    }

    /// The number of the next attachment.
    pub fn next_seq(&self) -> u64 {
        self.seq + 1
    }

    /// It is written down: now it is so.
    pub fn apply(&mut self, line: Line) {
        match line {
            Line::Attached(endpoint) => self.attached(endpoint),
            Line::Detached { network, key, at } => {
                let id = EndpointId::of(&network, &key);
                if let Some(endpoint) = self.endpoints.remove(&id) {
                    self.give_back(&endpoint, at);
                }
            }
            Line::Held {
                network,
                address,
                by,
            } => {
                let place = Place { network, address };
                self.past.remove(&place);
                self.holds.insert(place, by);
            }
            Line::Released {
                network,
                address,
                at,
            } => {
                let place = Place { network, address };
                if let Some(key) = self.holds.remove(&place)
                    && !self.taken.contains_key(&place)
                {
                    let name = None;
                    self.remember(place, Past { key, name, at });
                }
            }
            Line::Past {
                network,
                address,
                past,
            } => self.remember(Place { network, address }, past),
            Line::Seq(seq) => self.seq = self.seq.max(seq),
            Line::Torn(torn) => self.torn = torn,
            Line::Named { network, key, who } => {
                let id = EndpointId::of(&network, &key);
                if let Some(endpoint) = self.endpoints.get_mut(&id) {
                    endpoint.who = who;
                }
            }
        }
    }

    /// The lines that make this book out of an empty one.
    pub fn lines(&self) -> impl Iterator<Item = Line> {
        let holds = self.holds.iter().map(|(place, by)| Line::Held {
            network: place.network.clone(),
            address: place.address,
            by: by.clone(),
        });
        let past = self.past.iter().map(|(place, past)| Line::Past {
            network: place.network.clone(),
            address: place.address,
            past: past.clone(),
        });
        let endpoints = self.endpoints.values().cloned().map(Line::Attached);
        let seq = std::iter::once(Line::Seq(self.seq));
        let torn = self.torn.then_some(Line::Torn(true));
        seq.chain(torn).chain(past).chain(holds).chain(endpoints)
    }

    /// The MACs of a network, and whose they are.
    fn macs(&self, network: &NetworkName) -> BTreeMap<Mac, EndpointId> {
        let here = self.endpoints.iter();
        here.filter(|(_, endpoint)| endpoint.network == *network)
            .map(|(id, endpoint)| (endpoint.mac, *id))
            .collect()
    }

    fn attached(&mut self, endpoint: Endpoint) {
        let id = endpoint.id();
        self.seq = self.seq.max(endpoint.seq);
        if let Some(before) = self.endpoints.remove(&id) {
            self.give_back(&before, endpoint.since);
        }
        for &address in &endpoint.addresses {
            let network = endpoint.network.clone();
            let place = Place { network, address };
            self.past.remove(&place);
            self.taken.insert(place, id);
        }
        self.endpoints.insert(id, endpoint);
    }

    fn give_back(&mut self, endpoint: &Endpoint, at: WallMs) {
        for &address in &endpoint.addresses {
            let network = endpoint.network.clone();
            let place = Place { network, address };
            if self.taken.remove(&place).is_some() && !self.holds.contains_key(&place) {
                let key = endpoint.key.clone();
                let name = endpoint.who.name.clone();
                self.remember(place, Past { key, name, at });
            }
        }
    }

    fn remember(&mut self, place: Place, past: Past) {
        self.past.insert(place, past);
        if self.past.len() > PAST_MOST {
            let oldest = self.past.iter().min_by_key(|(_, past)| past.at);
            let oldest = oldest.map(|(place, _)| place.clone());
            oldest.and_then(|place| self.past.remove(&place));
        }
    }

    /// The addresses that nobody else may be given now.
    fn in_use(&self, network: &NetworkName, family: Family) -> BTreeSet<IpAddr> {
        let range = Place::all_of(network, family);
        let taken = self.taken.range(range.clone()).map(|(place, _)| place);
        let held = self.holds.range(range).map(|(place, _)| place);
        taken.chain(held).map(|place| place.address).collect()
    }
}

#[cfg(test)]
mod tests;
