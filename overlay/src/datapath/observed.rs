//! What a kernel holds, and which of it is ours.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use super::{
    device::{Link, name},
    entry::{self, PROTOCOL},
    firewall::{self, TABLE},
    forward::Filters,
    step::Sysctl,
};
use crate::{
    network::Vni,
    record::Mac,
    subnet::{Family, Subnet},
};

/// A full look. It may hold what is not ours: nothing is touched unasked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// Every VXLAN device.
    pub links: Vec<Link>,
    pub addresses: Vec<Address>,
    pub fdb: Vec<Fdb>,
    pub neighbours: Vec<Neighbour>,
    /// Of the main table.
    pub routes: Vec<SeenRoute>,
    /// By path; what is not there is none.
    pub sysctls: BTreeMap<Vec<String>, String>,
    /// None: there is no such table.
    pub firewall: Option<firewall::Seen>,
    pub filters: Filters,
}

/// An address of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    pub index: u32,
    pub address: IpAddr,
    pub length: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fdb {
    pub index: u32,
    pub mac: Mac,
    pub to: Option<IpAddr>,
    /// Permanent, and without a port, VNI or device of its own.
    pub plain: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Neighbour {
    pub index: u32,
    pub address: IpAddr,
    pub mac: Option<Mac>,
    pub permanent: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeenRoute {
    pub subnet: Subnet,
    pub metric: u32,
    pub protocol: u8,
    pub hop: Hop,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hop {
    Gateway {
        gateway: IpAddr,
        device: u32,
        /// The kernel does not ask whether the gateway can be reached.
        onlink: bool,
    },
    Device(u32),
    Unreachable,
    /// Several next hops, a tunnel, a blackhole: nothing that we make.
    Other,
}

/// Anything in a kernel that could be ours.
#[derive(Debug, Clone, Copy)]
pub enum Object<'a> {
    Link(&'a Link),
    Address(&'a Address),
    Fdb(&'a Fdb),
    Neighbour(&'a Neighbour),
    Route(&'a SeenRoute),
    /// A table of family `inet`.
    Table(&'a str),
}

/// Who we are, to a kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Us {
    pub mac: Mac,
    /// The indices of our devices.
    pub devices: BTreeSet<u32>,
}

impl Us {
    pub fn among(mac: Mac, links: &[Link]) -> Self {
        let mut us = Self {
            mac,
            devices: BTreeSet::new(),
        };
        let ours: Vec<u32> = links
            .iter()
            .filter(|link| ours(Object::Link(link), &us))
            .map(|link| link.index)
            .collect();
        us.devices.extend(ours);
        us
    }
}

/// Is this ours, to be changed and removed? The one place that decides it.
pub fn ours(object: Object<'_>, us: &Us) -> bool {
    match object {
        // A name can be changed while the device is up, and so can a MAC. Somebody
        // else's device with our VNI (flannel's is 1, too) has neither of ours.
        Object::Link(link) => {
            let named = Vni::try_from(link.vxlan.vni).is_ok_and(|vni| link.name == name(vni));
            named || link.mac == us.mac
        }
        // Host addresses: a subnet's base address. Others were put there by somebody.
        Object::Address(address) => {
            us.devices.contains(&address.index)
                && address.length == Family::of(address.address).bits()
        }
        // Our devices do not learn: whatever is there was put there for a peer.
        Object::Fdb(fdb) => us.devices.contains(&fdb.index),
        // What is not permanent is the kernel's own.
        Object::Neighbour(neighbour) => {
            us.devices.contains(&neighbour.index) && neighbour.permanent
        }
        // A route of ours whose protocol was changed still has a metric that nobody
        // else would give it, on a device that is ours.
        Object::Route(route) => {
            let on_ours = match route.hop {
                Hop::Gateway { device, .. } | Hop::Device(device) => us.devices.contains(&device),
                Hop::Unreachable | Hop::Other => false,
            };
            if route.is_endpoints() && !on_ours {
                return false;
            }
            route.protocol == PROTOCOL || (on_ours && route.metric == entry::metric(route.subnet))
        }
        Object::Table(name) => name == TABLE,
    }
}

impl SeenRoute {
    /// To one address, straight behind a device: if it is ours it is an endpoint's, and
    /// their plan's to judge.
    pub fn is_endpoints(&self) -> bool {
        let whole = self.subnet.length() == self.subnet.family().bits();
        whole && matches!(self.hop, Hop::Device(_))
    }
}

impl Observed {
    /// What this setting is now.
    pub fn sysctl(&self, sysctl: &Sysctl) -> Option<&str> {
        self.sysctls.get(&sysctl.path).map(String::as_str)
    }
}

#[cfg(test)]
mod tests;
