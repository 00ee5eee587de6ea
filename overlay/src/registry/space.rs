//! All there is of one network: its record, its leases, and how its pools are used.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    ops::RangeInclusive,
};

use super::{Attached, Changes, EndpointChange, LeaseChange, Stored, copy, place};
use crate::{
    allocation::Allocation,
    key::Key,
    name::{NetworkName, NodeName},
    network::Network,
    record::{self, Claim, Free, Lease, Mac, RecordError, Reservation, Underlay},
    subnet::{Family, Subnet},
    txn::Revision,
};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Space {
    network: Option<Stored<Network>>,
    pub(super) leases: BTreeMap<NodeName, Stored<Lease>>,
    /// Who has which, as the leases say.
    macs: BTreeMap<Mac, BTreeSet<NodeName>>,
    reservations: BTreeMap<NodeName, Stored<Reservation>>,
    claims: BTreeMap<Subnet, Stored<Claim>>,
    /// The claims that cannot be read. They claim all the same.
    unread: BTreeMap<Subnet, Revision>,
    free: BTreeMap<Subnet, Stored<Free>>,
    underlays: BTreeMap<IpAddr, Stored<Underlay>>,
    attached: Attached,
    v4: Allocation,
    v6: Allocation,
}

/// How full one pool is, in subnets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolUse {
    pub pool: Subnet,
    pub total: u128,
    pub leased: u128,
    /// Promised, and not leased.
    pub reserved: u128,
}

impl PoolUse {
    pub fn free(&self) -> u128 {
        self.total.saturating_sub(self.leased + self.reserved)
    }
}

impl Space {
    pub fn network(&self) -> Option<&Stored<Network>> {
        self.network.as_ref()
    }

    pub fn leases(&self) -> &BTreeMap<NodeName, Stored<Lease>> {
        &self.leases
    }

    pub fn nodes_with(&self, mac: Mac) -> impl Iterator<Item = &NodeName> {
        self.macs.get(&mac).into_iter().flatten()
    }

    pub fn reservations(&self) -> &BTreeMap<NodeName, Stored<Reservation>> {
        &self.reservations
    }

    pub fn claims(&self) -> &BTreeMap<Subnet, Stored<Claim>> {
        &self.claims
    }

    pub fn returned(&self) -> &BTreeMap<Subnet, Stored<Free>> {
        &self.free
    }

    pub fn underlay(&self, address: IpAddr) -> Option<&Stored<Underlay>> {
        self.underlays.get(&address)
    }

    pub fn underlays(&self) -> &BTreeMap<IpAddr, Stored<Underlay>> {
        &self.underlays
    }

    /// The records of endpoints, also those that count no more.
    pub fn attached(&self) -> &Attached {
        &self.attached
    }

    /// The next subnet to give in one family; none where all are used, or `skip`ped.
    pub fn next(
        &self,
        family: Family,
        spread: u128,
        skip: impl Fn(Subnet) -> bool,
    ) -> Option<Subnet> {
        let (range, len) = self.range(family)?;
        let count = (range.end() - range.start()).saturating_add(1);
        let start = range.start() + spread % count;
        let numbered = |number| Subnet::numbered(family, len, number);
        let number = self
            .allocation(family)
            .next(&range, start, |number| numbered(number).is_none_or(&skip))?;
        numbered(number)
    }

    /// How the pool of one family is used; none without such a pool.
    pub fn pool_use(&self, family: Family) -> Option<PoolUse> {
        let network = &self.network.as_ref()?.value;
        let pool = network.pool(family)?;
        let (range, _) = self.range(family)?;
        let claims = self
            .claims
            .iter()
            .filter(|(subnet, _)| subnet.family() == family && network.leases(**subnet));
        let (mut leased, mut reserved) = (0, 0);
        for (_, claim) in claims {
            match claim.value.life {
                Some(_) => leased += 1,
                None => reserved += 1,
            }
        }
        let unread = self.unread.keys().filter(|subnet| {
            subnet.family() == family
                && network.leases(**subnet)
                && !self.claims.contains_key(subnet)
        });
        leased += unread.count() as u128;
        Some(PoolUse {
            pool,
            total: (range.end() - range.start()).saturating_add(1),
            leased,
            reserved,
        })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.network.is_none()
            && self.leases.is_empty()
            && self.reservations.is_empty()
            && self.claims.is_empty()
            && self.unread.is_empty()
            && self.free.is_empty()
            && self.underlays.is_empty()
            && self.attached.is_empty()
    }

    pub(super) fn set(
        &mut self,
        name: &NetworkName,
        key: &Key,
        value: Option<&[u8]>,
        revision: Revision,
        told: &mut Changes,
    ) -> Result<(), RecordError> {
        match key {
            Key::Network(_) => {
                self.set_network(name, value, revision)?;
                told.networks.push(name.clone());
            }
            Key::Lease(_, node) => {
                let before = self.leases.get(node).map(|lease| lease.value.clone());
                let placed = place(&mut self.leases, node, value, revision);
                self.note_mac(node, before.as_ref());
                placed?;
                told.leases.push(LeaseChange {
                    network: name.clone(),
                    node: node.clone(),
                    before,
                    after: self.leases.get(node).cloned(),
                    in_doubt: false,
                });
            }
            Key::Claim(_, subnet) => {
                let result = place(&mut self.claims, subnet, value, revision);
                match result {
                    Ok(()) => self.unread.remove(subnet),
                    Err(_) => self.unread.insert(*subnet, revision),
                };
                self.settle(*subnet);
                result?;
            }
            Key::Free(_, subnet) => {
                place(&mut self.free, subnet, value, revision)?;
                self.settle(*subnet);
            }
            Key::Reservation(_, node) => place(&mut self.reservations, node, value, revision)?,
            Key::Underlay(_, address) => place(&mut self.underlays, address, value, revision)?,
            Key::Endpoint(_, node, id) => {
                self.attached.set(node, *id, value, revision)?;
                let change = EndpointChange::noted(name, node, *id);
                told.endpoints.push(change);
            }
            Key::Networks
            | Key::Node(_)
            | Key::Removed(_)
            | Key::Session(_)
            | Key::Controller(_)
            | Key::Authority
            | Key::Token(_)
            | Key::Operator(_) => {}
        }
        Ok(())
    }

    /// Takes over an older reading of a record of this network.
    pub(super) fn keep(&mut self, key: &Key, known: &Self) {
        match key {
            Key::Network(_) => {
                self.network.clone_from(&known.network);
                self.recount();
            }
            Key::Lease(_, node) => {
                let before = self.leases.get(node).map(|lease| lease.value.clone());
                copy(&mut self.leases, &known.leases, node.clone());
                self.note_mac(node, before.as_ref());
            }
            Key::Claim(_, subnet) => {
                copy(&mut self.claims, &known.claims, *subnet);
                self.settle(*subnet);
            }
            Key::Free(_, subnet) => {
                copy(&mut self.free, &known.free, *subnet);
                self.settle(*subnet);
            }
            Key::Reservation(_, node) => {
                copy(&mut self.reservations, &known.reservations, node.clone());
            }
            Key::Underlay(_, address) => copy(&mut self.underlays, &known.underlays, *address),
            Key::Endpoint(_, node, id) => self.attached.keep(node, *id, &known.attached),
            Key::Networks
            | Key::Node(_)
            | Key::Removed(_)
            | Key::Session(_)
            | Key::Controller(_)
            | Key::Authority
            | Key::Token(_)
            | Key::Operator(_) => {}
        }
    }

    fn note_mac(&mut self, node: &NodeName, before: Option<&Lease>) {
        if let Some(mac) = before.and_then(|before| before.mac)
            && let Some(nodes) = self.macs.get_mut(&mac)
        {
            nodes.remove(node);
            if nodes.is_empty() {
                self.macs.remove(&mac);
            }
        }
        if let Some(mac) = self.leases.get(node).and_then(|lease| lease.value.mac) {
            self.macs.entry(mac).or_default().insert(node.clone());
        }
    }

    fn set_network(
        &mut self,
        name: &NetworkName,
        value: Option<&[u8]>,
        revision: Revision,
    ) -> Result<(), RecordError> {
        let network = match value {
            Some(value) => Some(record::read::<Network>(value)?),
            None => None,
        };
        if let Some(network) = &network
            && network.name != *name
        {
            return Err(RecordError::other_subject(&network.name));
        }
        if let Some(network) = &network
            && let Some(family) = network
                .families()
                .find(|family| numbers(network, *family).is_none())
        {
            return Err(RecordError::bad_length(family, network.len(family)));
        }
        self.network = network.map(|value| Stored { revision, value });
        self.recount();
        Ok(())
    }

    /// The numbers of the pool's subnets, and their length.
    fn range(&self, family: Family) -> Option<(RangeInclusive<u128>, u8)> {
        let network = &self.network.as_ref()?.value;
        Some((numbers(network, family)?, network.len(family)))
    }

    fn allocation(&self, family: Family) -> &Allocation {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }

    /// Counts from the beginning: subnets are numbered by the network's lengths.
    fn recount(&mut self) {
        (self.v4, self.v6) = Default::default();
        let mut subnets: Vec<Subnet> = self.claims.keys().copied().collect();
        subnets.extend(self.unread.keys());
        subnets.extend(self.free.keys());
        for subnet in subnets {
            self.settle(subnet);
        }
    }

    /// Brings the allocation in line with the claim and free records of one subnet.
    fn settle(&mut self, subnet: Subnet) {
        let family = subnet.family();
        let ours = |stored: &Stored<Network>| stored.value.len(family) == subnet.length();
        if !self.network.as_ref().is_some_and(ours) {
            return;
        }
        let claimed = self.claims.contains_key(&subnet) || self.unread.contains_key(&subnet);
        let freed = self.free.get(&subnet).map(|free| free.revision);
        let allocation = match family {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        };
        allocation.set(subnet.number(), claimed, freed);
    }
}

fn numbers(network: &Network, family: Family) -> Option<RangeInclusive<u128>> {
    network.pool(family)?.numbers(network.len(family))
}
