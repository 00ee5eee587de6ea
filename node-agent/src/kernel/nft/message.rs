//! Netlink messages to nf_tables, as bytes: attributes, and the batch that is one
//! transaction.

use super::abi::{self, netlink};

/// A netlink header and the `nfgenmsg` behind it.
pub const HEADER: usize = 20;
const ATTRIBUTE_HEADER: usize = 4;
const ALIGNMENT: usize = 4;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes(Vec<u8>);

impl Attributes {
    pub fn bytes(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        self.sized(kind, |bytes| bytes.extend_from_slice(value));
        self
    }

    /// All numbers of nf_tables are big endian; what a register is compared with is
    /// not a number but bytes.
    pub fn number(&mut self, kind: u16, value: u32) -> &mut Self {
        self.bytes(kind, &value.to_be_bytes())
    }

    pub fn text(&mut self, kind: u16, value: &str) -> &mut Self {
        self.sized(kind, |bytes| {
            bytes.extend_from_slice(value.as_bytes());
            bytes.push(0);
        });
        self
    }

    pub fn nest(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) -> &mut Self {
        self.sized(kind | netlink::NESTED, |bytes| {
            let mut inner = Self(std::mem::take(bytes));
            fill(&mut inner);
            *bytes = inner.0;
        });
        self
    }

    /// The attributes of `other`, as if they had been written here.
    pub fn append(&mut self, other: &Self) -> &mut Self {
        self.0.extend_from_slice(&other.0);
        self
    }

    fn sized(&mut self, kind: u16, fill: impl FnOnce(&mut Vec<u8>)) {
        let start = self.0.len();
        self.0.extend_from_slice(&[0; ATTRIBUTE_HEADER]);
        fill(&mut self.0);
        let length = u16::try_from(self.0.len() - start)
            .expect("lists are cut so that no attribute reaches 64 KiB");
        self.0[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self.0[start + 2..start + 4].copy_from_slice(&kind.to_ne_bytes());
        self.0.resize(self.0.len().next_multiple_of(ALIGNMENT), 0);
    }
}

/// Messages of which the kernel does all or none.
#[derive(Debug)]
pub struct Batch {
    bytes: Vec<u8>,
    starts: Vec<usize>,
}

impl Batch {
    pub fn new() -> Self {
        let mut batch = Self {
            bytes: Vec::new(),
            starts: Vec::new(),
        };
        batch.boundary(netlink::BATCH_BEGIN);
        batch
    }

    pub fn add(&mut self, message: u8, flags: u16, attributes: &Attributes) {
        let kind = abi::SUBSYSTEM << 8 | u16::from(message);
        self.push(kind, flags, [abi::FAMILY_INET, 0, 0, 0], attributes);
    }

    /// The bytes to send; the messages are numbered from `first`, and the answer to
    /// the last one, which is the answer to all, carries the returned number.
    pub fn seal(mut self, first: u32) -> (Vec<u8>, u32) {
        // The kernel answers for the end of a batch only since 6.10, so the last
        // message before it asks.
        let last = self.starts.len() - 1;
        let flags = self.starts[last] + 6;
        let asking = u16::from_ne_bytes([self.bytes[flags], self.bytes[flags + 1]]) | netlink::ACK;
        self.bytes[flags..flags + 2].copy_from_slice(&asking.to_ne_bytes());
        self.boundary(netlink::BATCH_END);

        let mut number = first;
        let mut answered = first;
        for (place, start) in self.starts.iter().enumerate() {
            self.bytes[start + 8..start + 12].copy_from_slice(&number.to_ne_bytes());
            if place == last {
                answered = number;
            }
            number = number.wrapping_add(1);
        }
        (self.bytes, answered)
    }

    fn boundary(&mut self, kind: u16) {
        let [high, low] = abi::SUBSYSTEM.to_be_bytes();
        let to = [abi::FAMILY_ANY, 0, high, low];
        self.push(kind, 0, to, &Attributes::default());
    }

    fn push(&mut self, kind: u16, flags: u16, to: [u8; 4], attributes: &Attributes) {
        self.starts.push(self.bytes.len());
        write(&mut self.bytes, kind, flags, to, attributes);
    }
}

/// One message outside of any batch: a question.
pub fn question(
    message: u8,
    flags: u16,
    family: u8,
    number: u32,
    attributes: &Attributes,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    let kind = abi::SUBSYSTEM << 8 | u16::from(message);
    write(&mut bytes, kind, flags, [family, 0, 0, 0], attributes);
    bytes[8..12].copy_from_slice(&number.to_ne_bytes());
    bytes
}

fn write(bytes: &mut Vec<u8>, kind: u16, flags: u16, to: [u8; 4], attributes: &Attributes) {
    let length = u32::try_from(HEADER + attributes.0.len())
        .expect("a message is a few attributes of less than 64 KiB");
    bytes.extend_from_slice(&length.to_ne_bytes());
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(&(flags | netlink::REQUEST).to_ne_bytes());
    // The number comes later; the port is the kernel's to fill in.
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend_from_slice(&to);
    bytes.extend_from_slice(&attributes.0);
}
