//! Addresses of devices.

use overlay::datapath::observed::Address;

use super::attribute::{Attributes, address, family, u32_at};

/// Above the kernel's `struct ifaddrmsg` are attributes.
const HEADER: usize = 8;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_FLAGS: u16 = 8;
/// Secondary (temporary, in IPv6), failed its duplicate detection, deprecated, tentative.
const UNFIT: u32 = 0x01 | 0x08 | 0x20 | 0x40;
const RT_SCOPE_UNIVERSE: u8 = 0;

/// An address, and whether packets may be sent from it unasked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    pub address: Address,
    pub fit: bool,
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
    Some(Held {
        address: Address {
            index: u32_at(body, 4)?,
            address: own.or(other)?,
            length,
        },
        fit: scope == RT_SCOPE_UNIVERSE && flags & UNFIT == 0,
    })
}
