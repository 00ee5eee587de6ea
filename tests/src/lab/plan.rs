//! Which machine of a lab has which address.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    ops::Range,
};

use anyhow::{Result, ensure};

/// So many hosts fit in 192.0.2.0/24 beside everything else.
const SMALL: u32 = 200;
/// A bridge has no more than 1023 ports.
const MOST: u32 = 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    hosts: u32,
    ground: Ground,
}

/// What lies between the machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ground {
    /// One link has all of them.
    Switched,
    /// Odd numbers are on one link and even ones on another, with a router between.
    Routed,
}

impl Plan {
    pub fn new(hosts: u32, ground: Ground) -> Result<Self> {
        let most = match ground {
            Ground::Switched => MOST,
            Ground::Routed => SMALL,
        };
        ensure!(hosts <= most, "a lab has at most {most} hosts");
        Ok(Self { hosts, ground })
    }

    pub fn links(self) -> Range<u32> {
        match self.ground {
            Ground::Switched => 0..1,
            Ground::Routed => 0..2,
        }
    }

    /// On which link a machine is.
    pub fn link(self, number: u32) -> u32 {
        number % self.links().end
    }

    /// Hosts are numbered from 1; others are beyond all of them.
    pub fn v4(self, number: u32) -> Ipv4Addr {
        let network = match (self.is_small(), self.link(number)) {
            (true, 0) => Ipv4Addr::new(192, 0, 2, 0),
            (true, _) => Ipv4Addr::new(198, 51, 100, 0),
            (false, _) => Ipv4Addr::new(198, 18, 0, 0),
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
        let link = if self.link(number) == 0 { 0x50 } else { 0x51 };
        Ipv6Addr::new(0x2001, 0xdb8, link, 0, 0, 0, 0, last)
    }

    pub fn prefix6(self) -> u8 {
        64
    }

    /// Of a link, for a person.
    pub fn subnets(self, link: u32) -> Vec<String> {
        let first = link * u32::from(self.ground == Ground::Routed);
        let host = |prefix: u8| 32 - u32::from(prefix);
        let v4 = u32::from(self.v4(first)) >> host(self.prefix4()) << host(self.prefix4());
        let v6 = u128::from(self.v6(first)) >> 64 << 64;
        vec![
            format!("{}/{}", Ipv4Addr::from(v4), self.prefix4()),
            format!("{}/{}", Ipv6Addr::from(v6), self.prefix6()),
        ]
    }

    /// The router, as the machines of a link know it; there are links without one.
    pub fn router(self, link: u32) -> Option<u32> {
        match self.ground {
            Ground::Switched => None,
            Ground::Routed => Some(self.beyond() + 20 + link),
        }
    }

    pub fn etcd(self) -> u32 {
        self.beyond() + 40
    }

    pub fn controller(self, index: u32) -> u32 {
        self.beyond() + 50 + index
    }

    /// Belongs to a host, a router, a controller or etcd.
    pub fn taken(self, number: u32) -> bool {
        number <= self.hosts || number >= self.beyond() + 20
    }

    fn beyond(self) -> u32 {
        if self.is_small() { SMALL } else { 9200 }
    }

    fn is_small(self) -> bool {
        self.hosts <= SMALL
    }
}
