//! An address in a network: two networks may have the same.

use std::{net::IpAddr, ops::RangeInclusive};

use crate::{name::NetworkName, subnet::Family};

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub network: NetworkName,
    pub address: IpAddr,
}

impl Place {
    /// All addresses of one family, in one network.
    pub fn all_of(network: &NetworkName, family: Family) -> RangeInclusive<Self> {
        let place = |address| Self {
            network: network.clone(),
            address,
        };
        let (first, last): (IpAddr, IpAddr) = match family {
            Family::V4 => ([0; 4].into(), [u8::MAX; 4].into()),
            Family::V6 => ([0u16; 8].into(), [u16::MAX; 8].into()),
        };
        place(first)..=place(last)
    }
}
