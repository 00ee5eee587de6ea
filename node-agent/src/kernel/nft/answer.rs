//! What the kernel sends, taken apart. Whatever does not fit its own length ends the
//! reading: nothing here can be out of bounds.

use super::{abi::netlink, message::HEADER};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer<'a> {
    pub kind: u16,
    pub flags: u16,
    pub number: u32,
    /// The socket whose request this answers or, in an event, whose deed it tells.
    pub port: u32,
    /// All that follows the netlink header.
    pub body: &'a [u8],
}

impl<'a> Answer<'a> {
    /// The attributes of a message of nf_tables.
    pub fn attributes(&self) -> &'a [u8] {
        self.body.get(HEADER - NETLINK_HEADER..).unwrap_or_default()
    }
}

const NETLINK_HEADER: usize = 16;
const ATTRIBUTE_HEADER: usize = 4;

/// The messages of one datagram.
pub fn answers(mut datagram: &[u8]) -> impl Iterator<Item = Answer<'_>> {
    std::iter::from_fn(move || {
        let length = usize::try_from(u32_at(datagram, 0)?).ok()?;
        let answer = Answer {
            kind: u16_at(datagram, 4)?,
            flags: u16_at(datagram, 6)?,
            number: u32_at(datagram, 8)?,
            port: u32_at(datagram, 12)?,
            body: datagram.get(NETLINK_HEADER..length)?,
        };
        datagram = datagram
            .get(length.next_multiple_of(4)..)
            .unwrap_or_default();
        Some(answer)
    })
}

/// The attributes in some bytes: type and value.
pub fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(bytes, 0)?);
        let kind = u16_at(bytes, 2)? & netlink::TYPE_MASK;
        let value = bytes.get(ATTRIBUTE_HEADER..length)?;
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

pub fn attribute(bytes: &[u8], wanted: u16) -> Option<&[u8]> {
    attributes(bytes).find_map(|(kind, value)| (kind == wanted).then_some(value))
}

/// What an answer of the type `ERROR` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// 0 is success.
    pub errno: i32,
    pub text: Option<String>,
}

impl Verdict {
    pub fn of(answer: &Answer<'_>) -> Option<Self> {
        let errno = i32::from_ne_bytes(answer.body.get(..4)?.try_into().ok()?).saturating_neg();
        // Behind the errno comes the header of the refused message. The message itself
        // does not: the socket has asked for none.
        let text = (answer.flags & netlink::ACK_ATTRIBUTES != 0)
            .then(|| answer.body.get(4 + NETLINK_HEADER..))
            .flatten()
            .and_then(|rest| attribute(rest, netlink::ERROR_TEXT))
            .map(text);
        Some(Self { errno, text })
    }
}

/// A string of the kernel, with or without its NUL.
pub fn text(value: &[u8]) -> String {
    let end = value.iter().position(|&byte| byte == 0);
    String::from_utf8_lossy(&value[..end.unwrap_or(value.len())]).into_owned()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at + 2)?.try_into().ok()?;
    Some(u16::from_ne_bytes(bytes))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(u32::from_ne_bytes(bytes))
}
