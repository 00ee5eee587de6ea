//! What may be done to a host's kernel for its endpoints. A step prints as the command
//! that a person would type.

use std::{fmt, net::IpAddr};

use super::{
    EndpointId,
    link::{Bridge, Device, OnLink},
};
use crate::{datapath::entry::PROTOCOL, record::Mac, subnet::Subnet};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// With its other end where the container is.
    Make(EndpointId),
    MakeBridge(Bridge),
    Delete {
        index: u32,
        name: String,
    },
    Change {
        device: Device,
        change: Change,
    },
    SetAddress {
        device: Device,
        address: OnLink,
    },
    DropAddress {
        device: Device,
        address: OnLink,
    },
    SetNeighbour {
        device: Device,
        address: IpAddr,
        mac: Mac,
    },
    DropNeighbour {
        device: Device,
        address: IpAddr,
    },
    SetRoute {
        device: Device,
        address: IpAddr,
    },
    DropRoute {
        device: Device,
        subnet: Subnet,
        metric: u32,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    Mac(Mac),
    Mtu(u32),
    NoOwnAddresses,
    /// Into this bridge, or out of any.
    Master(Option<Device>),
    Up,
    /// A container on a bridge that is led back to itself comes out where it went in:
    /// so it is where the bridge's packets meet the firewall (`bridge-nf-call-iptables`).
    Hairpin,
    FromLoopback(bool),
}

impl Step {
    /// The endpoint that it is for.
    pub fn endpoint(&self) -> Option<EndpointId> {
        let device = match self {
            Self::Make(id) => return Some(*id),
            Self::MakeBridge(_) | Self::Delete { .. } => return None,
            Self::Change { device, .. }
            | Self::SetAddress { device, .. }
            | Self::DropAddress { device, .. }
            | Self::SetNeighbour { device, .. }
            | Self::DropNeighbour { device, .. }
            | Self::SetRoute { device, .. }
            | Self::DropRoute { device, .. } => device,
        };
        match device {
            Device::Endpoint(id) => Some(*id),
            Device::Bridge(_) => None,
        }
    }

    /// Takes something out of the kernel.
    pub fn removes(&self) -> bool {
        match self {
            Self::Delete { .. }
            | Self::DropAddress { .. }
            | Self::DropNeighbour { .. }
            | Self::DropRoute { .. } => true,
            Self::Make(_)
            | Self::MakeBridge(_)
            | Self::Change { .. }
            | Self::SetAddress { .. }
            | Self::SetNeighbour { .. }
            | Self::SetRoute { .. } => false,
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mac(mac) => write!(f, "address {mac}"),
            Self::Mtu(mtu) => write!(f, "mtu {mtu}"),
            Self::NoOwnAddresses => f.write_str("addrgenmode none"),
            Self::Master(Some(bridge)) => write!(f, "master {bridge}"),
            Self::Master(None) => f.write_str("nomaster"),
            Self::Up => f.write_str("up"),
            Self::Hairpin => f.write_str("type bridge_slave hairpin on"),
            Self::FromLoopback(on) => write!(f, "route_localnet {}", u8::from(*on)),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Make(id) => write!(f, "ip link add {} type veth", id.device()),
            Self::MakeBridge(bridge) => {
                write!(f, "ip link add {} type bridge", Bridge::name(bridge.vni))
            }
            Self::Delete { name, .. } => write!(f, "ip link del {name}"),
            Self::Change {
                device,
                change: Change::FromLoopback(on),
            } => {
                let on = u8::from(*on);
                write!(f, "sysctl -w net/ipv4/conf/{device}/route_localnet={on}")
            }
            Self::Change { device, change } => write!(f, "ip link set {device} {change}"),
            Self::SetAddress { device, address } => {
                write!(f, "ip addr add {address} dev {device}")
            }
            Self::DropAddress { device, address } => {
                write!(f, "ip addr del {address} dev {device}")
            }
            Self::SetNeighbour {
                device,
                address,
                mac,
            } => write!(
                f,
                "ip neigh replace {address} lladdr {mac} dev {device} nud permanent"
            ),
            Self::DropNeighbour { device, address } => {
                write!(f, "ip neigh del {address} dev {device}")
            }
            Self::SetRoute { device, address } => {
                write!(
                    f,
                    "ip route replace {address} dev {device} proto {PROTOCOL}"
                )
            }
            Self::DropRoute {
                device,
                subnet,
                metric,
            } => write!(f, "ip route del {subnet} dev {device} metric {metric}"),
        }
    }
}
