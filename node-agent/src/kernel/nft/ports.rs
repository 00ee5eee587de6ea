//! Published ports: a map for each family, with and without an address of the host.

use std::collections::BTreeSet;

use overlay::{
    datapath::firewall::{Published, published::Place},
    endpoint::Protocol,
    subnet::Family,
};

use super::{
    abi::{message, netlink, set},
    elements::{self, Element, address, address_type, octets},
    link::{Link, Trouble},
    message::{Attributes, Batch},
};

/// The types by which nft knows how to print keys and data. What is put together of
/// several has 6 bits for each.
const PROTOCOL: u32 = 12;
const PORT: u32 = 13;
const TYPE_BITS: u32 = 6;

/// Parts of keys and data are padded to the width of a register.
const PADDED: usize = 4;

/// Numbers of the sets of peers come first.
const FIRST_ID: u32 = 3;

#[derive(Debug, Clone, Copy)]
pub struct Map {
    pub name: &'static str,
    pub family: Family,
    /// The address of the host is part of the key.
    pub of_one_address: bool,
}

/// In the order in which they are asked.
pub const MAPS: [Map; 4] = [
    map("pubat4", Family::V4, true),
    map("pub4", Family::V4, false),
    map("pubat6", Family::V6, true),
    map("pub6", Family::V6, false),
];

const fn map(name: &'static str, family: Family, of_one_address: bool) -> Map {
    Map {
        name,
        family,
        of_one_address,
    }
}

impl Map {
    fn width(self) -> usize {
        elements::width(self.family).into()
    }

    /// Of the host's address in a key.
    fn at_width(self) -> usize {
        if self.of_one_address { self.width() } else { 0 }
    }

    fn key_width(self) -> usize {
        self.at_width() + 2 * PADDED
    }

    fn data_width(self) -> usize {
        self.width() + PADDED
    }

    fn key(self, place: Place) -> Vec<u8> {
        let mut key = place.at.map(octets).unwrap_or_default();
        key.extend([place.protocol.number(), 0, 0, 0]);
        key.extend(padded(place.host_port));
        key
    }

    fn data(self, port: &Published) -> Vec<u8> {
        let mut data = octets(port.to);
        data.extend(padded(port.to_port));
        data
    }

    /// Those of the ports that belong here.
    fn elements(self, ports: &BTreeSet<Published>) -> Vec<Element> {
        let element = |port: &Published| {
            let place = port.place();
            (place.map() == self.name).then(|| Element {
                key: self.key(place),
                data: self.data(port),
            })
        };
        ports.iter().filter_map(element).collect()
    }

    /// None: nothing that we put there.
    fn port(self, element: &Element) -> Option<Published> {
        let (at, key) = element.key.split_at_checked(self.at_width())?;
        let (to, to_port) = element.data.split_at_checked(self.width())?;
        Some(Published {
            protocol: Protocol::numbered(*key.first()?)?,
            at: address(at),
            host_port: number(key.get(PADDED..)?)?,
            to: address(to)?,
            to_port: number(to_port)?,
        })
    }
}

pub fn declare(batch: &mut Batch, table: &str) {
    for (id, map) in (FIRST_ID..).zip(MAPS) {
        let key = [address_type(map.family), PROTOCOL, PORT];
        let key = if map.of_one_address { &key } else { &key[1..] };
        let mut declaration = Attributes::default();
        declaration
            .text(set::TABLE, table)
            .text(set::NAME, map.name)
            .number(set::FLAGS, set::MAP)
            .number(set::KEY_TYPE, together(key))
            .number(set::KEY_LENGTH, length(map.key_width()))
            .number(set::DATA_TYPE, together(&[address_type(map.family), PORT]))
            .number(set::DATA_LENGTH, length(map.data_width()))
            .number(set::ID, id);
        batch.add(message::NEW_SET, netlink::CREATE, &declaration);
    }
}

/// The transaction fails if another target is in the place of one of them.
pub fn publish(batch: &mut Batch, ports: &BTreeSet<Published>) {
    for map in MAPS {
        elements::add(batch, map.name, &map.elements(ports));
    }
}

/// The transaction fails if one of them is not there.
pub fn unpublish(batch: &mut Batch, ports: &BTreeSet<Published>) {
    for map in MAPS {
        elements::remove(batch, map.name, &map.elements(ports));
    }
}

/// The elements of all maps; a map that is not there has none.
pub fn read(link: &mut Link) -> Result<BTreeSet<Published>, Trouble> {
    let mut ports = BTreeSet::new();
    for map in MAPS {
        let all = elements::read(link, map.name)?;
        ports.extend(all.iter().filter_map(|element| map.port(element)));
    }
    Ok(ports)
}

fn together(types: &[u32]) -> u32 {
    types
        .iter()
        .fold(0, |together, one| together << TYPE_BITS | one)
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a key has 24 bytes at most")
}

fn padded(port: u16) -> [u8; PADDED] {
    let [high, low] = port.to_be_bytes();
    [high, low, 0, 0]
}

fn number(bytes: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(..2)?.try_into().ok()?))
}
