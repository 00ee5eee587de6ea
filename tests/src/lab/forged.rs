//! A VXLAN packet that no tunnel made: an echo request inside UDP, from anywhere.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use anyhow::{Context, Result, bail};

use super::{Namespace, icmp};

/// What it pretends to be inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forged {
    pub vni: u32,
    /// Of the VXLAN device that should take it.
    pub mac: [u8; 6],
    pub source: IpAddr,
    pub target: IpAddr,
}

impl Forged {
    /// Sends so many to where a VXLAN device listens.
    pub fn send(&self, from: &Namespace, to: SocketAddr, count: u16) -> Result<()> {
        let packets: Result<Vec<Vec<u8>>> = (0..count).map(|one| self.packet(one)).collect();
        let packets = packets?;
        from.inside(|| {
            let any = match to {
                SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
                SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            };
            let socket = UdpSocket::bind((any, 0)).context("a UDP socket")?;
            for packet in &packets {
                let sent = socket.send_to(packet, to);
                sent.with_context(|| format!("send a forged packet to {to}"))?;
            }
            Ok(())
        })
    }

    /// The payload of UDP.
    pub fn packet(&self, sequence: u16) -> Result<Vec<u8>> {
        let mut bytes = vec![0x08, 0, 0, 0];
        bytes.extend((self.vni << 8).to_be_bytes());
        bytes.extend(self.mac);
        bytes.extend([0x02, 0xba, 0xd0, 0, 0, 0x01]);
        let mut echo = icmp::request(self.target.is_ipv4(), 0xbad, sequence, b"forged");
        match (self.source, self.target) {
            (IpAddr::V4(source), IpAddr::V4(target)) => {
                bytes.extend([0x08, 0x00]);
                bytes.extend(header_v4(source, target, echo.len())?);
            }
            (IpAddr::V6(source), IpAddr::V6(target)) => {
                icmp::checksum_v6(source, target, &mut echo);
                bytes.extend([0x86, 0xdd]);
                bytes.extend(header_v6(source, target, echo.len())?);
            }
            (source, target) => bail!("{source} and {target} are of two families"),
        }
        bytes.extend(echo);
        Ok(bytes)
    }
}

fn header_v4(source: Ipv4Addr, target: Ipv4Addr, length: usize) -> Result<Vec<u8>> {
    const ICMP: u8 = 1;
    let mut header = vec![0x45, 0];
    header.extend(u16::try_from(20 + length)?.to_be_bytes());
    header.extend([0, 0, 0, 0, 64, ICMP, 0, 0]);
    header.extend(source.octets());
    header.extend(target.octets());
    let sum = icmp::checksum(&header);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    Ok(header)
}

fn header_v6(source: Ipv6Addr, target: Ipv6Addr, length: usize) -> Result<Vec<u8>> {
    const ICMPV6: u8 = 58;
    let mut header = vec![0x60, 0, 0, 0];
    header.extend(u16::try_from(length)?.to_be_bytes());
    header.extend([ICMPV6, 64]);
    header.extend(source.octets());
    header.extend(target.octets());
    Ok(header)
}
