//! Which network's addresses a pool of Docker's holds. Its id says all there is to be
//! known of it: Docker may ask for addresses of one that an earlier agent gave.

use std::{fmt, net::IpAddr, str::FromStr};

use overlay::{
    name::NetworkName,
    subnet::{Family, Subnet},
};
use socket::words::Ground;
use thiserror::Error;

use super::words::RequestPool;

pub const ADDRESS_SPACE: &str = "weft";
/// The option, of `-o` and of `--ipam-opt`, that names a network.
pub const NETWORK: &str = "weft.network";
/// What Docker takes for no pool at all, and so compares with none of the host's routes:
/// those of the overlay are among them.
const UNTOLD: &str = "0.0.0.0/0";
const DEFAULT: &str = "default";

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PoolError {
    #[error("{name} is no option of Weft's; it has {NETWORK} alone")]
    Option { name: String },
    #[error("{0}")]
    Name(#[from] overlay::name::NameError),
    #[error("{0}")]
    Subnet(#[from] overlay::subnet::SubnetError),
    #[error("this host is not in network {network}; it is in {known}")]
    NotJoined { network: NetworkName, known: String },
    #[error("{0} is in no network of this host; give a --subnet of one, or none")]
    Nobodys(Subnet),
    #[error("{asked} is not in network {network}, whose addresses are {pools}")]
    Outside {
        asked: Subnet,
        network: NetworkName,
        pools: String,
    },
    #[error("{asked} has no address of this host, whose subnet in network {network} is {own}")]
    Elsewhere {
        asked: Subnet,
        network: NetworkName,
        own: Subnet,
    },
    #[error("network {network} has no {family} subnet on this host")]
    NoFamily {
        network: NetworkName,
        family: Family,
    },
    #[error(
        "Docker finds that {pool} of network {network} overlaps something of this host; say --subnet {pool}, which it then does not compare"
    )]
    Overlaps { pool: Subnet, network: NetworkName },
    #[error("{0:?} is no pool of Weft's")]
    Unknown(String),
    #[error("{0:?} is no address")]
    Address(String),
    #[error("the gateway of {own} is {gateway}; leave --gateway out")]
    Gateway { own: Subnet, gateway: IpAddr },
}

impl PoolError {
    /// A host that is about to join its networks has not got them yet.
    pub fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::NotJoined { .. } | Self::Nobodys(_) | Self::NoFamily { .. }
        )
    }
}

/// The addresses of a network, or some of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pool {
    pub network: NetworkName,
    pub family: Family,
    /// Those that are given out unasked.
    pub range: Option<Subnet>,
}

/// A pool, and what Docker is told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    pub pool: Pool,
    pub told: String,
    /// Docker compares it with the host's routes: it may ask for another.
    pub compared: Option<Subnet>,
    pub gateway: String,
}

/// The pool that is asked for: of the network that is named, or has these addresses.
pub fn choose(ask: &RequestPool, grounds: &[Ground]) -> Result<Chosen, PoolError> {
    let family = if ask.v6 { Family::V6 } else { Family::V4 };
    let asked = match ask.pool.as_str() {
        "" | UNTOLD => None,
        pool => Some(pool.parse::<Subnet>()?),
    };
    let named = named(ask.options.iter().map(|(n, v)| (n.as_str(), v.as_str())))?;
    let ground = match (named, asked) {
        (Some(network), _) => find(&network, grounds)?,
        (None, Some(asked)) => holder(asked, grounds).ok_or(PoolError::Nobodys(asked))?,
        (None, None) => find(&DEFAULT.parse()?, grounds)?,
    };
    let network = ground.network.clone();
    let own = own(ground, family)?;
    if let Some(asked) = asked {
        inside(asked, ground)?;
        reaches(asked, ground, own)?;
    }
    let range = match ask.sub_pool.as_str() {
        "" => None,
        range => Some(range.parse::<Subnet>()?),
    };
    if let Some(range) = range {
        reaches(range, ground, own)?;
    }
    let whole = ground.pools.iter().find(|pool| pool.family() == family);
    let compared = match (asked, family) {
        (None, Family::V6) => whole.copied(),
        (None, Family::V4) | (Some(_), _) => None,
    };
    let told = match (asked, compared) {
        (Some(pool), _) | (None, Some(pool)) => pool.to_string(),
        (None, None) => UNTOLD.to_owned(),
    };
    Ok(Chosen {
        pool: Pool {
            network,
            family,
            range,
        },
        told,
        compared,
        gateway: format!("{}/{}", gateway(own), own.length()),
    })
}

/// The network that options name.
pub fn named<'a>(
    options: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<Option<NetworkName>, PoolError> {
    let mut network = None;
    for (name, value) in options {
        if name == NETWORK {
            network = Some(value.parse()?);
        } else if name.starts_with("weft.") {
            let name = name.to_owned();
            return Err(PoolError::Option { name });
        }
    }
    Ok(network)
}

pub fn find<'a>(network: &NetworkName, grounds: &'a [Ground]) -> Result<&'a Ground, PoolError> {
    let found = grounds.iter().find(|ground| ground.network == *network);
    found.ok_or_else(|| {
        let known: Vec<&str> = grounds.iter().map(|g| g.network.as_str()).collect();
        let known = match known.as_slice() {
            [] => "none".to_owned(),
            known => known.join(", "),
        };
        let network = network.clone();
        PoolError::NotJoined { network, known }
    })
}

/// The network that has these addresses.
pub fn holder(asked: Subnet, grounds: &[Ground]) -> Option<&Ground> {
    let has = |ground: &&Ground| ground.pools.iter().any(|pool| pool.contains(asked));
    grounds.iter().find(has)
}

/// This host's subnet.
pub fn own(ground: &Ground, family: Family) -> Result<Subnet, PoolError> {
    let own = ground.subnets.iter().find(|own| own.family() == family);
    own.copied().ok_or_else(|| PoolError::NoFamily {
        network: ground.network.clone(),
        family,
    })
}

/// The address after the first, which is no container's.
pub fn gateway(own: Subnet) -> IpAddr {
    match own.address() {
        IpAddr::V4(v4) => IpAddr::V4((v4.to_bits() | 1).into()),
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() | 1).into()),
    }
}

/// The addresses of `range` that are this host's to give, beginning somewhere among
/// them: containers do not all try the same first.
pub fn candidates(
    range: Subnet,
    own: Subnet,
    somewhere: u64,
) -> impl Iterator<Item = IpAddr> + use<> {
    const MOST: u128 = 1 << 16;
    let both = if own.contains(range) { range } else { own };
    let bits = both.family().bits();
    let numbers = both
        .numbers(bits)
        .expect("a subnet is no longer than an address");
    let (first, last) = (*numbers.start(), *numbers.end());
    let count = (last - first).min(MOST - 1) + 1;
    let start = u128::from(somewhere) % count;
    (0..count).filter_map(move |n| {
        let number = first + (start + n) % count;
        Subnet::numbered(both.family(), bits, number).map(Subnet::address)
    })
}

fn inside(asked: Subnet, ground: &Ground) -> Result<(), PoolError> {
    if ground.pools.iter().any(|pool| pool.contains(asked)) {
        return Ok(());
    }
    let pools: Vec<String> = ground.pools.iter().map(Subnet::to_string).collect();
    Err(PoolError::Outside {
        asked,
        network: ground.network.clone(),
        pools: pools.join(", "),
    })
}

fn reaches(asked: Subnet, ground: &Ground, own: Subnet) -> Result<(), PoolError> {
    if asked.overlaps(own) {
        return Ok(());
    }
    let network = ground.network.clone();
    Err(PoolError::Elsewhere {
        asked,
        network,
        own,
    })
}

impl fmt::Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.family)?;
        match self.range {
            Some(range) => write!(f, "/{range}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Pool {
    type Err = PoolError;

    fn from_str(text: &str) -> Result<Self, PoolError> {
        let unknown = || PoolError::Unknown(text.into());
        let mut parts = text.splitn(3, '/');
        let network = parts.next().ok_or_else(unknown)?;
        let network = network.parse().map_err(|_| unknown())?;
        let family = parts.next().ok_or_else(unknown)?;
        let mut families = Family::BOTH.into_iter();
        let family = families.find(|known| known.as_str() == family);
        let family = family.ok_or_else(unknown)?;
        let range = parts.next().map(str::parse).transpose();
        let range: Option<Subnet> = range.map_err(|_| unknown())?;
        if range.is_some_and(|range| range.family() != family) {
            return Err(unknown());
        }
        Ok(Self {
            network,
            family,
            range,
        })
    }
}

#[cfg(test)]
mod tests;
