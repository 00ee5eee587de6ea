//! Which machine of a lab has which address.

use std::net::{Ipv4Addr, Ipv6Addr};

use anyhow::{Result, ensure};

/// So many hosts fit in 192.0.2.0/24 beside everything else.
const SMALL: u32 = 200;
/// A bridge has no more than 1023 ports.
const MOST: u32 = 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    hosts: u32,
}

impl Plan {
    pub fn new(hosts: u32) -> Result<Self> {
        ensure!(hosts <= MOST, "a lab has at most {MOST} hosts");
        Ok(Self { hosts })
    }

    /// Hosts are numbered from 1; others are beyond all of them.
    pub fn v4(self, number: u32) -> Ipv4Addr {
        let network = match self.is_small() {
            true => Ipv4Addr::new(192, 0, 2, 0),
            false => Ipv4Addr::new(198, 18, 0, 0),
        };
        Ipv4Addr::from(u32::from(network) + number)
    }

    pub fn prefix4(self) -> u8 {
        if self.is_small() { 24 } else { 15 }
    }

    /// Ends in the digits of the number, so that a person knows it again.
    pub fn v6(self, number: u32) -> Ipv6Addr {
        let digits = u16::from_str_radix(&number.to_string(), 16);
        let last = digits.expect("numbers have at most four digits");
        Ipv6Addr::new(0x2001, 0xdb8, 0x50, 0, 0, 0, 0, last)
    }

    pub fn prefix6(self) -> u8 {
        64
    }

    pub fn etcd(self) -> u32 {
        self.beyond() + 40
    }

    pub fn controller(self, index: u32) -> u32 {
        self.beyond() + 50 + index
    }

    /// Belongs to a host, a controller or etcd.
    pub fn taken(self, number: u32) -> bool {
        number == 0 || number <= self.hosts || number >= self.etcd()
    }

    fn beyond(self) -> u32 {
        if self.is_small() { SMALL } else { 9200 }
    }

    fn is_small(self) -> bool {
        self.hosts <= SMALL
    }
}
