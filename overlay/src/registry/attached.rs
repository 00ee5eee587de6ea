//! The endpoints of one network: the store's records, and which of them count. A record
//! counts while the lease lives that it names: what an ended life left is nobody's.

use std::{collections::BTreeMap, sync::Arc};

use super::{EndpointChange, Registry, Space, Stored};
use crate::{
    endpoint::EndpointId,
    id::Life,
    key::Key,
    name::{NetworkName, NodeName},
    record::{Endpoint, Lease, RecordError},
    txn::Revision,
};

/// The records of one network, whatever lease they name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attached {
    nodes: BTreeMap<NodeName, BTreeMap<EndpointId, Stored<Arc<Endpoint>>>>,
    /// How many there are of each life: what an ended one left is found without a search.
    lives: BTreeMap<(NodeName, Life), usize>,
}

/// An endpoint of a lease that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    pub endpoint: Stored<Arc<Endpoint>>,
    /// Its node is gone, and may come back.
    pub lapsed: bool,
}

impl Attached {
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    pub fn get(&self, node: &NodeName, id: EndpointId) -> Option<&Stored<Arc<Endpoint>>> {
        self.nodes.get(node)?.get(&id)
    }

    pub fn of(
        &self,
        node: &NodeName,
    ) -> impl Iterator<Item = (EndpointId, &Stored<Arc<Endpoint>>)> + use<'_> {
        let all = self.nodes.get(node).into_iter().flatten();
        all.map(|(id, endpoint)| (*id, endpoint))
    }

    /// All records, also of lives that are over.
    pub fn len(&self) -> usize {
        self.lives.values().sum()
    }

    pub fn count(&self, node: &NodeName) -> usize {
        self.nodes.get(node).map_or(0, BTreeMap::len)
    }

    pub fn nodes(&self) -> impl Iterator<Item = &NodeName> {
        self.nodes.keys()
    }

    /// The lives that records name.
    pub fn lives(&self) -> impl Iterator<Item = (&NodeName, Life)> {
        self.lives.keys().map(|(node, life)| (node, *life))
    }

    pub(super) fn set(
        &mut self,
        node: &NodeName,
        id: EndpointId,
        value: Option<&[u8]>,
        revision: Revision,
    ) -> Result<(), RecordError> {
        let value = value.map(Endpoint::read).transpose()?;
        let stored = value.map(|value| Stored {
            revision,
            value: Arc::new(value),
        });
        self.place(node, id, stored);
        Ok(())
    }

    pub(super) fn keep(&mut self, node: &NodeName, id: EndpointId, known: &Self) {
        if let Some(endpoint) = known.get(node, id) {
            self.place(node, id, Some(endpoint.clone()));
        }
    }

    fn place(&mut self, node: &NodeName, id: EndpointId, stored: Option<Stored<Arc<Endpoint>>>) {
        let life = stored.as_ref().map(|stored| stored.value.life);
        let before = match stored {
            Some(stored) => {
                let endpoints = self.nodes.entry(node.clone()).or_default();
                endpoints.insert(id, stored)
            }
            None => self.remove(node, id),
        };
        if let Some(life) = life {
            *self.lives.entry((node.clone(), life)).or_default() += 1;
        }
        if let Some(before) = before {
            let key = (node.clone(), before.value.life);
            if let Some(count) = self.lives.get_mut(&key) {
                *count -= 1;
                if *count == 0 {
                    self.lives.remove(&key);
                }
            }
        }
    }

    fn remove(&mut self, node: &NodeName, id: EndpointId) -> Option<Stored<Arc<Endpoint>>> {
        let endpoints = self.nodes.get_mut(node)?;
        let before = endpoints.remove(&id);
        if endpoints.is_empty() {
            self.nodes.remove(node);
        }
        before
    }
}

impl Space {
    /// The endpoints of the leases that are there.
    pub fn endpoints(&self) -> impl Iterator<Item = (&NodeName, EndpointId, Present)> {
        let nodes = self.attached().nodes();
        nodes.flat_map(|node| {
            let of_node = self.endpoints_of(node);
            of_node.map(move |(id, present)| (node, id, present))
        })
    }

    pub fn endpoints_of(
        &self,
        node: &NodeName,
    ) -> impl Iterator<Item = (EndpointId, Present)> + use<'_> {
        let lease = self.leases().get(node).map(|lease| &lease.value);
        let all = self.attached().of(node);
        all.filter_map(move |(id, endpoint)| Some((id, present(lease?, endpoint)?)))
    }

    pub fn endpoint(&self, node: &NodeName, id: EndpointId) -> Option<Present> {
        let lease = self.leases().get(node)?;
        present(&lease.value, self.attached().get(node, id)?)
    }
}

fn present(lease: &Lease, endpoint: &Stored<Arc<Endpoint>>) -> Option<Present> {
    (endpoint.value.life == lease.life).then(|| Present {
        endpoint: endpoint.clone(),
        lapsed: lease.gone_at.is_some(),
    })
}

impl Registry {
    pub fn endpoint(
        &self,
        network: &NetworkName,
        node: &NodeName,
        id: EndpointId,
    ) -> Option<Present> {
        self.space(network)?.endpoint(node, id)
    }

    /// What these records are now, whose change was noted, and those of leases that are
    /// not what they were.
    pub(super) fn look_up(&self, noted: &mut Vec<EndpointChange>, leases: &[super::LeaseChange]) {
        for change in leases {
            let after = change.after.as_ref().map(|lease| &lease.value);
            if standing(change.before.as_ref()) == standing(after) {
                continue;
            }
            let Some(space) = self.space(&change.network) else {
                continue;
            };
            let (network, node) = (&change.network, &change.node);
            let all = space.attached().of(node);
            noted.extend(all.map(|(id, _)| EndpointChange::noted(network, node, id)));
        }
        noted.sort_by(|a, b| a.key().cmp(&b.key()));
        noted.dedup_by(|a, b| a.key() == b.key());
        for change in noted {
            change.after = self.endpoint(&change.network, &change.node, change.id);
        }
    }

    /// The endpoints that are other ones in a later registry. One that could not be read
    /// and is gone is told as gone: others may have known it.
    pub(super) fn other_endpoints(&self, later: &Self) -> Vec<EndpointChange> {
        let mut all = BTreeMap::new();
        for (registry, is_later) in [(self, false), (later, true)] {
            for (network, space) in registry.spaces() {
                for (node, id, present) in space.endpoints() {
                    let sides: &mut [Option<Present>; 2] =
                        all.entry((network, node, id)).or_default();
                    sides[usize::from(is_later)] = Some(present);
                }
            }
        }
        let other = |(_, [before, after]): &(_, [Option<Present>; 2])| before != after;
        let changes = all.into_iter().filter(other);
        let mut changes: Vec<EndpointChange> = changes
            .map(|((network, node, id), [_, after])| EndpointChange {
                after,
                ..EndpointChange::noted(network, node, id)
            })
            .collect();
        let asides = self.set_aside.values();
        for key in asides.filter_map(|aside| aside.key.as_ref()) {
            if let Key::Endpoint(network, node, id) = key
                && self.endpoint(network, node, *id).is_none()
                && later.endpoint(network, node, *id).is_none()
                && !later.is_set_aside(key)
            {
                changes.push(EndpointChange::noted(network, node, *id));
            }
        }
        changes
    }
}

/// What of a lease its endpoints show.
fn standing(lease: Option<&Lease>) -> Option<(Life, bool)> {
    lease.map(|lease| (lease.life, lease.gone_at.is_some()))
}

impl EndpointChange {
    pub(super) fn noted(network: &NetworkName, node: &NodeName, id: EndpointId) -> Self {
        Self {
            network: network.clone(),
            node: node.clone(),
            id,
            after: None,
        }
    }

    fn key(&self) -> (&NetworkName, &NodeName, EndpointId) {
        (&self.network, &self.node, self.id)
    }
}
