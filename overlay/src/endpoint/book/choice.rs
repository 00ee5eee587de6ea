//! Which address an endpoint is given.

use std::{collections::BTreeSet, net::IpAddr};

use super::{
    Book, Line, Place, Refused,
    range::{in_subnet, usual},
};
use crate::{
    endpoint::{Bandwidth, Endpoint, EndpointId, Form, Key, Publish, Sandbox, Who},
    hash::fnv1a,
    name::NetworkName,
    record::Mac,
    subnet::{Family, Subnet},
    time::WallMs,
};

/// Given back so lately that it is given to others only when there is no other.
const COOLDOWN_MS: u64 = 60_000;

/// An endpoint that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    pub network: NetworkName,
    pub key: Key,
    pub addresses: Vec<IpAddr>,
    pub mac: Option<Mac>,
    pub form: Form,
    pub sandbox: Sandbox,
    pub who: Who,
    pub publish: Vec<Publish>,
    pub bandwidth: Bandwidth,
}

/// The addresses of a subnet, and how many of them are what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lot {
    pub subnet: Subnet,
    pub used: u64,
    pub held: u64,
    pub cooling: u64,
    pub free: u64,
}

impl Book {
    /// What is to be written so that this endpoint is there; none: it is so already.
    pub fn attach(
        &self,
        ask: &Ask,
        subnets: &[Subnet],
        now: WallMs,
    ) -> Result<Option<Endpoint>, Refused> {
        let id = EndpointId::of(&ask.network, &ask.key);
        let before = self.endpoint(id);
        if let Some(before) = before
            && (ask.sandbox.inode == 0 || before.sandbox.is_same(&ask.sandbox))
            && before.sandbox.interface == ask.sandbox.interface
        {
            return self.again(ask, before).map(|()| None);
        }
        self.check_ports(ask, id)?;
        let mut addresses = Vec::with_capacity(2);
        self.check_asked(ask, subnets)?;
        for &subnet in subnets {
            let family = subnet.family();
            let asked = ask.addresses.iter().find(|ip| Family::of(**ip) == family);
            // A subnet a family, and a family once.
            addresses.push(match asked {
                Some(asked) => self.explicit(ask, *asked, subnet)?,
                None => self.usual(ask, subnet, now)?,
            });
        }
        let first = *addresses
            .first()
            .ok_or_else(|| Refused::NoSubnet(ask.network.clone()))?;
        let mac = self.mac(ask, id, first)?;
        Ok(Some(Endpoint {
            network: ask.network.clone(),
            key: ask.key.clone(),
            seq: self.next_seq(),
            addresses,
            mac,
            form: ask.form,
            sandbox: ask.sandbox.clone(),
            who: ask.who.clone(),
            publish: ask.publish.clone(),
            bandwidth: ask.bandwidth,
            since: now,
        }))
    }

    /// What is to be written so that an address is held.
    pub fn hold(
        &self,
        network: &NetworkName,
        subnets: &[Subnet],
        family: Family,
        address: Option<IpAddr>,
        by: &Key,
        now: WallMs,
    ) -> Result<(IpAddr, Option<Line>), Refused> {
        let subnet = subnets.iter().find(|subnet| subnet.family() == family);
        let subnet = *subnet.ok_or_else(|| Refused::NoSubnet(network.clone()))?;
        let place = |address| Place {
            network: network.clone(),
            address,
        };
        let address = match address {
            Some(address) => {
                in_subnet(address, subnet)?;
                if let Some(holder) = self.holds.get(&place(address)) {
                    if holder == by {
                        return Ok((address, None));
                    }
                    return Err(Refused::Held(holder.clone(), address));
                }
                if let Some(id) = self.taken.get(&place(address)) {
                    return Err(self.taken_by(*id, address));
                }
                address
            }
            None => self.any(network, subnet, now, |_| false)?,
        };
        let line = Line::Held {
            network: network.clone(),
            address,
            by: by.clone(),
        };
        Ok((address, Some(line)))
    }

    /// How much of a subnet is what.
    pub fn lot(&self, network: &NetworkName, subnet: Subnet, now: WallMs) -> Lot {
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let range = Place::all_of(network, subnet.family());
        let taken = self.taken.range(range.clone());
        let held = self.holds.range(range.clone());
        let held = held.filter(|(place, _)| !self.taken.contains_key(place));
        let past = self.past.range(range);
        let cooling = past.filter(|(_, past)| cools(past.at, now));
        let inside = |place: &Place| subnet.holds(place.address);
        let used = count(taken.filter(|(place, _)| inside(place)).count());
        let held = count(held.filter(|(place, _)| inside(place)).count());
        let cooling = count(cooling.filter(|(place, _)| inside(place)).count());
        let all = usual(subnet).count();
        Lot {
            subnet,
            used,
            held,
            cooling,
            free: count(all).saturating_sub(used + held),
        }
    }

    /// The same again: does it fit what is there?
    fn again(&self, ask: &Ask, before: &Endpoint) -> Result<(), Refused> {
        let others = ask.addresses.iter();
        let mut others = others.filter(|ip| !before.addresses.contains(ip));
        let other_mac = ask.mac.is_some_and(|mac| mac != before.mac);
        if others.next().is_some() || other_mac {
            let addresses: Vec<String> = before.addresses.iter().map(IpAddr::to_string).collect();
            return Err(Refused::Otherwise {
                key: ask.key.clone(),
                has: format!("{} and {}", addresses.join(", "), before.mac),
            });
        }
        Ok(())
    }

    fn check_ports(&self, ask: &Ask, id: EndpointId) -> Result<(), Refused> {
        for (n, port) in ask.publish.iter().enumerate() {
            if let Some(other) = ask.publish[..n].iter().find(|other| other.collides(port)) {
                return Err(Refused::PortsCollide(other.clone(), port.clone()));
            }
        }
        let others = self.endpoints.iter().filter(|(other, _)| **other != id);
        for (_, other) in others {
            for theirs in &other.publish {
                if let Some(port) = ask.publish.iter().find(|port| port.collides(theirs)) {
                    let key = other.key.clone();
                    return Err(Refused::PortTaken(key, theirs.clone(), port.clone()));
                }
            }
        }
        Ok(())
    }

    fn check_asked(&self, ask: &Ask, subnets: &[Subnet]) -> Result<(), Refused> {
        for (n, &address) in ask.addresses.iter().enumerate() {
            let family = Family::of(address);
            let before = &ask.addresses[..n];
            if let Some(other) = before.iter().find(|ip| Family::of(**ip) == family) {
                return Err(Refused::Twice(*other, address));
            }
            if !subnets.iter().any(|subnet| subnet.family() == family) {
                let network = ask.network.clone();
                return Err(Refused::NoFamily(family, network, address));
            }
        }
        Ok(())
    }

    fn explicit(&self, ask: &Ask, address: IpAddr, subnet: Subnet) -> Result<IpAddr, Refused> {
        in_subnet(address, subnet)?;
        let place = Place {
            network: ask.network.clone(),
            address,
        };
        if let Some(&id) = self.taken.get(&place)
            && id != EndpointId::of(&ask.network, &ask.key)
        {
            return Err(self.taken_by(id, address));
        }
        match self.holds.get(&place) {
            Some(holder) if maker(holder) != maker(&ask.key) => {
                Err(Refused::Held(holder.clone(), address))
            }
            Some(_) | None => Ok(address),
        }
    }

    fn usual(&self, ask: &Ask, subnet: Subnet, now: WallMs) -> Result<IpAddr, Refused> {
        let id = EndpointId::of(&ask.network, &ask.key);
        if let Some(before) = self.endpoint(id) {
            let kept = before.addresses.iter().find(|ip| subnet.holds(**ip));
            if let Some(kept) = kept {
                return Ok(*kept);
            }
        }
        // Whoever comes back gets what it had.
        let same = |past: &super::Past| {
            past.key == ask.key || (past.name.is_some() && past.name == ask.who.name)
        };
        self.any(&ask.network, subnet, now, same)
    }

    /// What its last holder comes back for, then what nobody had yet, then what was
    /// given back the longest ago.
    fn any(
        &self,
        network: &NetworkName,
        subnet: Subnet,
        now: WallMs,
        same: impl Fn(&super::Past) -> bool,
    ) -> Result<IpAddr, Refused> {
        let family = subnet.family();
        let in_use = self.in_use(network, family);
        let past = || {
            let range = self.past.range(Place::all_of(network, family));
            range.filter(|(place, _)| {
                in_subnet(place.address, subnet).is_ok() && !in_use.contains(&place.address)
            })
        };
        let last = past().filter(|(_, past)| same(past));
        if let Some((place, _)) = last.max_by_key(|(_, past)| past.at) {
            return Ok(place.address);
        }
        let had: BTreeSet<IpAddr> = past().map(|(place, _)| place.address).collect();
        let fresh = usual(subnet).find(|ip| !in_use.contains(ip) && !had.contains(ip));
        if let Some(fresh) = fresh {
            return Ok(fresh);
        }
        let oldest = past().min_by_key(|(_, past)| (cools(past.at, now), past.at));
        oldest
            .map(|(place, _)| place.address)
            .ok_or_else(|| self.exhausted(network, subnet))
    }

    fn exhausted(&self, network: &NetworkName, subnet: Subnet) -> Refused {
        let range = Place::all_of(network, subnet.family());
        Refused::Exhausted {
            subnet,
            taken: self.taken.range(range.clone()).count(),
            held: self.holds.range(range).count(),
        }
    }

    fn mac(&self, ask: &Ask, id: EndpointId, first: IpAddr) -> Result<Mac, Refused> {
        let macs = self.macs(&ask.network);
        let other = |mac: &Mac| macs.get(mac).copied().filter(|other| *other != id);
        if let Some(mac) = ask.mac {
            if mac.0[0] & 1 == 1 || mac.0 == [0; 6] {
                return Err(Refused::BadMac(mac));
            }
            return match other(&mac).and_then(|other| self.endpoint(other)) {
                Some(other) => Err(Refused::MacTaken(other.key.clone(), mac)),
                None => Ok(mac),
            };
        }
        // Made of the address: who has it next has the same, and no neighbour notices.
        let made = (0u8..=u8::MAX).map(|n| {
            let hash = fnv1a(format!("{} {first} {n}", ask.network).as_bytes());
            let [a, b, c, d, e, ..] = hash.to_be_bytes();
            Mac([0x0a, a, b, c, d, e])
        });
        let mut free = made.filter(|mac| other(mac).is_none());
        Ok(free.next().expect("no node has 256 endpoints of one hash"))
    }

    fn taken_by(&self, id: EndpointId, address: IpAddr) -> Refused {
        let endpoint = self.endpoint(id).expect("what is taken is an endpoint's");
        Refused::Taken(endpoint.key.clone(), address)
    }
}

/// Who speaks in this key: `docker` of `docker/4f2a`.
fn maker(key: &Key) -> &str {
    let key = key.as_str();
    key.split_once('/').map_or(key, |(maker, _)| maker)
}

fn cools(since: WallMs, now: WallMs) -> bool {
    since.0.saturating_add(COOLDOWN_MS) > now.0
}
