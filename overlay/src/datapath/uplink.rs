//! Where a network's packets leave this host, and how large they may be.

use std::net::IpAddr;

use thiserror::Error;

use crate::subnet::{Family, Subnet};

/// Under this IPv6 does not work at all.
pub const LEAST_MTU_V6: u32 = 1280;
/// What the kernel grants every IPv4 device.
const LEAST_MTU_V4: u32 = 68;

/// The device and address by which this host is reached on the underlay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uplink {
    pub index: u32,
    pub name: String,
    pub mtu: u32,
    pub address: IpAddr,
    /// What can be reached from the device without a router.
    pub on_link: Vec<Subnet>,
    /// False where the checksums that its hardware makes inside VXLAN are not to be
    /// trusted.
    pub offload: bool,
}

impl Uplink {
    /// Is this address on the same link?
    pub fn reaches(&self, address: IpAddr) -> bool {
        self.on_link.iter().any(|subnet| subnet.holds(address))
    }

    /// How large a packet of the overlay may be.
    pub fn overlay_mtu(&self) -> Result<u32, TooSmall> {
        let underlay = Family::of(self.address);
        let mtu = self.mtu.saturating_sub(overhead(underlay));
        if mtu < LEAST_MTU_V4 {
            return Err(TooSmall {
                uplink: self.name.clone(),
                mtu: self.mtu,
            });
        }
        Ok(mtu)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the MTU of {uplink} is {mtu}: nothing fits into a VXLAN packet")]
pub struct TooSmall {
    uplink: String,
    mtu: u32,
}

/// What VXLAN adds to a packet: outer IP, UDP 8, VXLAN 8, inner Ethernet 14.
pub fn overhead(underlay: Family) -> u32 {
    match underlay {
        Family::V4 => 20 + 8 + 8 + 14,
        Family::V6 => 40 + 8 + 8 + 14,
    }
}

#[cfg(test)]
mod tests;
