//! Routes of the main table.

use std::net::IpAddr;

use overlay::{
    datapath::observed::{Hop, SeenRoute},
    subnet::{Family, Subnet},
};

use super::attribute::{Attributes, address, family, u32_at};

/// Above the kernel's `struct rtmsg` are attributes.
const HEADER: usize = 12;
const RT_TABLE_MAIN: u8 = 254;
const RTN_UNICAST: u8 = 1;
const RTN_UNREACHABLE: u8 = 7;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_PRIORITY: u16 = 6;
const RTA_PREFSRC: u16 = 7;
const RTA_METRICS: u16 = 8;
const RTA_MULTIPATH: u16 = 9;
const RTA_VIA: u16 = 18;
const RTA_ENCAP_TYPE: u16 = 21;
const RTA_ENCAP: u16 = 22;
const RTA_NH_ID: u16 = 30;
const RTNH_F_DEAD: u32 = 0x01;
const RTNH_F_ONLINK: u32 = 0x04;
const RTNH_F_LINKDOWN: u32 = 0x10;
const RTM_F_CLONED: u32 = 0x200;
/// Where in one of several next hops its device is.
const RTNH_IFINDEX: usize = 4;

/// A route, with what else it takes to send by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path {
    pub route: SeenRoute,
    /// Of several next hops that of the first.
    pub device: Option<u32>,
    pub source: Option<IpAddr>,
    /// It leads to another host, as far as anybody knows.
    pub leads_out: bool,
}

/// A route of the main table.
pub fn read(body: &[u8]) -> Option<SeenRoute> {
    path(body).map(|path| path.route)
}

/// The same, with more.
pub fn path(body: &[u8]) -> Option<Path> {
    let in_main = *body.get(4)? == RT_TABLE_MAIN;
    let is_cached = u32_at(body, 8)? & RTM_F_CLONED != 0;
    // With a source or a TOS it is beside, not instead of, one to the same subnet without.
    let is_special = *body.get(2)? != 0 || *body.get(3)? != 0;
    answer(body).filter(|_| in_main && !is_cached && !is_special)
}

/// The way to one address, whatever table it is from.
pub fn answer(body: &[u8]) -> Option<Path> {
    let &[number, length, _, _, _, protocol, _, kind, ref rest @ ..] = body else {
        return None;
    };
    let family = family(number)?;
    let flags = u32_at(rest, 0)?;
    let (mut to, mut gateway, mut device, mut source) = (None, None, None, None);
    let mut metric = 0;
    let mut plain = true;
    for attribute in Attributes::behind(body, HEADER) {
        let value = attribute.value;
        match attribute.kind {
            RTA_DST => to = address(value),
            RTA_OIF => device = u32_at(value, 0),
            RTA_GATEWAY => gateway = address(value),
            RTA_PRIORITY => metric = u32_at(value, 0)?,
            RTA_PREFSRC => {
                source = address(value);
                plain = false;
            }
            RTA_MULTIPATH => {
                device = u32_at(value, RTNH_IFINDEX);
                plain = false;
            }
            RTA_METRICS | RTA_VIA | RTA_ENCAP | RTA_ENCAP_TYPE | RTA_NH_ID => plain = false,
            _ => {}
        }
    }
    let hop = match (kind, gateway, device) {
        (RTN_UNREACHABLE, _, _) => Hop::Unreachable,
        (RTN_UNICAST, Some(gateway), Some(device)) if plain => Hop::Gateway {
            gateway,
            device,
            onlink: flags & RTNH_F_ONLINK != 0,
        },
        (RTN_UNICAST, None, Some(device)) if plain => Hop::Device(device),
        _ => Hop::Other,
    };
    let route = SeenRoute {
        subnet: subnet(family, length, to)?,
        metric,
        protocol,
        hop,
    };
    let is_dead = flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN) != 0;
    Some(Path {
        route,
        device,
        source,
        leads_out: kind == RTN_UNICAST && !is_dead,
    })
}

fn subnet(family: Family, length: u8, to: Option<IpAddr>) -> Option<Subnet> {
    let bits = match to {
        Some(IpAddr::V4(to)) => to.to_bits().into(),
        Some(IpAddr::V6(to)) => to.to_bits(),
        None => 0,
    };
    let shift = u32::from(family.bits().checked_sub(length)?);
    Subnet::numbered(family, length, bits.checked_shr(shift).unwrap_or(0))
}
