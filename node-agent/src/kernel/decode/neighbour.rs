//! Neighbours, and the forwarding entries of VXLAN devices, which are of one kind for
//! the kernel.

use overlay::datapath::observed::{Fdb, Neighbour};

use super::{
    AF_BRIDGE,
    attribute::{Attributes, address, family, mac, u16_at, u32_at},
};

/// Above the kernel's `struct ndmsg` are attributes.
const HEADER: usize = 12;
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
const NDA_PORT: u16 = 6;
const NDA_VNI: u16 = 7;
const NDA_IFINDEX: u16 = 8;
const NDA_MASTER: u16 = 9;
const NDA_SRC_VNI: u16 = 11;
const NDA_NH_ID: u16 = 13;
const NUD_PERMANENT: u16 = 0x80;
const NTF_SELF: u8 = 0x02;
const NTF_PROXY: u8 = 0x08;

pub fn neighbour(body: &[u8]) -> Option<Neighbour> {
    family(*body.first()?)?;
    if body.get(10)? & NTF_PROXY != 0 {
        return None;
    }
    let (mut at, mut has) = (None, None);
    for attribute in Attributes::behind(body, HEADER) {
        match attribute.kind {
            NDA_DST => at = address(attribute.value),
            NDA_LLADDR => has = mac(attribute.value),
            _ => {}
        }
    }
    Some(Neighbour {
        index: u32_at(body, 4)?,
        address: at?,
        mac: has,
        permanent: u16_at(body, 8)? & NUD_PERMANENT != 0,
    })
}

pub fn fdb(body: &[u8]) -> Option<Fdb> {
    if *body.first()? != AF_BRIDGE {
        return None;
    }
    let (mut has, mut to) = (None, None);
    // Beside it `bridge` sets NUD_NOARP, which changes nothing. Any other flag was not
    // set by us.
    let is_permanent = u16_at(body, 8)? & NUD_PERMANENT != 0;
    let mut plain = is_permanent && *body.get(10)? == NTF_SELF;
    for attribute in Attributes::behind(body, HEADER) {
        match attribute.kind {
            NDA_LLADDR => has = mac(attribute.value),
            NDA_DST => to = address(attribute.value),
            NDA_PORT | NDA_VNI | NDA_IFINDEX | NDA_SRC_VNI | NDA_NH_ID => plain = false,
            // It belongs to the bridge that the device was put into, and not to the
            // device.
            NDA_MASTER => return None,
            _ => {}
        }
    }
    Some(Fdb {
        index: u32_at(body, 4)?,
        mac: has?,
        to,
        plain,
    })
}
