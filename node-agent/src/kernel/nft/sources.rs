//! The peers' addresses: one hash set for each family. Each counts what is looked up in it:
//! of a packet that a peer sent, once, where it is let in. What a container sends to a peer's
//! tunnel is dropped, and counted there as well.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use overlay::subnet::Family;

use super::{
    abi::{expression, message, netlink, set},
    elements::{self, Counted, Element, address, address_type, octets, width},
    link::{Link, Trouble},
    message::{Attributes, Batch},
};

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
            .number(set::KEY_TYPE, address_type(family))
            .number(set::KEY_LENGTH, width(family).into())
            .number(set::ID, id)
            .bytes(set::USERDATA, &key_order())
            .nest(set::EXPRESSION, |every_element| {
                every_element.text(expression::NAME, "counter");
            });
        batch.add(message::NEW_SET, netlink::CREATE, &declaration);
    }
}

/// Those that are there already stay.
pub fn admit(batch: &mut Batch, sources: impl Iterator<Item = IpAddr>) {
    for (set, all) in by_set(sources) {
        elements::add(batch, set, &all);
    }
}

/// The transaction fails if one of them is not there.
pub fn bar(batch: &mut Batch, sources: impl Iterator<Item = IpAddr>) {
    for (set, all) in by_set(sources) {
        elements::remove(batch, set, &all);
    }
}

/// The elements of both sets; a set that is not there has none.
pub fn read(link: &mut Link) -> Result<BTreeSet<IpAddr>, Trouble> {
    let mut sources = BTreeSet::new();
    for family in Family::BOTH {
        let all = elements::read(link, set_of(family))?;
        sources.extend(all.iter().filter_map(|element| address(&element.key)));
    }
    Ok(sources)
}

/// What was counted for each since it was put there.
pub fn counted(link: &mut Link) -> Result<BTreeMap<IpAddr, Counted>, Trouble> {
    let mut counted = BTreeMap::new();
    for family in Family::BOTH {
        counted.extend(elements::counted(link, set_of(family))?);
    }
    Ok(counted)
}

fn by_set(sources: impl Iterator<Item = IpAddr>) -> [(&'static str, Vec<Element>); 2] {
    let (v4, v6): (Vec<IpAddr>, Vec<IpAddr>) = sources.partition(IpAddr::is_ipv4);
    let element = |address| Element {
        key: octets(address),
        data: Vec::new(),
    };
    [(Family::V4, v4), (Family::V6, v6)]
        .map(|(family, all)| (set_of(family), all.into_iter().map(element).collect()))
}
