//! What is in a set or a map: keys, and in a map the data they lead to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use overlay::{datapath::firewall::TABLE, subnet::Family};

use super::{
    abi::{LIST_ELEMENT, data, element, expression, message, netlink},
    answer::{attribute, attributes, text},
    link::{Link, Trouble},
    message::{Attributes, Batch},
};

/// The length of a list of elements has 16 bits; the longest element takes 76 bytes.
const AT_ONCE: usize = 800;

#[derive(Debug)]
pub struct Element {
    pub key: Vec<u8>,
    /// None in a set.
    pub data: Vec<u8>,
}

/// What was looked up, and found to be an element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    pub packets: u64,
    pub bytes: u64,
}

/// All of a set or map; one that is not there has none.
pub fn read(link: &mut Link, set: &str) -> Result<Vec<Element>, Trouble> {
    each(link, set, Element::read)
}

/// What a set of addresses that counts has counted for each.
pub fn counted(link: &mut Link, set: &str) -> Result<Vec<(IpAddr, Counted)>, Trouble> {
    each(link, set, |element| {
        let key = attribute(attribute(element, element::KEY)?, data::VALUE)?;
        let counted = Counted::read(attribute(element, element::EXPRESSION)?)?;
        Some((address(key)?, counted))
    })
}

fn each<T>(
    link: &mut Link,
    set: &str,
    read: impl Fn(&[u8]) -> Option<T>,
) -> Result<Vec<T>, Trouble> {
    let mut which = Attributes::default();
    which.text(element::TABLE, TABLE).text(element::SET, set);
    let lists = match link.list(message::GET_ELEMENT, &which) {
        Ok(lists) => lists,
        Err(trouble) if trouble.is_absence() => return Ok(Vec::new()),
        Err(trouble) => return Err(trouble),
    };
    let lists = lists.iter();
    let lists = lists.filter_map(|list| attribute(list, element::LIST));
    let all = lists.flat_map(attributes);
    Ok(all.filter_map(|(_, one)| read(one)).collect())
}

/// What is there already stays; the transaction fails if it leads elsewhere.
pub fn add(batch: &mut Batch, set: &str, elements: &[Element]) {
    change(batch, message::NEW_ELEMENT, netlink::CREATE, set, elements);
}

/// The transaction fails if one of them is not there.
pub fn remove(batch: &mut Batch, set: &str, elements: &[Element]) {
    change(batch, message::DEL_ELEMENT, 0, set, elements);
}

/// By which nft knows how to print an address.
pub fn address_type(family: Family) -> u32 {
    match family {
        Family::V4 => 7,
        Family::V6 => 8,
    }
}

/// The bytes of its addresses.
pub fn width(family: Family) -> u8 {
    family.bits() / 8
}

pub fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().into(),
        IpAddr::V6(address) => address.octets().into(),
    }
}

pub fn address(octets: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(octets) {
        return Some(Ipv4Addr::from(octets).into());
    }
    let octets = <[u8; 16]>::try_from(octets).ok()?;
    Some(Ipv6Addr::from(octets).into())
}

impl Element {
    fn read(element: &[u8]) -> Option<Self> {
        let bytes = |kind| attribute(attribute(element, kind)?, data::VALUE);
        Some(Self {
            key: bytes(element::KEY)?.into(),
            data: bytes(element::DATA).unwrap_or_default().into(),
        })
    }

    fn write(&self, list: &mut Attributes) {
        list.nest(LIST_ELEMENT, |one| {
            for (kind, bytes) in [(element::KEY, &self.key), (element::DATA, &self.data)] {
                if !bytes.is_empty() {
                    one.nest(kind, |value| {
                        value.bytes(data::VALUE, bytes);
                    });
                }
            }
        });
    }
}

impl Counted {
    fn read(told: &[u8]) -> Option<Self> {
        if text(attribute(told, expression::NAME)?) != "counter" {
            return None;
        }
        let data = attribute(told, expression::DATA)?;
        let number = |kind| Some(u64::from_be_bytes(attribute(data, kind)?.try_into().ok()?));
        Some(Self {
            packets: number(expression::counter::PACKETS)?,
            bytes: number(expression::counter::BYTES)?,
        })
    }
}

fn change(batch: &mut Batch, sort: u8, flags: u16, set: &str, elements: &[Element]) {
    for some in elements.chunks(AT_ONCE) {
        let mut list = Attributes::default();
        list.text(element::TABLE, TABLE)
            .text(element::SET, set)
            .nest(element::LIST, |list| {
                some.iter().for_each(|element| element.write(list));
            });
        batch.add(sort, flags, &list);
    }
}
