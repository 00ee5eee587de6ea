//! ICMP echo as bytes, and how many requests a namespace was ever sent.

use std::{
    fs,
    net::{IpAddr, Ipv6Addr},
};

use anyhow::{Context, Result};

use super::Namespace;

pub const REQUEST_V4: u8 = 8;
pub const REPLY_V4: u8 = 0;
pub const REQUEST_V6: u8 = 128;
pub const REPLY_V6: u8 = 129;

/// A request, with its checksum only where the family has no need of addresses for it.
pub fn request(is_ipv4: bool, id: u16, sequence: u16, data: &[u8]) -> Vec<u8> {
    let kind = if is_ipv4 { REQUEST_V4 } else { REQUEST_V6 };
    let mut bytes = vec![kind, 0, 0, 0];
    bytes.extend(id.to_be_bytes());
    bytes.extend(sequence.to_be_bytes());
    bytes.extend(data);
    if is_ipv4 {
        let sum = checksum(&bytes);
        bytes[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    bytes
}

/// Fills in what covers the addresses too.
pub fn checksum_v6(source: Ipv6Addr, target: Ipv6Addr, message: &mut [u8]) {
    const ICMPV6: u8 = 58;
    message[2..4].fill(0);
    let length = u32::try_from(message.len()).expect("it fits in a packet");
    let mut covered = Vec::new();
    covered.extend(source.octets());
    covered.extend(target.octets());
    covered.extend(length.to_be_bytes());
    covered.extend([0, 0, 0, ICMPV6]);
    covered.extend(&*message);
    let sum = checksum(&covered);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
}

/// The internet's.
pub fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| {
        let low = pair.get(1).copied().unwrap_or(0);
        u32::from(u16::from_be_bytes([pair[0], low]))
    });
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(u16::try_from(sum).expect("it was folded"))
}

/// How many echo requests arrived in a namespace for itself since it was made: the
/// kernel's own count, whoever sent them and however they came.
pub fn requests_seen(namespace: &Namespace, family_of: impl Into<IpAddr>) -> Result<u64> {
    let is_ipv4 = family_of.into().is_ipv4();
    namespace.inside(|| {
        let net = "/proc/thread-self/net";
        if is_ipv4 {
            let text = fs::read_to_string(format!("{net}/snmp"))?;
            return column(&text, "Icmp:", "InEchos").with_context(|| text);
        }
        let text = fs::read_to_string(format!("{net}/snmp6"))?;
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("Icmp6InEchos"));
        let count = line.and_then(|line| line.trim().parse().ok());
        count.with_context(|| text)
    })
}

/// From a line of names and the line of values below it.
fn column(text: &str, table: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(table));
    let (names, values) = (lines.next()?, lines.next()?);
    let mut pairs = names.split_whitespace().zip(values.split_whitespace());
    pairs.find(|(one, _)| *one == name)?.1.parse().ok()
}
