//! What must be true of every state of the store.

use std::collections::BTreeSet;

use overlay::{
    network::{Network, check_overlap},
    registry::{Registry, Space},
};

use crate::{
    invariants::{Checked, broken},
    world::World,
};

pub fn check(world: &World) -> Checked {
    let head = &world.head.registry;
    nodes(world)?;
    networks(head)?;
    for (name, space) in head.spaces() {
        let Some(network) = space.network() else {
            return broken("network", format!("{name} is gone and left something"));
        };
        leases(head, space, &network.value)?;
        claims(space)?;
        reservations(space)?;
        underlays(space)?;
    }
    Ok(())
}

/// I6: a removed node is not there, and nothing is held by nobody.
fn nodes(world: &World) -> Checked {
    let head = &world.head.registry;
    for (name, node) in head.nodes() {
        if world.past.removed.contains(&(name.clone(), node.value.id)) {
            return broken("I6", format!("node {name} was removed and is back"));
        }
    }
    for (name, session) in head.sessions() {
        let node = head.nodes().get(name);
        if node.is_none_or(|node| node.value.id != session.value.node_id) {
            return broken("I6", format!("{name} has a session and is no node"));
        }
    }
    Ok(())
}

fn networks(head: &Registry) -> Checked {
    let all: Vec<&Network> = head
        .networks()
        .filter_map(|space| Some(&space.network()?.value))
        .collect();
    let mut numbers = BTreeSet::new();
    for network in &all {
        let name = &network.name;
        if !numbers.insert((network.port, network.vni)) {
            return broken("network", format!("{name} has the VNI of another"));
        }
        if check_overlap(network, all.iter().copied()).is_err() {
            return broken("network", format!("{name} overlaps another"));
        }
    }
    Ok(())
}

/// I1: every lease has its claims; I6: and its node, or the tombstone that will end it.
fn leases(head: &Registry, space: &Space, network: &Network) -> Checked {
    for (name, lease) in space.leases() {
        let lease = &lease.value;
        if lease
            .subnets()
            .map(|subnet| subnet.family())
            .ne(network.families())
        {
            return broken("I1", format!("{name} has not one subnet in each family"));
        }
        for subnet in lease.subnets() {
            let claim = space.claims().get(&subnet).map(|claim| &claim.value);
            let own = claim.is_some_and(|c| c.node == *name && c.life == Some(lease.life));
            if !own || !network.leases(subnet) {
                return broken("I1", format!("{name} has {subnet} without a claim"));
            }
        }
        let node = head.nodes().get(name).map(|node| node.value.id);
        if node != Some(lease.node_id) && !head.removed().contains_key(&lease.node_id) {
            return broken("I6", format!("{name} has a lease and is no node"));
        }
        if let Some(address) = lease.underlay
            && space
                .underlay(address)
                .is_none_or(|u| u.value.node != *name)
        {
            return broken("underlay", format!("{name} has {address} without a claim"));
        }
    }
    Ok(())
}

/// I1: no claim without the lease or the reservation it is there for, and none of a
/// subnet that counts as returned.
fn claims(space: &Space) -> Checked {
    for (subnet, claim) in space.claims() {
        if space.returned().contains_key(subnet) {
            return broken("I1", format!("{subnet} is claimed and returned"));
        }
        let claim = &claim.value;
        let lease = space.leases().get(&claim.node).map(|lease| &lease.value);
        let leased = lease.filter(|lease| lease.subnets().any(|own| own == *subnet));
        if leased.map(|lease| lease.life) != claim.life {
            return broken(
                "I1",
                format!("{subnet} is claimed by a life without a lease"),
            );
        }
        let reservation = space.reservations().get(&claim.node);
        let reserved = reservation.is_some_and(|r| r.value.subnets().any(|own| own == *subnet));
        if reserved != claim.reserved || !(reserved || leased.is_some()) {
            return broken("reserved", format!("{subnet} is claimed, and for nothing"));
        }
    }
    Ok(())
}

/// A reservation has its claims, and its node holds nothing else.
fn reservations(space: &Space) -> Checked {
    for (name, reservation) in space.reservations() {
        for subnet in reservation.value.subnets() {
            let claim = space.claims().get(&subnet);
            if claim.is_none_or(|claim| claim.value.node != *name || !claim.value.reserved) {
                return broken(
                    "reserved",
                    format!("{subnet}, promised to {name}, is not claimed"),
                );
            }
            let held = space.leases().get(name);
            let held = held.and_then(|held| held.value.subnet(subnet.family()));
            if held.is_some_and(|held| held != subnet) {
                return broken(
                    "reserved",
                    format!("{name} was promised {subnet} and has another"),
                );
            }
        }
    }
    Ok(())
}

/// No address is kept for a node that does not use it.
fn underlays(space: &Space) -> Checked {
    for (address, underlay) in space.underlays() {
        let node = &underlay.value.node;
        let lease = space.leases().get(node);
        if lease.is_none_or(|lease| lease.value.underlay != Some(*address)) {
            return broken(
                "underlay",
                format!("{address} is claimed by {node}, which has it not"),
            );
        }
    }
    Ok(())
}
