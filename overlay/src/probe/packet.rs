//! What a probe says on the wire.
//!
//! A question is `WFP`, 0x01, `?`, three zeros and eight bytes that the answer brings
//! back, with as many zeros after them as are to be carried. An answer is the same with
//! `!`, and never longer than the shortest question: nobody is made to send more than
//! was sent to them. An answer is never answered.

use std::{net::IpAddr, time::Duration};

use crate::subnet::{Family, Subnet};

/// The length of an answer, and of the shortest question.
pub const LENGTH: usize = 16;
const MAGIC: [u8; 4] = *b"WFP\x01";
const QUESTION: u8 = b'?';
const ANSWER: u8 = b'!';

/// A question of this length, which is [`LENGTH`] at least.
pub fn question(nonce: u64, length: usize) -> Vec<u8> {
    let mut packet = head(QUESTION, nonce).to_vec();
    packet.resize(length.max(LENGTH), 0);
    packet
}

/// The answer to a packet, if it is a question.
pub fn answer(packet: &[u8]) -> Option<[u8; LENGTH]> {
    Some(head(ANSWER, read(QUESTION, packet)?))
}

/// Is this the answer to that question?
pub fn answers(packet: &[u8], nonce: u64) -> bool {
    packet.len() == LENGTH && read(ANSWER, packet) == Some(nonce)
}

/// May whoever has this address ask? Agents do, from the first address of a subnet like
/// our own; containers do not.
pub fn may_ask(from: IpAddr, own: &[Subnet], pools: &[Subnet]) -> bool {
    let family = Family::of(from);
    let mut own = own.iter().filter(|own| own.family() == family);
    let is_base = |own: &Subnet| {
        let subnet = Subnet::around(from, own.length());
        subnet.is_some_and(|subnet| subnet.address() == from)
    };
    own.any(is_base) && pools.iter().any(|pool| pool.holds(from))
}

/// How many packets are looked at: so many at once, and so many a second.
#[derive(Debug, Clone)]
pub struct Budget {
    left: Duration,
    at: Duration,
}

impl Budget {
    pub const A_SECOND: u32 = 200;
    const EACH: Duration = Duration::from_millis(1000 / Self::A_SECOND as u64);
    const MOST: Duration = Duration::from_secs(1);

    /// Full, at this time.
    pub fn new(now: Duration) -> Self {
        Self {
            left: Self::MOST,
            at: now,
        }
    }

    /// Takes one; otherwise how long to wait for the next.
    pub fn take(&mut self, now: Duration) -> Result<(), Duration> {
        let passed = now.saturating_sub(self.at);
        self.at = self.at.max(now);
        self.left = (self.left + passed).min(Self::MOST);
        match self.left.checked_sub(Self::EACH) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(Self::EACH - self.left),
        }
    }
}

fn head(kind: u8, nonce: u64) -> [u8; LENGTH] {
    let mut packet = [0; LENGTH];
    packet[..4].copy_from_slice(&MAGIC);
    packet[4] = kind;
    packet[8..].copy_from_slice(&nonce.to_be_bytes());
    packet
}

fn read(kind: u8, packet: &[u8]) -> Option<u64> {
    let head: [u8; LENGTH] = packet.get(..LENGTH)?.try_into().ok()?;
    let (name, rest) = head.split_at(MAGIC.len());
    let nonce = head[8..].try_into().expect("half of a head");
    (name == MAGIC && rest[0] == kind).then(|| u64::from_be_bytes(nonce))
}

#[cfg(test)]
mod tests;
