//! Who makes the checksums of packets that leave through a device. Where the hardware's
//! are wrong inside VXLAN ([`trust`]), TCP stalls while ping works.

use netlink_packet_core::NetlinkSerializable;
use netlink_sys::protocols::NETLINK_GENERIC;
use rustix::io::Errno;

use super::{
    decode::attribute::{Attributes, text, u16_at},
    netlink::{NetlinkError, Request, Socket},
};

pub mod trust;

const FEATURE: &str = "tx-checksum-ip-generic";
/// Above the kernel's `struct genlmsghdr` are attributes.
const HEADER: usize = 4;
const GENL_ID_CTRL: u16 = 16;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
const ETHTOOL_MSG_FEATURES_GET: u8 = 11;
const ETHTOOL_MSG_FEATURES_SET: u8 = 12;
const ETHTOOL_A_FEATURES_HEADER: u16 = 1;
const ETHTOOL_A_FEATURES_WANTED: u16 = 3;
const ETHTOOL_A_FEATURES_ACTIVE: u16 = 4;
const ETHTOOL_A_HEADER_DEV_INDEX: u16 = 1;
const ETHTOOL_A_HEADER_FLAGS: u16 = 3;
const ETHTOOL_FLAG_OMIT_REPLY: u32 = 2;
const ETHTOOL_A_BITSET_BITS: u16 = 3;
const ETHTOOL_A_BITSET_BITS_BIT: u16 = 1;
const ETHTOOL_A_BITSET_BIT_NAME: u16 = 2;
const ETHTOOL_A_BITSET_BIT_VALUE: u16 = 3;
const NESTED: u16 = 0x8000;

/// The features of devices, over netlink.
#[derive(Debug)]
pub struct Ethtool {
    socket: Socket,
    family: u16,
}

impl Ethtool {
    /// None for a kernel before 5.6: it has other ways, which nobody here knows.
    pub fn open() -> Result<Option<Self>, NetlinkError> {
        let mut socket = Socket::open(NETLINK_GENERIC)?;
        let question = Generic {
            family: GENL_ID_CTRL,
            command: CTRL_CMD_GETFAMILY,
            attributes: attribute(CTRL_ATTR_FAMILY_NAME, b"ethtool\0"),
        };
        let mut family = None;
        let asked = socket.ask(question.into(), &mut |message| {
            let id = Attributes::behind(message.body, HEADER).value(CTRL_ATTR_FAMILY_ID);
            family = id.and_then(|id| u16_at(id, 0));
        });
        match asked {
            Err(NetlinkError::Refused(refusal)) if refusal.errno == Errno::NOENT => Ok(None),
            Err(error) => Err(error),
            Ok(()) => Ok(family.map(|family| Self { socket, family })),
        }
    }

    /// Are the checksums of this device's packets left to the hardware? None if the
    /// device cannot tell, or went.
    pub fn offload(&mut self, index: u32) -> Result<Option<bool>, NetlinkError> {
        let question = self.question(ETHTOOL_MSG_FEATURES_GET, index, 0, &[]);
        let mut offload = None;
        let asked = self.socket.ask(question.into(), &mut |message| {
            let active = Attributes::behind(message.body, HEADER).value(ETHTOOL_A_FEATURES_ACTIVE);
            offload = active.map(|active| names(active).any(|name| name == FEATURE));
        });
        match asked {
            Err(NetlinkError::Refused(refusal))
                if [Errno::NODEV, Errno::OPNOTSUPP].contains(&refusal.errno) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
            Ok(()) => Ok(offload),
        }
    }

    pub fn set_offload(&mut self, index: u32, on: bool) -> Result<(), NetlinkError> {
        let mut bit = attribute(ETHTOOL_A_BITSET_BIT_NAME, format!("{FEATURE}\0").as_bytes());
        if on {
            bit.extend(attribute(ETHTOOL_A_BITSET_BIT_VALUE, &[]));
        }
        let bits = attribute(ETHTOOL_A_BITSET_BITS_BIT | NESTED, &bit);
        let set = attribute(ETHTOOL_A_BITSET_BITS | NESTED, &bits);
        let wanted = attribute(ETHTOOL_A_FEATURES_WANTED | NESTED, &set);
        let question = self.question(
            ETHTOOL_MSG_FEATURES_SET,
            index,
            ETHTOOL_FLAG_OMIT_REPLY,
            &wanted,
        );
        self.socket.ask(question.into(), &mut |_| {})
    }

    fn question(&self, command: u8, index: u32, flags: u32, more: &[u8]) -> Generic {
        let mut header = attribute(ETHTOOL_A_HEADER_DEV_INDEX, &index.to_ne_bytes());
        header.extend(attribute(ETHTOOL_A_HEADER_FLAGS, &flags.to_ne_bytes()));
        let mut attributes = attribute(ETHTOOL_A_FEATURES_HEADER | NESTED, &header);
        attributes.extend(more);
        Generic {
            family: self.family,
            command,
            attributes,
        }
    }
}

/// Of a set of bits those that it holds.
fn names(set: &[u8]) -> impl Iterator<Item = String> {
    let bits = Attributes::of(set)
        .value(ETHTOOL_A_BITSET_BITS)
        .unwrap_or(&[]);
    Attributes::of(bits)
        .filter_map(|bit| text(Attributes::of(bit.value).value(ETHTOOL_A_BITSET_BIT_NAME)?))
}

/// A request of generic netlink.
struct Generic {
    family: u16,
    command: u8,
    attributes: Vec<u8>,
}

impl NetlinkSerializable for Generic {
    fn message_type(&self) -> u16 {
        self.family
    }

    fn buffer_len(&self) -> usize {
        HEADER + self.attributes.len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        buffer[..HEADER].copy_from_slice(&[self.command, 1, 0, 0]);
        buffer[HEADER..self.buffer_len()].copy_from_slice(&self.attributes);
    }
}

impl From<Generic> for Request<Generic> {
    fn from(payload: Generic) -> Self {
        Self { payload, flags: 0 }
    }
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = HEADER + value.len();
    let told = u16::try_from(length).expect("a name and some numbers");
    let mut bytes = Vec::with_capacity(length.next_multiple_of(4));
    bytes.extend(told.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(length.next_multiple_of(4), 0);
    bytes
}

#[cfg(test)]
mod tests;
