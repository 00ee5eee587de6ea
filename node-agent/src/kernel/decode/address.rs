//! Addresses of devices.

use overlay::datapath::observed::Address;

use super::{
    AF_INET,
    attribute::{Attributes, address, family, u32_at},
};

/// Above the kernel's `struct ifaddrmsg` are attributes.
const HEADER: usize = 8;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_FLAGS: u16 = 8;
const IFA_F_SECONDARY: u32 = 0x01;
/// Failed its duplicate detection, deprecated, tentative.
const UNFIT: u32 = 0x08 | 0x20 | 0x40;
const RT_SCOPE_UNIVERSE: u8 = 0;

/// An address, and whether it is one to be known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    pub address: Address,
    pub fitness: Fitness,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fitness {
    No,
    /// It goes when another one of its device does.
    Second,
    Yes,
}

pub fn read(body: &[u8]) -> Option<Held> {
    let &[number, length, flags, scope, ..] = body else {
        return None;
    };
    family(number)?;
    let mut flags = u32::from(flags);
    let (mut own, mut other) = (None, None);
    for attribute in Attributes::behind(body, HEADER) {
        match attribute.kind {
            IFA_LOCAL => own = address(attribute.value),
            // On a point-to-point device the other end's.
            IFA_ADDRESS => other = address(attribute.value),
            IFA_FLAGS => flags = u32_at(attribute.value, 0)?,
            _ => {}
        }
    }
    let fitness = if scope != RT_SCOPE_UNIVERSE || flags & UNFIT != 0 {
        Fitness::No
    } else if flags & IFA_F_SECONDARY == 0 {
        Fitness::Yes
    } else if number == AF_INET {
        Fitness::Second
    } else {
        // In IPv6 the same flag says that it is temporary.
        Fitness::No
    };
    Some(Held {
        address: Address {
            index: u32_at(body, 4)?,
            address: own.or(other)?,
            length,
        },
        fitness,
    })
}
