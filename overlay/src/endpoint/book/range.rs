//! Which addresses of a subnet are containers'.

use std::net::IpAddr;

use super::Refused;
use crate::subnet::{Family, Subnet};

/// So many addresses of a subnet are given out by themselves; whoever asks for one by
/// name may have any.
pub const USUAL_MOST: u128 = 1 << 16;
/// The first is the host's on the overlay, the second the gateway of a bridge.
const FIRST: u128 = 2;

/// Is it a container's address in this subnet?
pub(super) fn in_subnet(address: IpAddr, subnet: Subnet) -> Result<(), Refused> {
    if !subnet.holds(address) {
        return Err(Refused::NotOurs(address, subnet));
    }
    let range = subnet
        .numbers(subnet.family().bits())
        .expect("a subnet is no longer than an address");
    let number = match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    };
    let what = if number == *range.start() {
        "the host's own address"
    } else if number == range.start() + 1 {
        "the gateway"
    } else if number == *range.end() && address.is_ipv4() {
        "the broadcast address"
    } else {
        return Ok(());
    };
    Err(Refused::Reserved(address, what, subnet))
}

/// The addresses that are given out unasked.
pub(super) fn usual(subnet: Subnet) -> impl Iterator<Item = IpAddr> {
    let family = subnet.family();
    let range = subnet
        .numbers(family.bits())
        .expect("a subnet is no longer than an address");
    let first = range.start().saturating_add(FIRST);
    let last = match family {
        // The last one is for broadcasts.
        Family::V4 => range.end().saturating_sub(1),
        Family::V6 => *range.end(),
    };
    let last = last.min(first.saturating_add(USUAL_MOST - 1));
    (first..=last).filter_map(move |number| {
        Subnet::numbered(family, family.bits(), number).map(Subnet::address)
    })
}
