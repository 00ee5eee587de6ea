//! What endpoints need to know of this host's networks.

use std::collections::BTreeMap;

use overlay::{
    endpoint::{
        Endpoint, Form, Publish,
        link::{Bridge, Inside, Wanted},
    },
    name::NetworkName,
    network::Vni,
    subnet::{Family, Subnet},
};
use socket::words;

/// A network on this host, as the reconciler has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ground {
    pub vni: Vni,
    pub port: u16,
    /// This node's own, of the families that it carries.
    pub subnets: Vec<Subnet>,
    pub pools: Vec<Subnet>,
    pub mtu: u32,
    pub masquerade: bool,
    /// Its device is in the kernel.
    pub up: bool,
    /// The devices at which packets of the overlay reach this host; none while its own
    /// is not there.
    pub devices: BTreeMap<u32, String>,
}

/// None: it is joined, and nothing is known of it yet.
pub type Grounds = BTreeMap<NetworkName, Option<Ground>>;

impl Ground {
    pub fn is_there(&self) -> bool {
        !self.devices.is_empty()
    }

    /// What an endpoint needs on the host's side.
    pub fn wanted(&self, endpoint: &Endpoint) -> Wanted {
        Wanted {
            id: endpoint.id(),
            vni: self.vni,
            form: endpoint.form,
            mtu: self.mtu,
            here: endpoint
                .form
                .here(&endpoint.addresses, &self.subnets, endpoint.sandbox.handed),
            addresses: endpoint.addresses.clone(),
            mac: endpoint.mac,
            from_loopback: answers_loopback(&endpoint.publish),
            published: !endpoint.publish.is_empty(),
            bandwidth: endpoint.bandwidth,
        }
    }

    /// What its container has on its side.
    pub fn inside(&self, endpoint: &Endpoint) -> Inside {
        let addresses = endpoint.addresses.iter();
        let has = |family| {
            let mut addresses = endpoint.addresses.iter();
            addresses.any(|address| Family::of(*address) == family)
        };
        let subnets = self.subnets.iter();
        let subnets = subnets.filter(|subnet| has(subnet.family()));
        Inside {
            interface: endpoint.sandbox.interface.clone(),
            mac: endpoint.mac,
            mtu: self.mtu,
            addresses: addresses
                .map(|address| endpoint.form.on_link(*address, &self.subnets))
                .collect(),
            gateways: subnets
                .map(|subnet| endpoint.form.gateway(*subnet, endpoint.sandbox.handed))
                .collect(),
            pools: self.pools.clone(),
        }
    }

    pub fn bridge(&self, from_loopback: bool) -> Bridge {
        Bridge::of(self.vni, self.mtu, &self.subnets, from_loopback)
    }

    pub fn shown(&self, network: &NetworkName, form: Form) -> words::Ground {
        words::Ground {
            network: network.clone(),
            vni: self.vni,
            form,
            subnets: self.subnets.clone(),
            pools: self.pools.clone(),
            mtu: self.mtu,
            masquerade: self.masquerade,
            ready: self.up,
        }
    }
}

/// Does any of it answer at 127.0.0.1?
pub fn answers_loopback(publish: &[Publish]) -> bool {
    let mut publish = publish.iter();
    publish.any(|publish| publish.at.is_none_or(|at| at.is_ipv4()))
}
