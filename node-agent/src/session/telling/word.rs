//! What is said of one network at once, in messages that a controller takes.

use std::{collections::BTreeSet, sync::Arc};

use overlay::{endpoint::EndpointId, name::NetworkName};
use prost::Message;
use proto::{encode, v1};

use super::OfNetwork;

/// A controller takes a message of 256 KiB, and an endpoint has less than half of that.
const BYTES: usize = 64 * 1024;

/// What the controller is to know beyond what it was told.
pub struct News<'a> {
    all: bool,
    set: Vec<(EndpointId, &'a Arc<overlay::endpoint::Public>)>,
    gone: Vec<EndpointId>,
}

impl<'a> News<'a> {
    /// From what was said to what is; nothing was said: all there is.
    pub fn between(said: Option<&OfNetwork>, here: &'a OfNetwork) -> Self {
        let Some(said) = said else {
            let set = here.iter().map(|(id, public)| (*id, public));
            return Self {
                all: true,
                set: set.collect(),
                gone: Vec::new(),
            };
        };
        let same = |id: &EndpointId, public: &Arc<_>| {
            let before = said.get(id);
            before.is_some_and(|before| Arc::ptr_eq(before, public) || before == public)
        };
        let set = here.iter().filter(|(id, public)| !same(id, public));
        let gone = said.keys().filter(|id| !here.contains_key(id));
        Self {
            all: false,
            set: set.map(|(id, public)| (*id, public)).collect(),
            gone: gone.copied().collect(),
        }
    }

    /// That there are none is something, where that is all.
    pub fn is_nothing(&self) -> bool {
        !self.all && self.set.is_empty() && self.gone.is_empty()
    }

    pub fn named(&self) -> BTreeSet<EndpointId> {
        let set = self.set.iter().map(|(id, _)| id);
        set.chain(&self.gone).copied().collect()
    }

    /// In as many messages as it takes.
    pub fn say(&self, network: &NetworkName, life: &str, number: u64) -> Vec<v1::Endpoints> {
        let mut parts: Vec<v1::Endpoints> = Vec::new();
        let mut part = v1::Endpoints {
            network: network.to_string(),
            life: life.into(),
            number,
            all: self.all,
            ..v1::Endpoints::default()
        };
        let empty = v1::Endpoints {
            partial: true,
            ..part.clone()
        };
        let mut bytes = 0;
        let mut full = |part: &mut v1::Endpoints, more: usize| {
            bytes += more;
            if bytes > BYTES && bytes > more {
                parts.push(std::mem::replace(part, empty.clone()));
                bytes = more;
            }
        };
        part.partial = true;
        for (id, public) in &self.set {
            let endpoint = encode::endpoint_alone(*id, public);
            full(&mut part, endpoint.encoded_len());
            part.set.push(endpoint);
        }
        for id in &self.gone {
            let id = id.to_string();
            full(&mut part, id.len() + 2);
            part.gone.push(id);
        }
        part.partial = false;
        parts.push(part);
        parts
    }
}
