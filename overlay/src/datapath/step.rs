//! What may be done to a kernel: effects as data. A step prints as the command that a
//! person would type.

use std::{fmt, net::IpAddr};

use super::{
    device::{self, Change, Device},
    entry::{self, UNREACHABLE_METRIC},
    firewall::{Firewall, Published, published::Key},
    forward::{CHAIN, Filter, Passage},
};
use crate::{feed::Peer, network::Vni, record::Mac, subnet::Subnet};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    Sysctl(Sysctl),
    /// The whole table, in place of the one that is there.
    Firewall(Box<Firewall>),
    NoFirewall,
    /// Packets of the overlay from this address are let in.
    Admit(IpAddr),
    Bar(IpAddr),
    /// In place of whatever is published there.
    Publish(Published),
    /// Unless something else is published there by now.
    Unpublish(Published),
    /// Packets of the overlay pass a table of iptables.
    Pass(Box<Passage>),
    NoPass {
        filter: Filter,
        jumps: usize,
    },
    Create(Box<Device>),
    Delete {
        index: u32,
        name: String,
    },
    Change {
        vni: Vni,
        change: Change,
    },
    SetAddress {
        vni: Vni,
        address: IpAddr,
    },
    DropAddress {
        vni: Vni,
        address: IpAddr,
    },
    SetFdb {
        vni: Vni,
        mac: Mac,
        to: IpAddr,
    },
    DropFdb {
        vni: Vni,
        mac: Mac,
    },
    SetNeighbour {
        vni: Vni,
        address: IpAddr,
        mac: Mac,
    },
    DropNeighbour {
        vni: Vni,
        address: IpAddr,
    },
    SetRoute(Route),
    DropRoute(Doomed),
}

/// A setting of the kernel, such as `net.ipv4.ip_forward`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Sysctl {
    /// In parts: a device's name may hold a dot.
    pub path: Vec<String>,
    pub value: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Route {
    pub subnet: Subnet,
    pub target: Target,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Through a network's device, to the address that stands for a peer's MAC.
    Overlay {
        vni: Vni,
        gateway: IpAddr,
    },
    /// Via a neighbour on the underlay.
    Direct {
        gateway: IpAddr,
        device: u32,
    },
    Unreachable,
}

/// A route that is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Doomed {
    pub subnet: Subnet,
    pub metric: u32,
    pub protocol: u8,
    pub unreachable: bool,
}

impl Route {
    pub fn metric(self) -> u32 {
        match self.target {
            Target::Overlay { .. } | Target::Direct { .. } => entry::metric(self.subnet),
            Target::Unreachable => UNREACHABLE_METRIC,
        }
    }
}

impl Step {
    /// What kind of object it concerns, for counting.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Sysctl(_) => "sysctl",
            Self::Firewall(_) | Self::NoFirewall => "firewall",
            Self::Admit(_) | Self::Bar(_) => "source",
            Self::Publish(_) | Self::Unpublish(_) => "port",
            Self::Pass(_) | Self::NoPass { .. } => "forward",
            Self::Create(_) | Self::Delete { .. } | Self::Change { .. } => "device",
            Self::SetAddress { .. } | Self::DropAddress { .. } => "address",
            Self::SetFdb { .. } | Self::DropFdb { .. } => "fdb",
            Self::SetNeighbour { .. } | Self::DropNeighbour { .. } => "neighbour",
            Self::SetRoute(_) | Self::DropRoute(_) => "route",
        }
    }

    /// The network whose device this step needs.
    pub fn network(&self) -> Option<Vni> {
        match self {
            Self::Change { vni, .. }
            | Self::SetAddress { vni, .. }
            | Self::DropAddress { vni, .. }
            | Self::SetFdb { vni, .. }
            | Self::DropFdb { vni, .. }
            | Self::SetNeighbour { vni, .. }
            | Self::DropNeighbour { vni, .. } => Some(*vni),
            Self::SetRoute(route) => match route.target {
                Target::Overlay { vni, .. } => Some(vni),
                Target::Direct { .. } | Target::Unreachable => None,
            },
            Self::Sysctl(_)
            | Self::Firewall(_)
            | Self::NoFirewall
            | Self::Admit(_)
            | Self::Bar(_)
            | Self::Publish(_)
            | Self::Unpublish(_)
            | Self::Pass(_)
            | Self::NoPass { .. }
            | Self::Create(_)
            | Self::Delete { .. }
            | Self::DropRoute(_) => None,
        }
    }

    /// Does this peer of this network need it? Without the network's device and its
    /// guard no peer has anything.
    pub fn serves(&self, network: Vni, peer: &Peer) -> bool {
        match self {
            Self::SetFdb { vni, mac, .. } => *vni == network && peer.mac == *mac,
            Self::SetNeighbour { vni, address, .. } => {
                let stands_for = |subnet| entry::gateway(subnet, peer.mac) == *address;
                *vni == network && peer.subnets().any(stands_for)
            }
            Self::SetRoute(route) => peer.subnets().any(|subnet| subnet == route.subnet),
            Self::Admit(address) => peer.underlay == *address,
            Self::Create(device) => device.vni == network,
            Self::Change { vni, .. } | Self::SetAddress { vni, .. } => *vni == network,
            Self::Firewall(_) | Self::Pass(_) => true,
            Self::Sysctl(_)
            | Self::NoFirewall
            | Self::Bar(_)
            | Self::Publish(_)
            | Self::Unpublish(_)
            | Self::NoPass { .. }
            | Self::Delete { .. }
            | Self::DropAddress { .. }
            | Self::DropFdb { .. }
            | Self::DropNeighbour { .. }
            | Self::DropRoute(_) => false,
        }
    }

    /// Takes something out of the kernel.
    pub fn removes(&self) -> bool {
        match self {
            Self::NoFirewall
            | Self::Bar(_)
            | Self::Unpublish(_)
            | Self::NoPass { .. }
            | Self::Delete { .. }
            | Self::DropAddress { .. }
            | Self::DropFdb { .. }
            | Self::DropNeighbour { .. }
            | Self::DropRoute(_) => true,
            Self::Sysctl(_)
            | Self::Firewall(_)
            | Self::Admit(_)
            | Self::Publish(_)
            | Self::Pass(_)
            | Self::Create(_)
            | Self::Change { .. }
            | Self::SetAddress { .. }
            | Self::SetFdb { .. }
            | Self::SetNeighbour { .. }
            | Self::SetRoute(_) => false,
        }
    }
}

impl fmt::Display for Sysctl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.path.join("/"), self.value)
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let subnet = self.subnet;
        match self.target {
            Target::Overlay { vni, gateway } => {
                write!(f, "{subnet} via {gateway} dev weft{vni}")?;
                if gateway.is_ipv4() {
                    f.write_str(" onlink")?;
                }
            }
            Target::Direct { gateway, device } => {
                write!(f, "{subnet} via {gateway} dev if{device}")?;
            }
            Target::Unreachable => write!(f, "unreachable {subnet}")?,
        }
        write!(f, " proto {} metric {}", entry::PROTOCOL, self.metric())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sysctl(sysctl) => write!(f, "sysctl -w {sysctl}"),
            Self::Firewall(firewall) => write!(f, "nft replace table inet weft: {firewall}"),
            Self::NoFirewall => f.write_str("nft delete table inet weft"),
            Self::Admit(address) => write!(f, "nft add element inet weft peers {address}"),
            Self::Bar(address) => write!(f, "nft delete element inet weft peers {address}"),
            Self::Publish(port) => {
                let map = port.place().map();
                write!(f, "nft add element inet weft {map} {{ {port} }}")
            }
            Self::Unpublish(port) => {
                let place = port.place();
                let map = place.map();
                write!(f, "nft delete element inet weft {map} {{ {} }}", Key(place))
            }
            Self::Pass(passage) => passage.fmt(f),
            Self::NoPass { filter, .. } => write!(f, "{filter} delete {CHAIN}"),
            Self::Create(device) => write!(
                f,
                "ip link add {} address {} mtu {} type vxlan id {} local {} dstport {} nolearning \
                 dev if{}",
                device.name(),
                device.mac,
                device.mtu,
                device.vni,
                device.local,
                device.port,
                device.lower
            ),
            Self::Delete { name, .. } => write!(f, "ip link del {name}"),
            Self::Change { vni, change } => {
                write!(f, "ip link set {} {change}", device::name(*vni))
            }
            Self::SetAddress { vni, address } => write!(f, "ip addr add {address} dev weft{vni}"),
            Self::DropAddress { vni, address } => write!(f, "ip addr del {address} dev weft{vni}"),
            Self::SetFdb { vni, mac, to } => {
                write!(f, "bridge fdb replace {mac} dev weft{vni} dst {to}")
            }
            Self::DropFdb { vni, mac } => write!(f, "bridge fdb del {mac} dev weft{vni}"),
            Self::SetNeighbour { vni, address, mac } => write!(
                f,
                "ip neigh replace {address} lladdr {mac} dev weft{vni} nud permanent"
            ),
            Self::DropNeighbour { vni, address } => {
                write!(f, "ip neigh del {address} dev weft{vni}")
            }
            Self::SetRoute(route) => write!(f, "ip route replace {route}"),
            Self::DropRoute(doomed) => {
                let unreachable = if doomed.unreachable {
                    "unreachable "
                } else {
                    ""
                };
                write!(
                    f,
                    "ip route del {unreachable}{} proto {} metric {}",
                    doomed.subnet, doomed.protocol, doomed.metric
                )
            }
        }
    }
}

#[cfg(test)]
mod tests;
