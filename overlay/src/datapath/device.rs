//! A network's VXLAN device: as it should be, and as a kernel shows it.

use std::{fmt, net::IpAddr};

use super::uplink::LEAST_MTU_V6;
use crate::{network::Vni, record::Mac, subnet::Family};

/// As it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    pub vni: Vni,
    pub port: u16,
    pub mac: Mac,
    pub mtu: u32,
    /// The source of the outer packets: a host with several addresses would else take
    /// another one, and its peers drop what comes from there.
    pub local: IpAddr,
    /// The device below. It bounds the MTU.
    pub lower: u32,
    /// False where the checksums that the hardware makes are not to be trusted.
    pub offload: bool,
}

/// The name of a network's device.
pub fn name(vni: Vni) -> String {
    format!("weft{vni}")
}

/// A VXLAN device as a kernel shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub index: u32,
    pub name: String,
    pub mac: Mac,
    pub mtu: u32,
    pub up: bool,
    /// The bridge it was put into.
    pub master: Option<u32>,
    /// Whether the kernel gives it a link-local address by itself.
    pub makes_addresses: bool,
    /// Whether checksums are left to the hardware; none where nobody can tell.
    pub offload: Option<bool>,
    pub vxlan: Vxlan,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Vxlan {
    pub vni: u32,
    pub port: u16,
    pub local: Option<IpAddr>,
    pub lower: Option<u32>,
    pub learning: bool,
}

/// One change that makes a device what it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Rename,
    /// Takes all permanent neighbours with it.
    Mac(Mac),
    Mtu(u32),
    NoMaster,
    NoOwnAddresses,
    NoLearning,
    Source {
        local: IpAddr,
        lower: u32,
    },
    Offload(bool),
    /// Last of the device itself: addresses, neighbours and routes follow.
    Up,
}

/// What has to happen to a device that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    Changes(Vec<Change>),
    /// It cannot be changed into what it should be.
    Remake,
}

impl Device {
    pub fn name(&self) -> String {
        name(self.vni)
    }

    pub fn difference(&self, link: &Link) -> Difference {
        let local_family = link.vxlan.local.map(Family::of);
        // Each FDB entry keeps the way to its peer, one for each processor and with the
        // source in it. IPv4 looks for it anew when the source's address is gone. IPv6
        // sends on from there, as long as nothing else happens to its addresses, and
        // the peers let nothing in that comes from there.
        let other_ipv6 = link.vxlan.local != Some(self.local) && self.local.is_ipv6();
        // The kernel changes none of these on a device that is there. One without a
        // source has a family all the same, and does not tell it.
        if link.vxlan.vni != u32::from(self.vni)
            || link.vxlan.port != self.port
            || local_family != Some(Family::of(self.local))
            || other_ipv6
        {
            return Difference::Remake;
        }
        let mut changes = Vec::new();
        let mut when = |differs, change| {
            if differs {
                changes.push(change);
            }
        };
        when(link.name != self.name(), Change::Rename);
        when(link.master.is_some(), Change::NoMaster);
        when(link.vxlan.learning, Change::NoLearning);
        when(
            link.vxlan.local != Some(self.local) || link.vxlan.lower != Some(self.lower),
            Change::Source {
                local: self.local,
                lower: self.lower,
            },
        );
        when(link.mac != self.mac, Change::Mac(self.mac));
        when(link.mtu != self.mtu, Change::Mtu(self.mtu));
        // What comes into the range of IPv6 has it anew, with the kernel's defaults. What
        // is below has none, and cannot be told.
        let anew = link.mtu < LEAST_MTU_V6;
        when(
            self.mtu >= LEAST_MTU_V6 && (anew || link.makes_addresses),
            Change::NoOwnAddresses,
        );
        when(
            link.offload.is_some_and(|on| on != self.offload),
            Change::Offload(self.offload),
        );
        when(!link.up, Change::Up);
        Difference::Changes(changes)
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rename => f.write_str("name"),
            Self::Mac(mac) => write!(f, "address {mac}"),
            Self::Mtu(mtu) => write!(f, "mtu {mtu}"),
            Self::NoMaster => f.write_str("nomaster"),
            Self::NoOwnAddresses => f.write_str("addrgenmode none"),
            Self::NoLearning => f.write_str("type vxlan nolearning"),
            Self::Source { local, lower } => write!(f, "type vxlan local {local} dev {lower}"),
            Self::Offload(on) => {
                let on = if *on { "on" } else { "off" };
                write!(f, "tx-checksum-ip-generic {on}")
            }
            Self::Up => f.write_str("up"),
        }
    }
}

#[cfg(test)]
mod tests;
