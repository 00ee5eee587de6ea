//! The networks of this host, and its peers in them: as the agent that runs has them, or as
//! the last one has kept them.

use std::{collections::BTreeMap, net::IpAddr, path::Path};

use overlay::{
    feed::{self, Peers},
    name::{NetworkName, NodeName},
    network::{self, Vni},
    subnet::{Family, Subnet},
};

use crate::{
    kept::Kept,
    session::{Told, replay},
    status::Status,
};

#[derive(Debug, Clone)]
pub struct Ground {
    pub name: NetworkName,
    pub vni: Vni,
    pub port: u16,
    pub underlay: Family,
    pub own: Vec<Subnet>,
    pub uplink: Option<String>,
    pub offload: Option<bool>,
    pub peers: Vec<Peer>,
}

#[derive(Debug, Clone)]
pub struct Peer {
    pub node: NodeName,
    pub underlay: IpAddr,
    /// In the overlay.
    pub addresses: Vec<IpAddr>,
}

impl Ground {
    /// Of networks about which nothing is known yet, the status says so itself.
    pub fn told(status: &Status) -> Vec<Self> {
        let networks = status.networks.iter();
        let known = networks.filter_map(|network| {
            Some(Self {
                name: network.network.clone(),
                vni: Vni::try_from(network.vni?).ok()?,
                port: network.port?,
                underlay: network.underlay.map_or(Family::V4, Family::of),
                own: network.subnets.clone(),
                uplink: network.uplink.clone(),
                offload: network.checksum_offload,
                peers: network
                    .peers
                    .iter()
                    .map(|peer| Peer::at(&peer.node, peer.underlay, peer.subnets.iter().copied()))
                    .collect(),
            })
        });
        known.collect()
    }

    pub fn kept(state_dir: &Path) -> anyhow::Result<Vec<Self>> {
        let mut known: BTreeMap<NetworkName, Self> = BTreeMap::new();
        // What is there is read; nothing is written.
        if !state_dir.exists() {
            return Ok(Vec::new());
        }
        let (_, words) = Kept::open(state_dir)?;
        for word in replay(words).0 {
            match word {
                Told::Joined { network, subnets } => {
                    known.insert(network.name.clone(), Self::of(network, subnets));
                }
                Told::Snapshot { network, peers, .. } => {
                    if let Some(ground) = known.get_mut(&network) {
                        ground.peers.clear();
                        ground.add(&peers);
                    }
                }
                Told::Changes {
                    network, changes, ..
                } => {
                    if let Some(ground) = known.get_mut(&network) {
                        let is_kept = |peer: &Peer| {
                            !changes.gone.contains(&peer.node)
                                && !changes.set.contains_key(&peer.node)
                        };
                        ground.peers.retain(is_kept);
                        ground.add(&changes.set);
                    }
                }
                _ => {}
            }
        }
        Ok(known.into_values().collect())
    }

    fn of(network: network::Network, own: Vec<Subnet>) -> Self {
        Self {
            name: network.name,
            vni: network.vni,
            port: network.port,
            underlay: network.underlay,
            own,
            uplink: None,
            offload: None,
            peers: Vec::new(),
        }
    }

    /// The feed tells of every node, this one among them.
    fn add(&mut self, told: &Peers) {
        let own = &self.own;
        let is_other = |peer: &feed::Peer| !peer.subnets().any(|one| own.contains(&one));
        let others = told.iter().filter(|(_, peer)| is_other(peer));
        let others = others.map(|(node, peer)| Peer::at(node, peer.underlay, peer.subnets()));
        self.peers.extend(others);
    }

    /// What this host has in the overlay.
    pub fn address(&self, family: Family) -> Option<IpAddr> {
        let mut own = self.own.iter();
        own.find(|subnet| subnet.family() == family)
            .map(|subnet| subnet.address())
    }
}

impl Peer {
    fn at(node: &NodeName, underlay: IpAddr, subnets: impl Iterator<Item = Subnet>) -> Self {
        Self {
            node: node.clone(),
            underlay,
            addresses: subnets.map(Subnet::address).collect(),
        }
    }
}
