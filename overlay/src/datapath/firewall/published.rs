//! Ports of this host that lead to its containers.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::IpAddr,
};

use thiserror::Error;

use crate::{
    datapath::step::{Step, Sysctl},
    endpoint::{Protocol, Publish},
    name::NetworkName,
    subnet::Family,
};

/// One port of the host, and the one that it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Published {
    pub protocol: Protocol,
    /// Only at this address of the host; none: at all that are of the family of `to`.
    pub at: Option<IpAddr>,
    pub host_port: u16,
    pub to: IpAddr,
    pub to_port: u16,
}

/// Where packets come that are led on: of one place there is one target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub family: Family,
    pub protocol: Protocol,
    pub at: Option<IpAddr>,
    pub host_port: u16,
}

/// What is published of all containers of this host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Ports {
    /// Nobody has told yet: what is published stays.
    #[default]
    Unknown,
    Known(BTreeSet<Published>),
}

/// How the kernel follows when other ports are to be published.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Follow {
    Steps(Vec<Step>),
    /// More than elements changes.
    Look,
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PortError {
    #[error("udp port {port} cannot be published: network {network} is carried by it")]
    Carries { port: u16, network: NetworkName },
    #[error("{place} cannot be published twice: for {one} and for {other}")]
    Twice {
        place: Place,
        one: IpAddr,
        other: IpAddr,
    },
}

impl Published {
    /// What a wish means for a container with these addresses.
    pub fn of(publish: &Publish, addresses: &[IpAddr]) -> Vec<Self> {
        let at = publish.at.filter(|at| !at.is_unspecified());
        let only = publish.at.map(Family::of);
        let fits = |to: &&IpAddr| only.is_none_or(|family| family == Family::of(**to));
        let each = |to: &IpAddr| {
            let to = *to;
            publish.pairs().map(move |(host_port, to_port)| Self {
                protocol: publish.protocol,
                at,
                host_port,
                to,
                to_port,
            })
        };
        addresses.iter().filter(fits).flat_map(each).collect()
    }

    pub fn place(&self) -> Place {
        Place {
            family: Family::of(self.to),
            protocol: self.protocol,
            at: self.at,
            host_port: self.host_port,
        }
    }

    /// Does it also answer at 127.0.0.1? Then the device behind it takes a setting:
    /// [`localnet`].
    pub fn is_local(&self) -> bool {
        self.to.is_ipv4() && self.at.is_none_or(|at| at.is_loopback())
    }
}

impl Place {
    /// The map of the table that has it.
    pub fn map(&self) -> &'static str {
        match (self.family, self.at.is_some()) {
            (Family::V4, false) => "pub4",
            (Family::V6, false) => "pub6",
            (Family::V4, true) => "pubat4",
            (Family::V6, true) => "pubat6",
        }
    }
}

impl Ports {
    /// What is to be published, and what is in the way of it.
    pub fn known(&self) -> Option<&BTreeSet<Published>> {
        match self {
            Self::Unknown => None,
            Self::Known(ports) => Some(ports),
        }
    }
}

/// That of one place only one target is wanted.
pub fn check(ports: &BTreeSet<Published>) -> Result<(), PortError> {
    let mut places = BTreeMap::new();
    for port in ports {
        let place = port.place();
        if let Some(one) = places.insert(place, port.to) {
            let other = port.to;
            return Err(PortError::Twice { place, one, other });
        }
    }
    Ok(())
}

/// The steps from what is seen to what is wanted. One that leads elsewhere now is set,
/// and need not be removed before.
pub fn changes(seen: &BTreeSet<Published>, wanted: &BTreeSet<Published>) -> Vec<Step> {
    let kept: BTreeSet<Place> = wanted.iter().map(Published::place).collect();
    let gone = seen.difference(wanted);
    let gone = gone.filter(|port| !kept.contains(&port.place()));
    let missing = wanted.difference(seen);
    let mut steps: Vec<Step> = gone.map(|port| Step::Unpublish(*port)).collect();
    steps.extend(missing.map(|port| Step::Publish(*port)));
    steps
}

/// The setting that a device needs behind which a container answers at the host's
/// 127.0.0.1, and that it is not to have otherwise: with it, packets to and from
/// loopback addresses are taken on that device. The table drops those that come from a
/// container, for as long as anything is published.
pub fn localnet(device: &str, answers: bool) -> Sysctl {
    Sysctl {
        path: ["net", "ipv4", "conf", device, "route_localnet"]
            .map(str::to_owned)
            .into(),
        value: if answers { "1" } else { "0" },
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            protocol,
            at,
            host_port,
            ..
        } = self;
        write!(f, "{protocol} port {host_port}")?;
        match at {
            Some(at) => write!(f, " at {at}"),
            None => Ok(()),
        }
    }
}

/// As nft writes an element of the map.
impl fmt::Display for Published {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { to, to_port, .. } = self;
        write!(f, "{} : {to} . {to_port}", Key(self.place()))
    }
}

/// As nft writes the key of an element.
pub(crate) struct Key(pub Place);

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place {
            protocol,
            at,
            host_port,
            ..
        } = self.0;
        if let Some(at) = at {
            write!(f, "{at} . ")?;
        }
        write!(f, "{protocol} . {host_port}")
    }
}

#[cfg(test)]
mod tests;
