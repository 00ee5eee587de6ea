//! A lease is granted: the one the node has, brought to life, or a new one.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

use super::{
    Refusal, View,
    decay::SKEW_BOUND,
    lease::{Vtep, drop_free, drop_underlay},
};
use crate::{
    id::{Life, NodeId},
    key::Key,
    name::{NetworkName, NodeName},
    network::Network,
    record::{self, Claim, Lease, LeaseKind, Underlay, V1},
    registry::{Space, Stored},
    subnet::{Family, Subnet},
    time::WallMs,
    txn::Transaction,
};

/// One network's lease for one node: the one it has, brought to life, or a new one.
#[derive(Debug, Clone)]
pub struct Grant<'a> {
    pub network: &'a NetworkName,
    pub node: &'a NodeName,
    pub id: NodeId,
    pub vtep: Vtep,
    pub kind: LeaseKind,
    pub ttl: Option<Duration>,
    pub life: Life,
}

impl Grant<'_> {
    /// Adds what it takes to a transaction.
    ///
    /// A lease that is there is always written again, changed or not: its new
    /// revision is what makes a late lapse or reclaim fail.
    pub fn add(&self, view: &View<'_>, txn: &mut Transaction) -> Result<Lease, Refusal> {
        let (space, network) = view.active(self.network)?;
        self.check_vtep(&network.value)?;
        txn.expect(Key::Network(self.network.clone()), network.revision);
        let key = Key::Lease(self.network.clone(), self.node.clone());
        let held = space.leases().get(self.node);
        if let Some(held) = held
            && held.value.node_id != self.id
        {
            let ids = (held.value.node_id, self.id);
            return Err(Refusal::name_taken(view.registry, view.now, self.node, ids));
        }
        txn.expect(key.clone(), held.map_or(0, |held| held.revision));
        self.check_mac(space)?;
        let lease = match held {
            Some(held) => self.returning(view, held),
            None => self.new_lease(view, txn, space, &network.value)?,
        };
        let old = held.and_then(|held| held.value.underlay);
        self.claim_underlay(view, txn, space, old, lease.underlay)?;
        txn.put(key, record::encode(&lease));
        Ok(lease)
    }

    /// Who has another's MAC would be sent what is that one's. Not compared by the store:
    /// of two machines that come with one MAC at the same moment, both may get in.
    fn check_mac(&self, space: &Space) -> Result<(), Refusal> {
        let Some(mac) = self.vtep.mac else {
            return Ok(());
        };
        let is_anothers = |holder: &&NodeName| {
            let lease = space.leases().get(*holder);
            lease.is_some_and(|lease| lease.value.node_id != self.id)
        };
        match space.nodes_with(mac).find(is_anothers) {
            None => Ok(()),
            Some(holder) => Err(Refusal::MacTaken {
                network: self.network.clone(),
                mac,
                holder: holder.clone(),
            }),
        }
    }

    fn returning(&self, view: &View<'_>, held: &Stored<Lease>) -> Lease {
        Lease {
            kind: self.kind,
            underlay: self.vtep.underlay.or(held.value.underlay),
            mac: self.vtep.mac.or(held.value.mac),
            gone_at: None,
            expires_at: self.ttl.map(|ttl| view.now.after(ttl)),
            by: view.ctl,
            ..held.value.clone()
        }
    }

    fn new_lease(
        &self,
        view: &View<'_>,
        txn: &mut Transaction,
        space: &Space,
        network: &Network,
    ) -> Result<Lease, Refusal> {
        let reservation = space.reservations().get(self.node);
        txn.expect(
            Key::Reservation(self.network.clone(), self.node.clone()),
            reservation.map_or(0, |reservation| reservation.revision),
        );
        let mut lease = Lease {
            v: V1,
            node_id: self.id,
            life: self.life,
            kind: self.kind,
            v4: None,
            v6: None,
            underlay: self.vtep.underlay,
            mac: self.vtep.mac,
            gone_at: None,
            expires_at: self.ttl.map(|ttl| view.now.after(ttl)),
            by: view.ctl,
        };
        for family in network.families() {
            let promised = reservation.and_then(|reservation| reservation.value.subnet(family));
            let subnet = match promised {
                Some(subnet) => self.take_promised(txn, space, subnet)?,
                None => self.take_next(view, txn, space, family)?,
            };
            match family {
                Family::V4 => lease.v4 = Some(subnet),
                Family::V6 => lease.v6 = Some(subnet),
            }
        }
        Ok(lease)
    }

    fn take_promised(
        &self,
        txn: &mut Transaction,
        space: &Space,
        subnet: Subnet,
    ) -> Result<Subnet, Refusal> {
        let key = Key::Claim(self.network.clone(), subnet);
        let claim = space.claims().get(&subnet);
        match claim {
            Some(claim) if claim.value.node == *self.node && claim.value.reserved => {
                txn.expect(key, claim.revision);
                self.put_claim(txn, subnet, true);
                Ok(subnet)
            }
            Some(claim) => Err(Refusal::SubnetTaken {
                network: self.network.clone(),
                subnet,
                holder: claim.value.node.clone(),
                how: "leased to",
            }),
            // A promise without its claim: somebody edited the store. Claim it now.
            None => {
                txn.expect_absent(key);
                self.put_claim(txn, subnet, true);
                drop_free(txn, self.network, subnet);
                Ok(subnet)
            }
        }
    }

    fn take_next(
        &self,
        view: &View<'_>,
        txn: &mut Transaction,
        space: &Space,
        family: Family,
    ) -> Result<Subnet, Refusal> {
        let claim = |subnet| Key::Claim(self.network.clone(), subnet);
        let taken = |subnet| view.flight.writes(&claim(subnet));
        let Some(subnet) = space.next(family, view.spread, taken) else {
            return Err(match space.next(family, 0, |_| false) {
                Some(_) => Refusal::Busy {
                    network: self.network.clone(),
                },
                None => exhausted(space, self.network, family),
            });
        };
        txn.expect_absent(claim(subnet));
        self.put_claim(txn, subnet, false);
        drop_free(txn, self.network, subnet);
        Ok(subnet)
    }

    fn put_claim(&self, txn: &mut Transaction, subnet: Subnet, reserved: bool) {
        let claim = Claim {
            v: V1,
            node: self.node.clone(),
            life: Some(self.life),
            reserved,
        };
        txn.put(
            Key::Claim(self.network.clone(), subnet),
            record::encode(&claim),
        );
    }

    fn check_vtep(&self, network: &Network) -> Result<(), Refusal> {
        match self.vtep.underlay {
            Some(address) if Family::of(address) != network.underlay => Err(Refusal::BadField {
                field: "underlay",
                problem: format!(
                    "{address} is not {}, which network {} runs over",
                    network.underlay, self.network
                ),
            }),
            Some(address) if !is_a_hosts(address) => Err(Refusal::BadField {
                field: "underlay",
                problem: format!("{address} is not an address that other hosts can reach"),
            }),
            Some(address) if network.pools().any(|pool| pool.holds(address)) => {
                Err(Refusal::BadField {
                    field: "underlay",
                    problem: format!("{address} is inside network {}", self.network),
                })
            }
            Some(_) | None => Ok(()),
        }
    }

    /// One underlay address, one node. An address whose holder has lapsed may be
    /// taken over; the holder's lease is rewritten without it. A clock that is ahead
    /// takes nothing early.
    fn claim_underlay(
        &self,
        view: &View<'_>,
        txn: &mut Transaction,
        space: &Space,
        old: Option<IpAddr>,
        new: Option<IpAddr>,
    ) -> Result<(), Refusal> {
        if let Some(old) = old
            && new != Some(old)
        {
            drop_underlay(txn, space, self.network, self.node, old);
        }
        let Some(address) = new else {
            return Ok(());
        };
        let key = Key::Underlay(self.network.clone(), address);
        match space.underlay(address) {
            Some(mine) if mine.value.node == *self.node => {
                txn.expect(key, mine.revision);
                return Ok(());
            }
            Some(theirs) => {
                self.take_over_underlay(view, txn, space, address, &theirs.value.node)?;
                txn.expect(key.clone(), theirs.revision);
            }
            None => txn.expect_absent(key.clone()),
        }
        let underlay = Underlay {
            v: V1,
            node: self.node.clone(),
        };
        txn.put(key, record::encode(&underlay));
        Ok(())
    }

    fn take_over_underlay(
        &self,
        view: &View<'_>,
        txn: &mut Transaction,
        space: &Space,
        address: IpAddr,
        holder: &NodeName,
    ) -> Result<(), Refusal> {
        // A claim whose lease is gone holds nothing.
        let Some(held) = space.leases().get(holder) else {
            txn.expect_absent(Key::Lease(self.network.clone(), holder.clone()));
            return Ok(());
        };
        let session = view.registry.sessions().contains_key(holder);
        let expired = |at: WallMs| view.now >= at.after(SKEW_BOUND);
        let over = held.value.gone_at.is_some() || held.value.expires_at.is_some_and(expired);
        if session || !over {
            return Err(Refusal::UnderlayTaken {
                network: self.network.clone(),
                address,
                holder: holder.clone(),
            });
        }
        txn.expect_absent(Key::Session(holder.clone()));
        let key = Key::Lease(self.network.clone(), holder.clone());
        txn.expect(key.clone(), held.revision);
        let without = Lease {
            underlay: None,
            ..held.value.clone()
        };
        txn.put(key, record::encode(&without));
        Ok(())
    }
}

fn is_a_hosts(address: IpAddr) -> bool {
    let broadcast = address == IpAddr::V4(Ipv4Addr::BROADCAST);
    !(address.is_unspecified() || address.is_multicast() || address.is_loopback() || broadcast)
}

fn exhausted(space: &Space, network: &NetworkName, family: Family) -> Refusal {
    match space.pool_use(family) {
        Some(pool) => Refusal::Exhausted {
            network: network.clone(),
            family,
            pool: pool.pool,
            total: pool.total,
            leased: pool.leased,
            reserved: pool.reserved,
        },
        // The network has no such pool; then nothing of it was asked for.
        None => Refusal::NothingToDo,
    }
}
