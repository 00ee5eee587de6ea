//! The link between a container and its host: a veth pair, routed by the host or a port
//! of its bridge.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use serde::{Deserialize, Serialize};

use super::{Bandwidth, EndpointId};
use crate::{
    network::Vni,
    record::Mac,
    subnet::{Family, Subnet},
};

/// The host's end of every link: each is a link of its own, and containers that move
/// find their gateway where it was. Nobody else's devices have it.
pub const HOST_MAC: Mac = Mac([0x02, 0x77, 0xee, 0xee, 0xee, 0xee]);
/// What a routed container sends everything to. Nobody else is on its link.
pub const GATEWAY4: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);
pub const GATEWAY6: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
pub const LINK_LOCAL_LENGTH: u8 = 64;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// A link of its own, routed by the host.
    Routed,
    /// A port of the host's bridge.
    Bridge,
}

/// An address and how many of its bits are on the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct OnLink {
    pub address: IpAddr,
    pub length: u8,
}

/// What an endpoint needs in its host's kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub id: EndpointId,
    pub vni: Vni,
    pub form: Form,
    pub mtu: u32,
    pub addresses: Vec<IpAddr>,
    /// What the host's end has itself.
    pub here: Vec<OnLink>,
    pub mac: Mac,
    /// 127.0.0.1 of the host leads to it, too.
    pub from_loopback: bool,
    /// Ports of the host lead to it, also its own packets to them.
    pub published: bool,
    pub bandwidth: Bandwidth,
}

/// The bridge of a network, where containers are its ports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bridge {
    pub vni: Vni,
    pub mtu: u32,
    /// The gateways of the containers.
    pub addresses: Vec<OnLink>,
    pub from_loopback: bool,
}

/// What a container has of it on its side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inside {
    pub interface: String,
    pub mac: Mac,
    pub mtu: u32,
    pub addresses: Vec<OnLink>,
    /// One of each family, with its MAC where nobody would answer for it.
    pub gateways: Vec<Gateway>,
    pub pools: Vec<Subnet>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gateway {
    pub address: IpAddr,
    pub mac: Option<Mac>,
}

/// A device of ours on the host's side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Device {
    Endpoint(EndpointId),
    Bridge(Vni),
}

impl Form {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Routed => "routed",
            Self::Bridge => "bridge",
        }
    }

    /// How this address is on the container's interface, in its node's subnet.
    pub fn on_link(self, address: IpAddr, subnets: &[Subnet]) -> OnLink {
        let family = Family::of(address);
        let subnet = subnets.iter().find(|subnet| subnet.holds(address));
        let length = match (self, subnet) {
            (Self::Bridge, Some(subnet)) => subnet.length(),
            (Self::Bridge | Self::Routed, _) => family.bits(),
        };
        OnLink { address, length }
    }

    /// What the host's end of a link has itself, for a container with these addresses.
    pub fn here(self, addresses: &[IpAddr], subnets: &[Subnet], handed: bool) -> Vec<OnLink> {
        let mut here = Vec::new();
        if self == Self::Bridge {
            return here;
        }
        if addresses.iter().any(IpAddr::is_ipv6) {
            here.push(OnLink {
                address: GATEWAY6.into(),
                length: LINK_LOCAL_LENGTH,
            });
        }
        let gateways = subnets.iter().filter(|subnet| {
            let mut addresses = addresses.iter();
            handed && addresses.any(|address| subnet.holds(*address))
        });
        here.extend(gateways.map(|subnet| OnLink {
            address: second(*subnet),
            length: subnet.family().bits(),
        }));
        here
    }

    /// What containers of this subnet send everything else to. An engine that sets
    /// them up by itself makes no neighbours: the host's end has to answer for it.
    pub fn gateway(self, subnet: Subnet, handed: bool) -> Gateway {
        match self {
            Self::Routed if !handed => Gateway {
                address: match subnet.family() {
                    Family::V4 => GATEWAY4.into(),
                    Family::V6 => GATEWAY6.into(),
                },
                mac: Some(HOST_MAC),
            },
            Self::Bridge | Self::Routed => Gateway {
                address: second(subnet),
                mac: None,
            },
        }
    }
}

impl Bridge {
    pub fn name(vni: Vni) -> String {
        format!("weftbr{vni}")
    }

    pub fn of(vni: Vni, mtu: u32, subnets: &[Subnet], from_loopback: bool) -> Self {
        let gateway = |subnet: &Subnet| OnLink {
            address: second(*subnet),
            length: subnet.length(),
        };
        Self {
            vni,
            mtu,
            addresses: subnets.iter().map(gateway).collect(),
            from_loopback,
        }
    }
}

impl Device {
    pub fn name(self) -> String {
        match self {
            Self::Endpoint(id) => id.device(),
            Self::Bridge(vni) => Bridge::name(vni),
        }
    }
}

/// The address after the first: an engine's users expect the gateway there.
fn second(subnet: Subnet) -> IpAddr {
    match subnet.address() {
        IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits().saturating_add(1)).into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits().saturating_add(1)).into(),
    }
}

impl fmt::Display for OnLink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
