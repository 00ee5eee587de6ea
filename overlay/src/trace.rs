//! The way of a packet from one address of a network to another: what is asked of the
//! two hosts about it, what their kernels have, and [`judge`]: which of it is wrong.

use std::{collections::BTreeMap, fmt, net::IpAddr};

use serde::{Deserialize, Serialize};

use crate::{endpoint::EndpointId, network::Vni, record::Mac};

pub use judge::{Course, Hop, Stop, judge};

mod judge;

/// What is asked of one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    pub vni: Vni,
    pub end: End,
    pub from: IpAddr,
    pub to: IpAddr,
    /// The container at this end; none: the host itself.
    pub container: Option<EndpointId>,
    /// The other host's underlay address; none: both ends are on this one.
    pub peer: Option<IpAddr>,
}

/// Which end of the way a host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum End {
    Near,
    Far,
}

/// What one host's kernel has on the way.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    pub inside: Option<Inside>,
    /// The setting that lets packets through where they come in, and its value.
    pub forwarding: Option<(String, String)>,
    /// Where the kernel sends a packet from the one to the other.
    pub way: Way,
    /// Whose MAC the next hop has.
    pub neighbour: Option<Mac>,
    /// The network's device.
    pub tunnel: Option<Device>,
    /// Behind which address that MAC is.
    pub forwarding_entry: Option<IpAddr>,
    pub underlay: Option<Underlay>,
    pub firewall: Firewall,
    /// Near: an answer from the other end came, to a small packet and to a full one.
    pub reached: Option<Reached>,
}

/// A container's side, and its link.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inside {
    /// Why nothing could be seen there.
    pub problem: Option<String>,
    pub interface: String,
    pub mac: Option<Mac>,
    pub device: Option<Device>,
    pub addresses: Vec<IpAddr>,
    /// To the other end.
    pub way: Way,
    pub gateway_mac: Option<Mac>,
    /// The host's end of its link.
    pub link: String,
    pub link_device: Option<Device>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Device {
    pub name: String,
    pub up: bool,
    pub mtu: u32,
    pub mac: Option<Mac>,
    /// Of a VXLAN device.
    pub vni: Option<u32>,
    pub port: Option<u16>,
    pub local: Option<IpAddr>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    Leads {
        device: String,
        gateway: Option<IpAddr>,
        mtu: Option<u32>,
        /// To this very host.
        here: bool,
    },
    /// In the kernel's words.
    Refused(String),
}

/// The way of the outer packets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Underlay {
    /// The host has the address from which it sends them.
    pub address_here: bool,
    pub way: Way,
    pub device: Option<Device>,
    pub reached: Option<Reached>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Firewall {
    /// The table `inet weft` is there.
    pub table: bool,
    /// It lets packets from the other host in.
    pub admits: bool,
    /// What is wrong with the passages through other people's iptables.
    pub passages: Vec<String>,
    /// Rules of others that drop, and how many packets they have dropped.
    pub drops: BTreeMap<String, u64>,
    /// Those of them that dropped something while packets were sent.
    pub grown: Vec<String>,
}

/// What became of packets that were sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    pub small: Result<(), String>,
    pub full: Result<(), String>,
    /// How long the full one was, with its headers.
    pub size: u32,
}

impl Default for Way {
    fn default() -> Self {
        Self::Refused("the kernel was not asked".into())
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(reason) => f.write_str(reason),
            Self::Leads {
                device,
                gateway,
                mtu,
                here,
            } => {
                if *here {
                    return write!(f, "local, dev {device}");
                }
                if let Some(gateway) = gateway {
                    write!(f, "via {gateway} ")?;
                }
                write!(f, "dev {device}")?;
                mtu.map_or(Ok(()), |mtu| write!(f, " mtu {mtu}"))
            }
        }
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.up { "up" } else { "down" };
        write!(f, "{state}, mtu {}", self.mtu)
    }
}

impl Firewall {
    /// What dropped more than it had before.
    pub fn grown_since(&self, before: &Self) -> Vec<String> {
        let now = self.drops.iter();
        let grown =
            now.filter(|(rule, count)| **count > before.drops.get(*rule).copied().unwrap_or(0));
        grown.map(|(rule, _)| rule.clone()).collect()
    }
}
