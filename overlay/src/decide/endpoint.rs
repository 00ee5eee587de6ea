//! Endpoints: what a node has attached, kept for the fleet to see.
//!
//! Only a node's session writes its endpoints, and only under the lease that they are
//! of: both are compared. So its controller knows what there is, and a list that changes
//! nothing is known to be kept without a write, unless it does not know what became of a
//! write before it: then a [`fence`] comes first.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{Decision, Refusal, View, session::own};
use crate::{
    endpoint::{EndpointId, Public},
    id::{Life, SessionId},
    key::Key,
    name::{NetworkName, NodeName},
    record::{self, Endpoint, Lease, V1},
    registry::{Registry, Space, Stored},
    txn::{Revision, Transaction},
};

/// The endpoints that one node may have in one network.
pub const MOST: usize = 4096;
/// Names and labels of all of them together.
const MOST_BYTES: usize = 8 << 20;
/// Records written in one transaction, and their bytes: well below what etcd takes.
const AT_ONCE: usize = 48;
const BYTES_AT_ONCE: usize = 256 * 1024;
/// Those that go in the very transaction that ends their lease; upkeep sweeps the rest.
const WITH_LEASE: usize = 48;
/// Those that one transaction sweeps.
const SWEPT: usize = 100;

/// Who says what is attached, and under which lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Teller {
    pub node: NodeName,
    pub sid: SessionId,
    pub network: NetworkName,
    pub life: Life,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    pub set: BTreeMap<EndpointId, Arc<Public>>,
    pub gone: BTreeSet<EndpointId>,
    pub extent: Extent,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extent {
    /// What became different.
    Changes,
    /// Some of all there are; the others follow.
    Part,
    /// The last of all there are: whatever is not among these is gone.
    Whole(BTreeSet<EndpointId>),
}

/// What has to be written, as much as goes into one transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Part {
    pub set: BTreeMap<EndpointId, Arc<Public>>,
    pub gone: BTreeSet<EndpointId>,
}

/// What becomes of news.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    pub parts: Vec<Part>,
    /// What is not kept, and why.
    pub refused: BTreeMap<EndpointId, String>,
}

/// What has to be written so that the store has what is told.
pub fn plan(view: &View<'_>, teller: &Teller, news: &News) -> Result<Plan, Refusal> {
    let (space, lease) = standing(view, teller)?;
    let Teller { node, network, .. } = teller;
    let attached = space.attached();
    let mut plan = Plan::default();
    let mut gone = news.gone.clone();
    if let Extent::Whole(all) = &news.extent {
        let held = attached.of(node).map(|(id, _)| id);
        gone.extend(held.filter(|id| !all.contains(id)));
    }
    // What is said to be there as well is there.
    gone.retain(|id| attached.get(node, *id).is_some() && !news.set.contains_key(id));
    bound(space, teller, news, gone.len())?;
    let mut part = Part::default();
    let mut bytes = 0;
    for (id, public) in &news.set {
        if let Some(why) = stranger(&lease.value, public) {
            plan.refused.insert(*id, why);
            if attached.get(node, *id).is_some() {
                gone.insert(*id);
            }
            continue;
        }
        let key = Key::Endpoint(network.clone(), node.clone(), *id);
        let same = |held: &Stored<Arc<Endpoint>>| {
            held.value.life == teller.life && held.value.public == **public
        };
        let is_kept = attached.get(node, *id).is_some_and(same);
        if is_kept && !view.registry.is_set_aside(&key) {
            continue;
        }
        let size = encoded(teller.life, public).len();
        bytes += size;
        if part.set.len() == AT_ONCE || (bytes > BYTES_AT_ONCE && !part.set.is_empty()) {
            plan.parts.push(std::mem::take(&mut part));
            bytes = size;
        }
        part.set.insert(*id, public.clone());
    }
    for id in gone {
        if part.set.len() + part.gone.len() == AT_ONCE {
            plan.parts.push(std::mem::take(&mut part));
        }
        part.gone.insert(id);
    }
    if part != Part::default() {
        plan.parts.push(part);
    }
    Ok(plan)
}

/// Writes one part.
pub fn keep(view: &View<'_>, teller: &Teller, part: &Part) -> Result<Decision<()>, Refusal> {
    let (space, lease) = standing(view, teller)?;
    let Teller { node, network, .. } = teller;
    let session = own(view, node, teller.sid)?;
    let mut txn = Transaction::default();
    txn.expect(Key::Session(node.clone()), session.revision);
    txn.expect(Key::Lease(network.clone(), node.clone()), lease.revision);
    for (id, public) in &part.set {
        let key = Key::Endpoint(network.clone(), node.clone(), *id);
        let revision = written(view.registry, space, node, &key, *id);
        txn.expect(key.clone(), revision);
        txn.put(key, encoded(teller.life, public));
    }
    for id in &part.gone {
        let key = Key::Endpoint(network.clone(), node.clone(), *id);
        let revision = written(view.registry, space, node, &key, *id);
        if revision > 0 {
            txn.expect(key.clone(), revision);
            txn.delete(key);
        }
    }
    if txn.ops.is_empty() {
        return Err(Refusal::NothingToDo);
    }
    view.decided(txn, ())
}

/// Writes the lease again as it is. A write of this session of which nobody knows what
/// became of it was done before this, or never will be.
pub fn fence(view: &View<'_>, teller: &Teller) -> Result<Decision<()>, Refusal> {
    let (_, lease) = standing(view, teller)?;
    let session = own(view, &teller.node, teller.sid)?;
    let again = Lease {
        by: view.ctl,
        ..lease.value.clone()
    };
    let key = Key::Lease(teller.network.clone(), teller.node.clone());
    let mut txn = Transaction::default();
    txn.expect(Key::Session(teller.node.clone()), session.revision);
    txn.expect(key.clone(), lease.revision);
    txn.put(key, record::encode(&again));
    view.decided(txn, ())
}

/// What of a node's endpoints goes with its lease. Nothing of them is compared: whoever
/// writes one compares the lease.
pub(super) fn end_with_lease(
    txn: &mut Transaction,
    space: &Space,
    network: &NetworkName,
    node: &NodeName,
) {
    for (id, _) in space.attached().of(node).take(WITH_LEASE) {
        txn.delete(Key::Endpoint(network.clone(), node.clone(), id));
    }
}

/// The nodes with records that name a life which is over.
pub(super) fn left<'a>(
    registry: &'a Registry,
    name: &'a NetworkName,
    space: &'a Space,
) -> impl Iterator<Item = &'a NodeName> + 'a {
    let over = move |(node, life): &(&NodeName, Life)| {
        let lease = space.leases().get(*node);
        lease.is_none_or(|lease| lease.value.life != *life)
            // A lease that cannot be read may still be theirs.
            && !registry.is_set_aside(&Key::Lease(name.clone(), (*node).clone()))
    };
    space.attached().lives().filter(over).map(|(node, _)| node)
}

/// Deletes what ended lives left. Each record is compared: by now it may be another,
/// of the present life.
pub(super) fn sweep(
    view: &View<'_>,
    network: &NetworkName,
    node: &NodeName,
) -> Result<Decision<()>, Refusal> {
    let space = view.registry.space(network).ok_or(Refusal::NothingToDo)?;
    let lease = space.leases().get(node);
    let key = Key::Lease(network.clone(), node.clone());
    let mut txn = Transaction::default();
    txn.expect(key, lease.map_or(0, |lease| lease.revision));
    let life = lease.map(|lease| lease.value.life);
    let over = space.attached().of(node);
    let over = over.filter(|(_, endpoint)| Some(endpoint.value.life) != life);
    for (id, _) in over.take(SWEPT) {
        let key = Key::Endpoint(network.clone(), node.clone(), id);
        let revision = written(view.registry, space, node, &key, id);
        txn.expect(key.clone(), revision);
        txn.delete(key);
    }
    if txn.ops.is_empty() {
        return Err(Refusal::NothingToDo);
    }
    view.decided(txn, ())
}

/// The lease that is meant, while it and the session are the teller's.
fn standing<'a>(
    view: &View<'a>,
    teller: &Teller,
) -> Result<(&'a Space, &'a Stored<Lease>), Refusal> {
    let Teller { node, network, .. } = teller;
    own(view, node, teller.sid)?;
    let (space, _) = view.network(network)?;
    let lease = view.lease(network, node)?;
    if lease.value.life == teller.life {
        Ok((space, lease))
    } else {
        Err(Refusal::OtherLife {
            network: network.clone(),
            node: node.clone(),
            asked: teller.life,
            present: lease.value.life,
        })
    }
}

fn bound(space: &Space, teller: &Teller, news: &News, gone: usize) -> Result<(), Refusal> {
    let attached = space.attached();
    let node = &teller.node;
    let is_new = |id: &&EndpointId| attached.get(node, **id).is_none();
    let after = (attached.count(node) - gone) + news.set.keys().filter(is_new).count();
    let fits = match &news.extent {
        Extent::Changes => after <= MOST,
        // What is told anew may stand beside what it replaces for a moment.
        Extent::Part => after <= 2 * MOST,
        Extent::Whole(all) => all.len() <= MOST,
    };
    if fits {
        let kept = attached
            .of(node)
            .filter(|(id, _)| !news.set.contains_key(id));
        let kept = kept.map(|(_, endpoint)| endpoint.value.public.size());
        let new = news.set.values().map(|public| public.size());
        let most = match &news.extent {
            Extent::Changes => MOST_BYTES,
            Extent::Part | Extent::Whole(_) => 2 * MOST_BYTES,
        };
        if kept.chain(new).sum::<usize>() <= most {
            return Ok(());
        }
        return Err(Refusal::EndpointsTooLarge {
            network: teller.network.clone(),
            node: node.clone(),
            most_mb: MOST_BYTES >> 20,
        });
    }
    Err(Refusal::TooManyEndpoints {
        network: teller.network.clone(),
        node: node.clone(),
        most: MOST,
    })
}

/// Why it is not this node's to have.
fn stranger(lease: &Lease, public: &Public) -> Option<String> {
    let foreign = |address: &&std::net::IpAddr| {
        let mut subnets = lease.subnets();
        !subnets.any(|subnet| subnet.holds(**address))
    };
    let address = public.addresses.iter().find(foreign)?;
    Some(format!("{address} is not in a subnet of its node"))
}

fn encoded(life: Life, public: &Arc<Public>) -> Vec<u8> {
    record::encode(&Endpoint {
        v: V1,
        life,
        public: Public::clone(public),
    })
}

/// When the record was last written, if it is there; one that cannot be read counts too,
/// since its node says what it is.
fn written(
    registry: &Registry,
    space: &Space,
    node: &NodeName,
    key: &Key,
    id: EndpointId,
) -> Revision {
    if registry.is_set_aside(key)
        && let Some(aside) = registry.set_aside().get(&key.to_string())
    {
        return aside.revision;
    }
    let held = space.attached().get(node, id);
    held.map_or(0, |held| held.revision)
}

#[cfg(test)]
mod tests;
