//! What a netlink socket reads, message by message.

use std::{fmt, io};

use netlink_packet_core::{NLM_F_ACK_TLVS, NLM_F_CAPPED, NLMSG_DONE, NLMSG_ERROR};
use rustix::io::Errno;

use crate::kernel::decode::attribute::{Attributes, text, u16_at, u32_at};

const HEADER: usize = 16;
/// The kernel's sentence among the attributes of an error.
const NLMSGERR_ATTR_MSG: u16 = 1;

#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    pub kind: u16,
    pub flags: u16,
    pub sequence: u32,
    pub body: &'a [u8],
}

/// What a message says about the request it answers.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// Something of what was asked for.
    Told,
    Done,
    Refused(Refusal),
}

/// Why the kernel did not do it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub errno: Errno,
    /// Its own words.
    pub text: Option<String>,
}

impl Refusal {
    /// It may well be done when asked again.
    pub fn is_passing(&self) -> bool {
        [Errno::INTR, Errno::BUSY, Errno::AGAIN].contains(&self.errno)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.text {
            Some(text) => f.write_str(text),
            None => io::Error::from(self.errno).fmt(f),
        }
    }
}

/// The messages of one datagram.
pub struct Messages<'a>(&'a [u8]);

impl<'a> Messages<'a> {
    pub fn of(datagram: &'a [u8]) -> Self {
        Self(datagram)
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;

    fn next(&mut self) -> Option<Message<'a>> {
        let length = usize::try_from(u32_at(self.0, 0)?).ok()?;
        let message = Message {
            kind: u16_at(self.0, 4)?,
            flags: u16_at(self.0, 6)?,
            sequence: u32_at(self.0, 8)?,
            body: self.0.get(HEADER..length)?,
        };
        self.0 = self.0.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        Some(message)
    }
}

impl Message<'_> {
    pub fn answer(&self) -> Answer {
        // With an error goes the header of what it answers, or all of it.
        let attributes = match self.kind {
            NLMSG_ERROR if self.flags & NLM_F_CAPPED != 0 => 4 + HEADER,
            NLMSG_ERROR => {
                let answered = u32_at(self.body, 4).and_then(|length| usize::try_from(length).ok());
                4 + answered.unwrap_or(HEADER).next_multiple_of(4)
            }
            // The end of a list has a number, too, where it ended with an error.
            NLMSG_DONE => 4,
            _ => return Answer::Told,
        };
        let number = u32_at(self.body, 0).map_or(0, u32::cast_signed);
        if number >= 0 {
            return Answer::Done;
        }
        let text = self
            .body
            .get(attributes..)
            .filter(|_| self.flags & NLM_F_ACK_TLVS != 0)
            .and_then(|bytes| {
                Attributes::of(bytes).find(|attribute| attribute.kind == NLMSGERR_ATTR_MSG)
            })
            .and_then(|attribute| text(attribute.value));
        Answer::Refused(Refusal {
            errno: Errno::from_raw_os_error(number.saturating_neg()),
            text,
        })
    }
}
