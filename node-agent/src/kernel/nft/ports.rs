//! Published ports: a map for each family, with and without an address of the host.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

use overlay::{
    datapath::firewall::{Published, TABLE, published::Place},
    endpoint::Protocol,
    subnet::Family,
};

use super::{
    abi::{LIST_ELEMENT, data, element, message, netlink, set},
    answer::{attribute, attributes},
    link::{Link, Trouble},
    message::{Attributes, Batch},
};

/// The length of a list of elements has 16 bits; the longest element takes 76 bytes.
const AT_ONCE: usize = 800;

/// The types by which nft knows how to print keys and data. What is put together of
/// several has 6 bits for each.
const IPV4_ADDRESS: u32 = 7;
const IPV6_ADDRESS: u32 = 8;
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
        usize::from(self.family.bits() / 8)
    }

    fn key_width(self) -> usize {
        let address = if self.of_one_address { self.width() } else { 0 };
        address + 2 * PADDED
    }

    fn data_width(self) -> usize {
        self.width() + PADDED
    }

    fn address_type(self) -> u32 {
        match self.family {
            Family::V4 => IPV4_ADDRESS,
            Family::V6 => IPV6_ADDRESS,
        }
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

    /// None: nothing that we put there.
    fn element(self, element: &[u8]) -> Option<Published> {
        let bytes = |kind| attribute(attribute(element, kind)?, data::VALUE);
        let (key, data) = (bytes(element::KEY)?, bytes(element::DATA)?);
        let at = if self.of_one_address { self.width() } else { 0 };
        let (address, key) = key.split_at_checked(at)?;
        let (to, to_port) = data.split_at_checked(self.width())?;
        Some(Published {
            protocol: Protocol::numbered(*key.first()?)?,
            at: if at == 0 { None } else { Some(ip(address)?) },
            host_port: port(key.get(PADDED..)?)?,
            to: ip(to)?,
            to_port: port(to_port)?,
        })
    }
}

pub fn declare(batch: &mut Batch, table: &str) {
    for (id, map) in (FIRST_ID..).zip(MAPS) {
        let key = [map.address_type(), PROTOCOL, PORT];
        let key = if map.of_one_address { &key } else { &key[1..] };
        let mut declaration = Attributes::default();
        declaration
            .text(set::TABLE, table)
            .text(set::NAME, map.name)
            .number(set::FLAGS, set::MAP)
            .number(set::KEY_TYPE, together(key))
            .number(set::KEY_LENGTH, length(map.key_width()))
            .number(set::DATA_TYPE, together(&[map.address_type(), PORT]))
            .number(set::DATA_LENGTH, length(map.data_width()))
            .number(set::ID, id);
        batch.add(message::NEW_SET, netlink::CREATE, &declaration);
    }
}

/// The transaction fails if another target is in the place of one of them.
pub fn publish(batch: &mut Batch, ports: &BTreeSet<Published>) {
    change(batch, message::NEW_ELEMENT, netlink::CREATE, ports);
}

/// The transaction fails if one of them is not there.
pub fn unpublish(batch: &mut Batch, ports: &BTreeSet<Published>) {
    change(batch, message::DEL_ELEMENT, 0, ports);
}

/// The elements of all maps; a map that is not there has none.
pub fn read(link: &mut Link) -> Result<BTreeSet<Published>, Trouble> {
    let mut ports = BTreeSet::new();
    for map in MAPS {
        let mut which = Attributes::default();
        which
            .text(element::TABLE, TABLE)
            .text(element::SET, map.name);
        let lists = match link.list(message::GET_ELEMENT, &which) {
            Ok(lists) => lists,
            Err(trouble) if trouble.is_absence() => continue,
            Err(trouble) => return Err(trouble),
        };
        for list in &lists {
            let list = attribute(list, element::LIST).unwrap_or_default();
            ports.extend(attributes(list).filter_map(|(_, element)| map.element(element)));
        }
    }
    Ok(ports)
}

fn change(batch: &mut Batch, sort: u8, flags: u16, ports: &BTreeSet<Published>) {
    for map in MAPS {
        let of_map = ports.iter().filter(|port| port.place().map() == map.name);
        let of_map: Vec<&Published> = of_map.collect();
        for some in of_map.chunks(AT_ONCE) {
            let mut elements = Attributes::default();
            elements
                .text(element::TABLE, TABLE)
                .text(element::SET, map.name)
                .nest(element::LIST, |list| {
                    for port in some {
                        write(list, map, port);
                    }
                });
            batch.add(sort, flags, &elements);
        }
    }
}

fn write(list: &mut Attributes, map: Map, port: &Published) {
    list.nest(LIST_ELEMENT, |one| {
        one.nest(element::KEY, |key| {
            key.bytes(data::VALUE, &map.key(port.place()));
        });
        one.nest(element::DATA, |value| {
            value.bytes(data::VALUE, &map.data(port));
        });
    });
}

fn together(types: &[u32]) -> u32 {
    types
        .iter()
        .fold(0, |together, one| together << TYPE_BITS | one)
}

fn length(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("a key has 24 bytes at most")
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().into(),
        IpAddr::V6(address) => address.octets().into(),
    }
}

fn ip(octets: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(octets) {
        return Some(Ipv4Addr::from(octets).into());
    }
    let octets = <[u8; 16]>::try_from(octets).ok()?;
    Some(Ipv6Addr::from(octets).into())
}

fn padded(port: u16) -> [u8; PADDED] {
    let [high, low] = port.to_be_bytes();
    [high, low, 0, 0]
}

fn port(bytes: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(..2)?.try_into().ok()?))
}
