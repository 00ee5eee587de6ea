//! Networks: created, grown, deleted. All three go through one key, because pools
//! that overlap and numbers taken twice are questions about all networks at once.

use super::{Decision, Refusal, View};
use crate::{
    id::FleetId,
    key::Key,
    name::NetworkName,
    network::{Network, NetworkSpec, NetworkState, check_overlap},
    record::{self, Networks, V1},
    subnet::Subnet,
    txn::Transaction,
};

pub fn create(view: &View<'_>, spec: &NetworkSpec) -> Result<Decision<Network>, Refusal> {
    let key = Key::Network(spec.name.clone());
    if view
        .registry
        .space(&spec.name)
        .is_some_and(|space| space.network().is_some())
    {
        return Err(Refusal::NetworkExists {
            network: spec.name.clone(),
        });
    }
    all_readable(view)?;
    let network = spec.network(networks(view))?;
    let mut txn = Transaction::default();
    next_generation(view, &mut txn);
    txn.expect_absent(key.clone());
    txn.put(key, record::encode(&network));
    view.decided(txn, network)
}

/// The network of a fleet that never had one: `default`. A fleet whose networks
/// were all deleted is left alone.
pub fn create_first(view: &View<'_>, spec: &NetworkSpec) -> Result<Decision<Network>, Refusal> {
    if view.registry.generation().is_some() || view.registry.networks().next().is_some() {
        return Err(Refusal::NothingToDo);
    }
    create(view, spec)
}

pub fn grow(
    view: &View<'_>,
    name: &NetworkName,
    pools: &[Subnet],
) -> Result<Decision<Network>, Refusal> {
    let (_, network) = view.active(name)?;
    if pools.is_empty() {
        return Err(Refusal::BadField {
            field: "pools",
            problem: "name the wider pool".into(),
        });
    }
    let grown = network.value.grown(pools)?;
    all_readable(view)?;
    check_overlap(&grown, networks(view))?;
    let (txn, grown) = rewrite(view, name, network.revision, grown);
    view.decided(txn, grown)
}

/// Begins the end of a network: it gives out nothing more. What it still holds is
/// ended by [`super::decay`], and last the network itself.
pub fn delete(
    view: &View<'_>,
    name: &NetworkName,
    force: bool,
) -> Result<Decision<Network>, Refusal> {
    let (space, network) = view.network(name)?;
    let (leases, reservations) = (space.leases().len(), space.reservations().len());
    if leases + reservations > 0 && !force {
        return Err(Refusal::NetworkInUse {
            network: name.clone(),
            leases,
            reservations,
        });
    }
    let deleting = Network {
        state: NetworkState::Deleting,
        ..network.value.clone()
    };
    let (txn, deleting) = rewrite(view, name, network.revision, deleting);
    view.decided(txn, deleting)
}

fn rewrite(
    view: &View<'_>,
    name: &NetworkName,
    revision: u64,
    network: Network,
) -> (Transaction, Network) {
    let key = Key::Network(name.clone());
    let mut txn = Transaction::default();
    next_generation(view, &mut txn);
    txn.expect(key.clone(), revision);
    txn.put(key, record::encode(&network));
    (txn, network)
}

pub(super) fn next_generation(view: &View<'_>, txn: &mut Transaction) {
    let present = view.registry.generation();
    txn.expect(Key::Networks, present.map_or(0, |present| present.revision));
    let next = Networks {
        v: V1,
        fleet: present.map_or_else(
            || FleetId::begun(view.ctl, view.now),
            |present| present.value.fleet,
        ),
        generation: present.map_or(1, |present| present.value.generation.saturating_add(1)),
    };
    txn.put(Key::Networks, record::encode(&next));
}

/// Nobody knows the pools and the number of a network that cannot be read.
fn all_readable(view: &View<'_>) -> Result<(), Refusal> {
    let mut keys = view
        .registry
        .set_aside()
        .values()
        .filter_map(|aside| aside.key.as_ref());
    match keys.find(|key| matches!(key, Key::Network(_))) {
        Some(key) => Err(Refusal::Unreadable { key: key.clone() }),
        None => Ok(()),
    }
}

fn networks<'a>(view: &View<'a>) -> impl Iterator<Item = &'a Network> + Clone {
    view.registry
        .networks()
        .filter_map(|space| space.network())
        .map(|network| &network.value)
}
