//! Reservations: subnets promised to a node name, whether or not the node exists yet.

use super::{
    Decision, Refusal, View,
    lease::{drop_free, put_free},
};
use crate::{
    key::Key,
    name::{NetworkName, NodeName},
    record::{self, Claim, Reservation, V1},
    registry::{Space, Stored},
    subnet::{Family, Subnet},
    txn::Transaction,
};

pub fn reserve(
    view: &View<'_>,
    name: &NetworkName,
    node: &NodeName,
    subnets: &[Subnet],
) -> Result<Decision<Reservation>, Refusal> {
    let (space, network) = view.active(name)?;
    let bad = |problem| Refusal::BadField {
        field: "subnets",
        problem,
    };
    let mut reservation = Reservation {
        v: V1,
        v4: None,
        v6: None,
    };
    for &subnet in subnets {
        if !network.value.leases(subnet) {
            return Err(bad(format!(
                "{subnet} is not one of the subnets of network {name}"
            )));
        }
        let place = match subnet.family() {
            Family::V4 => &mut reservation.v4,
            Family::V6 => &mut reservation.v6,
        };
        if place.replace(subnet).is_some() {
            return Err(bad(format!("more than one {} subnet", subnet.family())));
        }
    }
    if subnets.is_empty() {
        return Err(bad("name at least one subnet".into()));
    }
    if space.reservations().contains_key(node) {
        return Err(Refusal::ReservationExists {
            network: name.clone(),
            node: node.clone(),
        });
    }
    let mut txn = Transaction::default();
    txn.expect(Key::Network(name.clone()), network.revision);
    let key = Key::Reservation(name.clone(), node.clone());
    txn.expect_absent(key.clone());
    let held = space.leases().get(node);
    txn.expect(
        Key::Lease(name.clone(), node.clone()),
        held.map_or(0, |held| held.revision),
    );
    for subnet in reservation.subnets() {
        let held = held.and_then(|held| held.value.subnet(subnet.family()));
        promise(&mut txn, space, name, node, subnet, held)?;
    }
    txn.put(key, record::encode(&reservation));
    view.decided(txn, reservation)
}

/// Claims a subnet for a node that does not use it yet, or marks the claim it has.
fn promise(
    txn: &mut Transaction,
    space: &Space,
    network: &NetworkName,
    node: &NodeName,
    subnet: Subnet,
    held: Option<Subnet>,
) -> Result<(), Refusal> {
    let key = Key::Claim(network.clone(), subnet);
    let claim = match (space.claims().get(&subnet), held) {
        (_, Some(held)) if held != subnet => {
            return Err(Refusal::HoldsAnother {
                network: network.clone(),
                node: node.clone(),
                held,
            });
        }
        (Some(claim), _) if claim.value.node == *node => {
            txn.expect(key.clone(), claim.revision);
            Claim {
                reserved: true,
                ..claim.value.clone()
            }
        }
        (Some(claim), _) => {
            return Err(Refusal::SubnetTaken {
                network: network.clone(),
                subnet,
                holder: claim.value.node.clone(),
                how: if claim.value.life.is_some() {
                    "leased to"
                } else {
                    "reserved for"
                },
            });
        }
        (None, _) => {
            txn.expect_absent(key.clone());
            Claim {
                v: V1,
                node: node.clone(),
                life: None,
                reserved: true,
            }
        }
    };
    drop_free(txn, network, subnet);
    txn.put(key, record::encode(&claim));
    Ok(())
}

/// Takes a promise back. A subnet in use stays in use.
pub fn unreserve(
    view: &View<'_>,
    name: &NetworkName,
    node: &NodeName,
) -> Result<Decision<Reservation>, Refusal> {
    let (space, _) = view.network(name)?;
    let reservation = space
        .reservations()
        .get(node)
        .ok_or_else(|| Refusal::NoReservation {
            network: name.clone(),
            node: node.clone(),
        })?;
    let mut txn = Transaction::default();
    withdraw(view, &mut txn, space, name, node, reservation);
    view.decided(txn, reservation.value.clone())
}

pub(super) fn withdraw(
    view: &View<'_>,
    txn: &mut Transaction,
    space: &Space,
    name: &NetworkName,
    node: &NodeName,
    reservation: &Stored<Reservation>,
) {
    let key = Key::Reservation(name.clone(), node.clone());
    txn.expect(key.clone(), reservation.revision);
    txn.delete(key);
    for subnet in reservation.value.subnets() {
        let mine = |claim: &&Stored<Claim>| claim.value.node == *node && claim.value.reserved;
        let Some(claim) = space.claims().get(&subnet).filter(mine) else {
            continue;
        };
        let key = Key::Claim(name.clone(), subnet);
        txn.expect(key.clone(), claim.revision);
        if claim.value.life.is_some() {
            let used = Claim {
                reserved: false,
                ..claim.value.clone()
            };
            txn.put(key, record::encode(&used));
        } else {
            txn.delete(key);
            put_free(view, txn, name, subnet);
        }
    }
}
