//! Networks: what an operator asks for, checked once, and what is kept.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    name::NetworkName,
    record::{self, V1},
    subnet::{Family, Subnet},
};

pub const DEFAULT_PORT: u16 = 4789;
pub const DEFAULT_LEN4: u8 = 24;
pub const DEFAULT_LEN6: u8 = 64;
pub const DEFAULT_LAPSE: Duration = Duration::from_secs(24 * 3600);

/// A VXLAN network identifier: 24 bits, not 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Vni(u32);

impl Vni {
    pub const FIRST: Self = Self(1);

    pub fn next(self) -> Option<Self> {
        Self::try_from(self.0 + 1).ok()
    }
}

impl TryFrom<u32> for Vni {
    type Error = NetworkError;

    fn try_from(vni: u32) -> Result<Self, NetworkError> {
        if (1..1 << 24).contains(&vni) {
            Ok(Self(vni))
        } else {
            Err(NetworkError::new(
                "vni",
                format!("{vni} is not between 1 and 16777215"),
            ))
        }
    }
}

impl From<Vni> for u32 {
    fn from(vni: Vni) -> Self {
        vni.0
    }
}

impl fmt::Display for Vni {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// How packets travel between hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encap {
    Vxlan,
    /// Peers on the same link are routed directly.
    Auto,
}

impl Encap {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Vxlan => "vxlan",
            Self::Auto => "auto",
        }
    }
}

impl FromStr for Encap {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        match text {
            "vxlan" => Ok(Self::Vxlan),
            "auto" => Ok(Self::Auto),
            other => Err(NetworkError::new(
                "encap",
                format!("{other:?} is neither vxlan nor auto"),
            )),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NetworkState {
    Active,
    /// Gives out nothing more; it goes once its last lease is gone.
    Deleting,
}

impl NetworkState {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Deleting => "deleting",
        }
    }
}

/// A network as the store keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    pub v: V1,
    pub name: NetworkName,
    pub vni: Vni,
    pub port: u16,
    #[serde(default, deserialize_with = "record::v4")]
    pub pool4: Option<Subnet>,
    #[serde(default, deserialize_with = "record::v6")]
    pub pool6: Option<Subnet>,
    pub len4: u8,
    pub len6: u8,
    pub lapse_s: u64,
    pub underlay: Family,
    pub encap: Encap,
    pub masquerade: bool,
    pub state: NetworkState,
}

impl Network {
    pub fn pool(&self, family: Family) -> Option<Subnet> {
        match family {
            Family::V4 => self.pool4,
            Family::V6 => self.pool6,
        }
    }

    pub fn len(&self, family: Family) -> u8 {
        match family {
            Family::V4 => self.len4,
            Family::V6 => self.len6,
        }
    }

    pub fn pools(&self) -> impl Iterator<Item = Subnet> {
        self.pool4.into_iter().chain(self.pool6)
    }

    pub fn families(&self) -> impl Iterator<Item = Family> {
        self.pools().map(Subnet::family)
    }

    pub fn lapse(&self) -> Duration {
        Duration::from_secs(self.lapse_s)
    }

    /// Is this one of the subnets that the network leases?
    pub fn leases(&self, subnet: Subnet) -> bool {
        subnet.length() == self.len(subnet.family())
            && self
                .pool(subnet.family())
                .is_some_and(|pool| pool.contains(subnet))
    }

    /// The same network with wider pools. Every lease stays what it is.
    pub fn grown(&self, pools: &[Subnet]) -> Result<Self, NetworkError> {
        let mut grown = self.clone();
        for (at, &pool) in pools.iter().enumerate() {
            let family = pool.family();
            if pools[..at].iter().any(|pool| pool.family() == family) {
                return Err(second_pool(family));
            }
            let today = match self.pool(family) {
                Some(today) => today,
                None => {
                    let problem = format!("network {} has no {family} pool to grow", self.name);
                    return Err(NetworkError::new("pools", problem));
                }
            };
            if !pool.contains(today) {
                let problem = format!("{pool} does not contain today's pool {today}");
                return Err(NetworkError::new("pools", problem));
            }
            grown.set_pool(pool);
        }
        check_pools(&grown)?;
        Ok(grown)
    }

    fn set_pool(&mut self, pool: Subnet) {
        match pool.family() {
            Family::V4 => self.pool4 = Some(pool),
            Family::V6 => self.pool6 = Some(pool),
        }
    }
}

/// What an operator asks for; what is `None` gets the default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetworkSpec {
    pub name: NetworkName,
    pub pools: Vec<Subnet>,
    pub vni: Option<Vni>,
    pub port: Option<u16>,
    pub len4: Option<u8>,
    pub len6: Option<u8>,
    pub underlay: Family,
    pub encap: Encap,
    pub masquerade: bool,
    pub lapse: Duration,
}

/// Which field is wrong, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{field}: {problem}")]
pub struct NetworkError {
    pub field: &'static str,
    pub problem: String,
}

impl NetworkError {
    pub fn new(field: &'static str, problem: String) -> Self {
        Self { field, problem }
    }
}

impl NetworkSpec {
    pub fn new(name: NetworkName, pools: Vec<Subnet>) -> Self {
        Self {
            name,
            pools,
            vni: None,
            port: None,
            len4: None,
            len6: None,
            underlay: Family::V4,
            encap: Encap::Vxlan,
            masquerade: true,
            lapse: DEFAULT_LAPSE,
        }
    }

    /// The network this asks for, beside those there are.
    pub fn network<'a>(
        &self,
        others: impl Iterator<Item = &'a Network> + Clone,
    ) -> Result<Network, NetworkError> {
        let port = self.port.unwrap_or(DEFAULT_PORT);
        let mut network = Network {
            v: V1,
            name: self.name.clone(),
            vni: pick_vni(self.vni, port, others.clone())?,
            port,
            pool4: None,
            pool6: None,
            len4: 0,
            len6: 0,
            lapse_s: self.lapse.as_secs(),
            underlay: self.underlay,
            encap: self.encap,
            masquerade: self.masquerade,
            state: NetworkState::Active,
        };
        for &pool in &self.pools {
            if network.pool(pool.family()).is_some() {
                return Err(second_pool(pool.family()));
            }
            network.set_pool(pool);
        }
        if network.pool4.is_some() {
            network.len4 = self.len4.unwrap_or(DEFAULT_LEN4);
        }
        if network.pool6.is_some() {
            network.len6 = self.len6.unwrap_or(DEFAULT_LEN6);
        }
        check_pools(&network)?;
        check_overlap(&network, others)?;
        Ok(network)
    }
}

fn second_pool(family: Family) -> NetworkError {
    NetworkError::new("pools", format!("more than one {family} pool"))
}

/// Do this network's pools touch another's?
pub fn check_overlap<'a>(
    network: &Network,
    others: impl Iterator<Item = &'a Network>,
) -> Result<(), NetworkError> {
    for other in others.filter(|other| other.name != network.name) {
        for pool in network.pools() {
            if let Some(theirs) = other.pools().find(|theirs| theirs.overlaps(pool)) {
                let problem = format!("{pool} overlaps {theirs} of network {}", other.name);
                return Err(NetworkError::new("pools", problem));
            }
        }
    }
    Ok(())
}

fn pick_vni<'a>(
    asked: Option<Vni>,
    port: u16,
    others: impl Iterator<Item = &'a Network>,
) -> Result<Vni, NetworkError> {
    if port == 0 {
        return Err(NetworkError::new("port", "0 is not a UDP port".into()));
    }
    let others: Vec<&Network> = others.collect();
    match asked {
        Some(vni) => match others
            .iter()
            .find(|other| (other.vni, other.port) == (vni, port))
        {
            None => Ok(vni),
            Some(other) => {
                let problem = format!("{vni} on port {port} belongs to network {}", other.name);
                Err(NetworkError::new("vni", problem))
            }
        },
        // One that no network has on any port: a host can join but one of those that
        // share a VNI.
        None => std::iter::successors(Some(Vni::FIRST), |vni| vni.next())
            .find(|&vni| others.iter().all(|other| other.vni != vni))
            .ok_or_else(|| NetworkError::new("vni", "none is left".into())),
    }
}

fn check_pools(network: &Network) -> Result<(), NetworkError> {
    if network.pools().next().is_none() {
        let problem = "a network needs at least one pool, such as 10.32.0.0/12";
        return Err(NetworkError::new("pools", problem.into()));
    }
    for pool in network.pools() {
        let (field, longest) = match pool.family() {
            Family::V4 => ("subnet_len4", 30),
            Family::V6 => ("subnet_len6", 124),
        };
        let len = network.len(pool.family());
        if len > longest {
            let problem = format!("a /{len} has no room for containers; the longest is /{longest}");
            return Err(NetworkError::new(field, problem));
        }
        if len < pool.length() {
            let problem = format!("pool {pool} is smaller than one subnet of length /{len}");
            return Err(NetworkError::new(field, problem));
        }
        if !usable(pool) {
            let problem = format!("{pool} holds addresses that no container can have");
            return Err(NetworkError::new("pools", problem));
        }
    }
    Ok(())
}

/// Not "this host", loopback, link-local, multicast or IPv4 in disguise.
fn usable(pool: Subnet) -> bool {
    const RESERVED: [&str; 9] = [
        "0.0.0.0/8",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "224.0.0.0/3",
        "::/128",
        "::1/128",
        "::ffff:0:0/96",
        "fe80::/10",
        "ff00::/8",
    ];
    !RESERVED
        .iter()
        .filter_map(|text| text.parse::<Subnet>().ok())
        .any(|reserved| reserved.overlaps(pool))
}

#[cfg(test)]
mod tests;
