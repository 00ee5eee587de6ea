//! The peers' addresses: one hash set for each family.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use overlay::{datapath::firewall::TABLE, subnet::Family};

use super::{
    abi::{LIST_ELEMENT, data, element, message, netlink, set},
    answer::{attribute, attributes},
    link::{Link, Trouble},
    message::{Attributes, Batch},
};

/// The length of a list of elements has 16 bits; an element of IPv6 takes 28 bytes.
const AT_ONCE: usize = 2000;

/// The types by which nft knows how to print the elements.
const IPV4_ADDRESS: u32 = 7;
const IPV6_ADDRESS: u32 = 8;

/// nft's own note on a set: type 0 (the byte order of the keys), 4 bytes, 2 (big
/// endian). Without it nft lists 1.2.3.4 as 4.3.2.1.
fn key_order() -> [u8; 6] {
    let mut note = [0, 4, 0, 0, 0, 0];
    note[2..].copy_from_slice(&2u32.to_ne_bytes());
    note
}

pub fn set_of(family: Family) -> &'static str {
    match family {
        Family::V4 => "peers4",
        Family::V6 => "peers6",
    }
}

/// Of any size and growing by themselves: a packet's cost does not depend on it.
pub fn declare(batch: &mut Batch, table: &str) {
    for (id, family) in (1..).zip(Family::BOTH) {
        let mut declaration = Attributes::default();
        declaration
            .text(set::TABLE, table)
            .text(set::NAME, set_of(family))
            .number(set::FLAGS, 0)
            .number(
                set::KEY_TYPE,
                match family {
                    Family::V4 => IPV4_ADDRESS,
                    Family::V6 => IPV6_ADDRESS,
                },
            )
            .number(set::KEY_LENGTH, u32::from(family.bits() / 8))
            .number(set::ID, id)
            .bytes(set::USERDATA, &key_order());
        batch.add(message::NEW_SET, netlink::CREATE, &declaration);
    }
}

/// Those that are there already stay.
pub fn admit(batch: &mut Batch, sources: impl Iterator<Item = IpAddr>) {
    change(batch, message::NEW_ELEMENT, netlink::CREATE, sources);
}

/// The transaction fails if one of them is not there.
pub fn bar(batch: &mut Batch, sources: impl Iterator<Item = IpAddr>) {
    change(batch, message::DEL_ELEMENT, 0, sources);
}

/// The elements of both sets; a set that is not there has none.
pub fn read(link: &mut Link) -> Result<BTreeSet<IpAddr>, Trouble> {
    let mut sources = BTreeSet::new();
    for family in Family::BOTH {
        let mut which = Attributes::default();
        which
            .text(element::TABLE, TABLE)
            .text(element::SET, set_of(family));
        let lists = match link.list(message::GET_ELEMENT, &which) {
            Ok(lists) => lists,
            Err(trouble) if trouble.is_absence() => continue,
            Err(trouble) => return Err(trouble),
        };
        for list in &lists {
            let list = attribute(list, element::LIST).unwrap_or_default();
            sources.extend(attributes(list).filter_map(|(_, element)| address(element)));
        }
    }
    Ok(sources)
}

fn change(batch: &mut Batch, sort: u8, flags: u16, sources: impl Iterator<Item = IpAddr>) {
    let (v4, v6): (Vec<IpAddr>, Vec<IpAddr>) = sources.partition(IpAddr::is_ipv4);
    for (family, all) in [(Family::V4, v4), (Family::V6, v6)] {
        for some in all.chunks(AT_ONCE) {
            let mut elements = Attributes::default();
            elements
                .text(element::TABLE, TABLE)
                .text(element::SET, set_of(family))
                .nest(element::LIST, |list| {
                    for &address in some {
                        write(list, address);
                    }
                });
            batch.add(sort, flags, &elements);
        }
    }
}

fn write(list: &mut Attributes, address: IpAddr) {
    list.nest(LIST_ELEMENT, |one| {
        one.nest(element::KEY, |key| {
            match address {
                IpAddr::V4(address) => key.bytes(data::VALUE, &address.octets()),
                IpAddr::V6(address) => key.bytes(data::VALUE, &address.octets()),
            };
        });
    });
}

fn address(element: &[u8]) -> Option<IpAddr> {
    let key = attribute(attribute(element, element::KEY)?, data::VALUE)?;
    if let Ok(octets) = <[u8; 4]>::try_from(key) {
        return Some(Ipv4Addr::from(octets).into());
    }
    let octets = <[u8; 16]>::try_from(key).ok()?;
    Some(Ipv6Addr::from(octets).into())
}
