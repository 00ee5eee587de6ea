//! What a controller knows: the store's records, applied in the order of their
//! revisions and in no other way.
//!
//! A record that cannot be read is set aside under its key with the reason. It is
//! never taken for a deletion: what was known before stays known, and a claim that
//! cannot be read still claims, because its key says so.

mod attached;
mod space;

use std::collections::{BTreeMap, BTreeSet};

use serde::de::DeserializeOwned;

pub use attached::{Attached, Present};
pub use space::{PoolUse, Space};

use crate::{
    endpoint::EndpointId,
    id::{ControllerId, NodeId},
    key::Key,
    name::{NetworkName, NodeName, OperatorName},
    record::{
        self, Authority, Controller, Lease, Networks, Node, Operator, RecordError, Removed,
        Session, Token,
    },
    trust::TokenId,
    txn::Revision,
};

/// A record with the revision it was last written at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored<T> {
    pub revision: Revision,
    pub value: T,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// None where not even the key can be read.
    pub key: Option<Key>,
    pub reason: String,
    pub revision: Revision,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registry {
    revision: Revision,
    generation: Option<Stored<Networks>>,
    spaces: BTreeMap<NetworkName, Space>,
    nodes: BTreeMap<NodeName, Stored<Node>>,
    removed: BTreeMap<NodeId, Stored<Removed>>,
    sessions: BTreeMap<NodeName, Stored<Session>>,
    controllers: BTreeMap<ControllerId, Stored<Controller>>,
    authority: Option<Stored<Authority>>,
    tokens: BTreeMap<TokenId, Stored<Token>>,
    operators: BTreeMap<OperatorName, Stored<Operator>>,
    set_aside: BTreeMap<String, SetAside>,
}

/// What an application of store changes changed, for those who are told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Changes {
    pub revision: Revision,
    pub leases: Vec<LeaseChange>,
    pub endpoints: Vec<EndpointChange>,
    pub networks: Vec<NetworkName>,
    pub sessions: Vec<NodeName>,
    pub controllers: Vec<ControllerId>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeaseChange {
    pub network: NetworkName,
    pub node: NodeName,
    pub before: Option<Lease>,
    pub after: Option<Stored<Lease>>,
    /// Its record could not be read before: other controllers may have kept another
    /// reading of it, or none.
    pub in_doubt: bool,
}

/// An endpoint whose record, or whose lease, is another now. One that is not there may be
/// told as gone more than once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointChange {
    pub network: NetworkName,
    pub node: NodeName,
    pub id: EndpointId,
    pub after: Option<Present>,
}

impl Registry {
    /// Everything the store holds at a revision. Where a record cannot be read and
    /// `known` has an older reading of it, that stays.
    pub fn load<'a>(
        revision: Revision,
        entries: impl IntoIterator<Item = (&'a str, &'a [u8], Revision)>,
        known: Option<&Self>,
    ) -> Self {
        let mut registry = Self::default();
        let mut ignored = Changes::default();
        for (text, value, written) in entries {
            registry.change(text, Some(value), written, &mut ignored);
            if registry.set_aside.contains_key(text)
                && let (Some(known), Ok(key)) = (known, text.parse::<Key>())
            {
                registry.keep(key, known);
            }
        }
        registry.revision = revision;
        registry
    }

    /// Applies what one transaction changed.
    pub fn apply<'a>(
        &mut self,
        revision: Revision,
        changes: impl IntoIterator<Item = (&'a str, Option<&'a [u8]>)>,
    ) -> Changes {
        let mut told = Changes {
            revision,
            ..Changes::default()
        };
        for (text, value) in changes {
            self.change(text, value, revision, &mut told);
        }
        self.look_up(&mut told.endpoints, &told.leases);
        self.revision = revision;
        told
    }

    /// What has become different on the way from this registry to a later one.
    pub fn difference(&self, later: &Self) -> Changes {
        let mut told = Changes {
            revision: later.revision,
            ..Changes::default()
        };
        let empty = Space::default();
        for name in union(&self.spaces, &later.spaces) {
            let before = self.spaces.get(name).unwrap_or(&empty);
            let after = later.spaces.get(name).unwrap_or(&empty);
            if before.network() != after.network() {
                told.networks.push(name.clone());
            }
            for node in union(&before.leases, &after.leases) {
                let (was, is) = (before.leases.get(node), after.leases.get(node));
                if was != is {
                    told.leases.push(LeaseChange {
                        network: name.clone(),
                        node: node.clone(),
                        before: was.map(|lease| lease.value.clone()),
                        after: is.cloned(),
                        in_doubt: self.is_set_aside(&Key::Lease(name.clone(), node.clone())),
                    });
                }
            }
        }
        for key in self
            .set_aside
            .values()
            .filter_map(|aside| aside.key.as_ref())
        {
            if let Key::Lease(network, node) = key
                && self.lease(network, node).is_none()
                && later.lease(network, node).is_none()
                && !later.is_set_aside(key)
            {
                told.leases.push(LeaseChange {
                    network: network.clone(),
                    node: node.clone(),
                    before: None,
                    after: None,
                    in_doubt: true,
                });
            }
        }
        told.endpoints = self.other_endpoints(later);
        for node in union(&self.sessions, &later.sessions) {
            if self.sessions.get(node) != later.sessions.get(node) {
                told.sessions.push(node.clone());
            }
        }
        for id in union(&self.controllers, &later.controllers) {
            if self.controllers.get(id) != later.controllers.get(id) {
                told.controllers.push(*id);
            }
        }
        told
    }

    pub fn revision(&self) -> Revision {
        self.revision
    }

    pub fn generation(&self) -> Option<&Stored<Networks>> {
        self.generation.as_ref()
    }

    /// The networks whose records can be read.
    pub fn networks(&self) -> impl Iterator<Item = &Space> + Clone {
        self.spaces
            .values()
            .filter(|space| space.network().is_some())
    }

    /// All there is of a network, also where its own record cannot be read.
    pub fn spaces(&self) -> impl Iterator<Item = (&NetworkName, &Space)> {
        self.spaces.iter()
    }

    pub fn space(&self, network: &NetworkName) -> Option<&Space> {
        self.spaces.get(network)
    }

    pub fn nodes(&self) -> &BTreeMap<NodeName, Stored<Node>> {
        &self.nodes
    }

    pub fn removed(&self) -> &BTreeMap<NodeId, Stored<Removed>> {
        &self.removed
    }

    pub fn sessions(&self) -> &BTreeMap<NodeName, Stored<Session>> {
        &self.sessions
    }

    pub fn controllers(&self) -> &BTreeMap<ControllerId, Stored<Controller>> {
        &self.controllers
    }

    pub fn authority(&self) -> Option<&Stored<Authority>> {
        self.authority.as_ref()
    }

    pub fn tokens(&self) -> &BTreeMap<TokenId, Stored<Token>> {
        &self.tokens
    }

    pub fn operators(&self) -> &BTreeMap<OperatorName, Stored<Operator>> {
        &self.operators
    }

    /// The records that cannot be read, by their keys' text.
    pub fn set_aside(&self) -> &BTreeMap<String, SetAside> {
        &self.set_aside
    }

    pub fn is_set_aside(&self, key: &Key) -> bool {
        !self.set_aside.is_empty() && self.set_aside.contains_key(&key.to_string())
    }

    pub fn lease(&self, network: &NetworkName, node: &NodeName) -> Option<&Stored<Lease>> {
        self.spaces.get(network)?.leases.get(node)
    }

    /// The leases of one node in all networks.
    pub fn leases_of(
        &self,
        node: &NodeName,
    ) -> impl Iterator<Item = (&NetworkName, &Stored<Lease>)> {
        self.spaces
            .iter()
            .filter_map(move |(network, space)| Some((network, space.leases.get(node)?)))
    }

    fn change(&mut self, text: &str, value: Option<&[u8]>, revision: Revision, told: &mut Changes) {
        let key = text.parse::<Key>();
        let first = told.leases.len();
        let read = match &key {
            Ok(key) => self
                .set(key, value, revision, told)
                .map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        if self.set_aside.remove(text).is_some() {
            let changes = told.leases.iter_mut().skip(first);
            changes.for_each(|change| change.in_doubt = true);
        }
        if let (Err(reason), Some(_)) = (read, value) {
            let aside = SetAside {
                key: key.ok(),
                reason,
                revision,
            };
            self.set_aside.insert(text.into(), aside);
        }
    }

    /// Sets or removes one record. One that cannot be read changes nothing.
    fn set(
        &mut self,
        key: &Key,
        value: Option<&[u8]>,
        revision: Revision,
        told: &mut Changes,
    ) -> Result<(), RecordError> {
        match key {
            Key::Networks => self.generation = only(value, revision)?,
            Key::Authority => self.authority = only(value, revision)?,
            Key::Token(id) => place(&mut self.tokens, id, value, revision)?,
            Key::Operator(name) => place(&mut self.operators, name, value, revision)?,
            Key::Node(node) => place(&mut self.nodes, node, value, revision)?,
            Key::Removed(id) => place(&mut self.removed, id, value, revision)?,
            Key::Session(node) => {
                place(&mut self.sessions, node, value, revision)?;
                told.sessions.push(node.clone());
            }
            Key::Controller(id) => {
                place(&mut self.controllers, id, value, revision)?;
                told.controllers.push(*id);
            }
            Key::Network(network)
            | Key::Lease(network, _)
            | Key::Claim(network, _)
            | Key::Free(network, _)
            | Key::Reservation(network, _)
            | Key::Underlay(network, _)
            | Key::Endpoint(network, ..) => {
                let space = self.spaces.entry(network.clone()).or_default();
                let result = space.set(network, key, value, revision, told);
                if space.is_empty() {
                    self.spaces.remove(network);
                }
                result?;
            }
        }
        Ok(())
    }

    /// Keeps the older reading of a record that can be read no more.
    fn keep(&mut self, key: Key, known: &Self) {
        match key {
            Key::Networks => self.generation.clone_from(&known.generation),
            Key::Authority => self.authority.clone_from(&known.authority),
            Key::Token(id) => copy(&mut self.tokens, &known.tokens, id),
            Key::Operator(name) => copy(&mut self.operators, &known.operators, name),
            Key::Node(node) => copy(&mut self.nodes, &known.nodes, node),
            Key::Removed(id) => copy(&mut self.removed, &known.removed, id),
            Key::Session(node) => copy(&mut self.sessions, &known.sessions, node),
            Key::Controller(id) => copy(&mut self.controllers, &known.controllers, id),
            Key::Network(ref network)
            | Key::Lease(ref network, _)
            | Key::Claim(ref network, _)
            | Key::Free(ref network, _)
            | Key::Reservation(ref network, _)
            | Key::Underlay(ref network, _)
            | Key::Endpoint(ref network, ..) => {
                if let Some(known) = known.spaces.get(network) {
                    let space = self.spaces.entry(network.clone()).or_default();
                    space.keep(&key, known);
                    if space.is_empty() {
                        self.spaces.remove(network);
                    }
                }
            }
        }
    }
}

/// A record of which there is one, or none.
fn only<T: DeserializeOwned>(
    value: Option<&[u8]>,
    revision: Revision,
) -> Result<Option<Stored<T>>, RecordError> {
    let value = value.map(record::read).transpose()?;
    Ok(value.map(|value| Stored { revision, value }))
}

/// Sets or removes one record of a map; one that cannot be read leaves it alone.
fn place<K: Ord + Clone, T: DeserializeOwned>(
    map: &mut BTreeMap<K, Stored<T>>,
    key: &K,
    value: Option<&[u8]>,
    revision: Revision,
) -> Result<(), RecordError> {
    match value {
        Some(value) => {
            let value = record::read(value)?;
            map.insert(key.clone(), Stored { revision, value });
        }
        None => {
            map.remove(key);
        }
    }
    Ok(())
}

fn copy<K: Ord, T: Clone>(to: &mut BTreeMap<K, T>, from: &BTreeMap<K, T>, key: K) {
    if let Some(value) = from.get(&key) {
        to.insert(key, value.clone());
    }
}

fn union<'a, K: Ord, T>(a: &'a BTreeMap<K, T>, b: &'a BTreeMap<K, T>) -> BTreeSet<&'a K> {
    a.keys().chain(b.keys()).collect()
}

#[cfg(test)]
mod tests;
