//! What an agent says of its containers in one session, and what it is told of that.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use overlay::{endpoint::EndpointId, name::NetworkName, subnet::Subnet};
use proto::v1;

use crate::{machine::Machine, world::World};

/// So many containers a host has at the most.
pub const CONTAINERS: u8 = 3;

/// How far a controller was told.
#[derive(Default)]
pub struct Attached {
    number: u64,
    networks: BTreeMap<NetworkName, Place>,
}

struct Place {
    life: String,
    subnets: Vec<Subnet>,
    /// None: it is to be told everything.
    said: Option<BTreeSet<u8>>,
    waiting: Option<(u64, BTreeSet<u8>)>,
}

impl Attached {
    pub fn joined(
        &mut self,
        network: NetworkName,
        lease: &v1::Lease,
        subnets: Vec<Subnet>,
        kept: u64,
    ) {
        let place = Place {
            life: lease.life.clone(),
            subnets,
            said: (kept == 0).then(BTreeSet::new),
            waiting: None,
        };
        self.networks.insert(network, place);
    }

    pub fn gone(&mut self, network: &NetworkName) {
        self.networks.remove(network);
    }

    /// What is to be said now.
    pub fn words(&mut self, machine: &Machine) -> Vec<v1::Endpoints> {
        let mut words = Vec::new();
        for (network, place) in &mut self.networks {
            let has = &machine.containers;
            let is_joined = machine.wanted.contains(network);
            if !is_joined || place.waiting.is_some() || place.said.as_ref() == Some(has) {
                continue;
            }
            self.number += 1;
            let none = BTreeSet::new();
            let before = place.said.as_ref().unwrap_or(&none);
            let set = has.difference(before);
            let gone = before.difference(has);
            words.push(v1::Endpoints {
                network: network.to_string(),
                life: place.life.clone(),
                number: self.number,
                all: place.said.is_none(),
                set: set
                    .map(|one| container(network, &place.subnets, *one))
                    .collect(),
                gone: gone.map(|one| id(network, *one).to_string()).collect(),
                partial: false,
            });
            place.waiting = Some((self.number, has.clone()));
        }
        words
    }

    /// A word was answered: the store must have had what was said.
    pub fn kept(
        &mut self,
        world: &World,
        node: &str,
        kept: &v1::EndpointsKept,
    ) -> Result<(), String> {
        let Ok(network) = kept.network.parse::<NetworkName>() else {
            return Err(format!("it is told of network {:?}", kept.network));
        };
        let Some(place) = self.networks.get_mut(&network) else {
            return Ok(());
        };
        let answered = |(number, _): &mut (u64, _)| *number == kept.number;
        let Some((_, has)) = place.waiting.take_if(answered) else {
            return Ok(());
        };
        if !kept.problem.is_empty() {
            place.said = None;
            world.trace.say(format_args!("{node}: {}", kept.problem));
            return Ok(());
        }
        if !kept.refused.is_empty() {
            return Err(format!("{:?} are refused", kept.refused));
        }
        let ids = has.iter().map(|one| id(&network, *one).to_string());
        let told = ids.collect();
        place.said = Some(has);
        let judge = world.judge();
        judge.told_kept(network.as_str(), node, &place.life, kept.revision, &told)
    }
}

pub fn id(network: &NetworkName, number: u8) -> EndpointId {
    EndpointId::of(network, &key(number).parse().expect("a good key"))
}

fn key(number: u8) -> String {
    format!("test/{number}")
}

fn container(network: &NetworkName, subnets: &[Subnet], number: u8) -> v1::Endpoint {
    let address = |subnet: &Subnet| match subnet.address() {
        IpAddr::V4(base) => IpAddr::V4((u32::from(base) + u32::from(number)).into()),
        IpAddr::V6(base) => IpAddr::V6((u128::from(base) + u128::from(number)).into()),
    };
    v1::Endpoint {
        id: id(network, number).to_string(),
        key: key(number),
        addresses: subnets
            .iter()
            .map(|subnet| address(subnet).to_string())
            .collect(),
        mac: format!("02:42:00:00:00:{number:02x}"),
        ..v1::Endpoint::default()
    }
}
