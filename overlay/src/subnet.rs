//! Subnets and pools: what is leased, and what it is leased from.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::RangeInclusive,
    str::FromStr,
};

use ipnetwork::IpNetwork;
use serde::{Deserialize, Serialize};
use thiserror::Error;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Family {
    #[serde(rename = "v4")]
    V4,
    #[serde(rename = "v6")]
    V6,
}

impl Family {
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];

    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() {
            Self::V4
        } else {
            Self::V6
        }
    }

    pub fn bits(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::V4 => "v4",
            Self::V6 => "v6",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SubnetError {
    #[error("{0:?} is not a subnet; write one as 10.32.1.0/24 or fd00:1::/64")]
    Syntax(String),
    #[error("{0} has host bits set; its network address is {1}")]
    HostBits(String, String),
}

/// An address block without host bits: a leased subnet, or a pool of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Subnet(IpNetwork);

impl Subnet {
    /// The block of length `len` whose number among all blocks of that length is `number`.
    pub fn numbered(family: Family, len: u8, number: u128) -> Option<Self> {
        let shift = u32::from(family.bits().checked_sub(len)?);
        let bits = number.unbounded_shl(shift);
        if bits.unbounded_shr(shift) != number {
            return None;
        }
        let address = match family {
            Family::V4 => IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(bits).ok()?)),
            Family::V6 => IpAddr::V6(Ipv6Addr::from_bits(bits)),
        };
        IpNetwork::new(address, len).ok().map(Self)
    }

    /// The block of this length that an address is in.
    pub fn around(address: IpAddr, len: u8) -> Option<Self> {
        let inside = IpNetwork::new(address, len).ok()?;
        IpNetwork::new(inside.network(), len).ok().map(Self)
    }

    /// Its number among all blocks of its length.
    pub fn number(self) -> u128 {
        let shift = u32::from(self.family().bits() - self.length());
        self.bits().checked_shr(shift).unwrap_or(0)
    }

    /// The numbers of the blocks of length `len` inside this one; none if `len` is
    /// shorter, or longer than an address.
    pub fn numbers(self, len: u8) -> Option<RangeInclusive<u128>> {
        let more = u32::from(len.checked_sub(self.length())?);
        let shift = u32::from(self.family().bits().checked_sub(len)?);
        let first = self.bits().unbounded_shr(shift);
        let count_less_one = 1u128.checked_shl(more).map_or(u128::MAX, |count| count - 1);
        Some(first..=first + count_less_one)
    }

    pub fn family(self) -> Family {
        Family::of(self.0.ip())
    }

    pub fn address(self) -> IpAddr {
        self.0.ip()
    }

    pub fn length(self) -> u8 {
        self.0.prefix()
    }

    pub fn contains(self, inner: Self) -> bool {
        self.family() == inner.family()
            && self.length() <= inner.length()
            && self.0.contains(inner.0.ip())
    }

    /// Is this address inside it?
    pub fn holds(self, address: IpAddr) -> bool {
        Family::of(address) == self.family() && self.0.contains(address)
    }

    pub fn overlaps(self, other: Self) -> bool {
        self.contains(other) || other.contains(self)
    }

    /// The form in which a subnet is part of a store key: `10.32.1.0-24`.
    pub fn key_form(self) -> String {
        format!("{}-{}", self.address(), self.length())
    }

    pub fn from_key_form(text: &str) -> Option<Self> {
        let (address, len) = text.rsplit_once('-')?;
        let subnet = Self::new(address.parse().ok()?, len.parse().ok()?).ok()?;
        (subnet.key_form() == text).then_some(subnet)
    }

    fn new(address: IpAddr, len: u8) -> Result<Self, SubnetError> {
        let text = format!("{address}/{len}");
        let network =
            IpNetwork::new(address, len).map_err(|_| SubnetError::Syntax(text.clone()))?;
        if network.network() == network.ip() {
            Ok(Self(network))
        } else {
            let right = format!("{}/{len}", network.network());
            Err(SubnetError::HostBits(text, right))
        }
    }

    fn bits(self) -> u128 {
        match self.0.ip() {
            IpAddr::V4(ip) => ip.to_bits().into(),
            IpAddr::V6(ip) => ip.to_bits(),
        }
    }
}

impl FromStr for Subnet {
    type Err = SubnetError;

    fn from_str(text: &str) -> Result<Self, SubnetError> {
        let syntax = || SubnetError::Syntax(text.into());
        let (address, len) = text.split_once('/').ok_or_else(syntax)?;
        let address = address.parse().map_err(|_| syntax())?;
        // `parse` would take a sign.
        if !len.bytes().all(|c| c.is_ascii_digit()) {
            return Err(syntax());
        }
        Self::new(address, len.parse().map_err(|_| syntax())?)
    }
}

impl TryFrom<String> for Subnet {
    type Error = SubnetError;

    fn try_from(text: String) -> Result<Self, SubnetError> {
        text.parse()
    }
}

impl From<Subnet> for String {
    fn from(subnet: Subnet) -> Self {
        subnet.to_string()
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.address(), self.length()))
    }
}

impl fmt::Debug for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests;
