//! Devices.

use overlay::{
    datapath::device::{Link, Vxlan},
    endpoint::plan::{Kind, SeenLink},
    record::Mac,
};

use super::{
    AF_INET6,
    attribute::{Attributes, address, mac, text, u32_at},
};

/// Above the kernel's `struct ifinfomsg` are attributes.
const HEADER: usize = 16;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFLA_LINKINFO: u16 = 18;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_INFO_SLAVE_KIND: u16 = 4;
const IFLA_INFO_SLAVE_DATA: u16 = 5;
const IFLA_BRPORT_MODE: u16 = 4;
const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
const IN6_ADDR_GEN_MODE_NONE: u8 = 1;
const IFLA_VXLAN_ID: u16 = 1;
const IFLA_VXLAN_LINK: u16 = 3;
const IFLA_VXLAN_LOCAL: u16 = 4;
const IFLA_VXLAN_LEARNING: u16 = 7;
const IFLA_VXLAN_PORT: u16 = 15;
const IFLA_VXLAN_LOCAL6: u16 = 17;
const IFF_UP: u32 = 1;
const IFF_LOOPBACK: u32 = 8;

/// A device of any kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    pub index: u32,
    pub name: String,
    pub mtu: u32,
    pub up: bool,
    pub loopback: bool,
    pub mac: Option<Mac>,
    pub master: Option<u32>,
    /// As a port of a bridge it gets back what it sent.
    pub hairpin: bool,
    pub makes_addresses: bool,
    pub vxlan: Option<Vxlan>,
    /// What endpoints are made of, if it is that.
    pub kind: Option<Kind>,
    /// Of a veth device the other end's index, wherever that is.
    pub other_end: Option<u32>,
}

impl Interface {
    pub fn read(body: &[u8]) -> Option<Self> {
        // A bridge tells about its ports in messages of its own: one that leaves the
        // bridge is "deleted" there, and still lives.
        if *body.first()? != 0 {
            return None;
        }
        let flags = u32_at(body, 8)?;
        let mut interface = Self {
            index: u32_at(body, 4)?,
            name: String::new(),
            mtu: 0,
            up: flags & IFF_UP != 0,
            loopback: flags & IFF_LOOPBACK != 0,
            mac: None,
            master: None,
            hairpin: false,
            makes_addresses: false,
            vxlan: None,
            kind: None,
            other_end: None,
        };
        for attribute in Attributes::behind(body, HEADER) {
            let value = attribute.value;
            match attribute.kind {
                IFLA_ADDRESS => interface.mac = mac(value),
                IFLA_IFNAME => interface.name = text(value)?,
                IFLA_MTU => interface.mtu = u32_at(value, 0)?,
                IFLA_MASTER => interface.master = u32_at(value, 0).filter(|index| *index != 0),
                IFLA_LINK => interface.other_end = u32_at(value, 0),
                IFLA_LINKINFO => {
                    interface.vxlan = vxlan(value);
                    interface.kind = endpoint_kind(value);
                    interface.hairpin = hairpin(value);
                }
                IFLA_AF_SPEC => interface.makes_addresses = makes_addresses(value),
                _ => {}
            }
        }
        Some(interface)
    }

    /// As a part of an endpoint, if it could be one.
    pub fn endpoint_link(self) -> Option<SeenLink> {
        Some(SeenLink {
            index: self.index,
            name: self.name,
            kind: self.kind?,
            mac: self.mac?,
            mtu: self.mtu,
            up: self.up,
            master: self.master,
            hairpin: self.hairpin,
            makes_addresses: self.makes_addresses,
        })
    }

    /// As a VXLAN device, if it is one.
    pub fn link(self, offload: Option<bool>) -> Option<Link> {
        Some(Link {
            index: self.index,
            name: self.name,
            mac: self.mac?,
            mtu: self.mtu,
            up: self.up,
            master: self.master,
            makes_addresses: self.makes_addresses,
            offload,
            vxlan: self.vxlan?,
        })
    }
}

/// A device without IPv6 makes none.
fn makes_addresses(families: &[u8]) -> bool {
    let mode = Attributes::of(families)
        .value(AF_INET6.into())
        .and_then(|v6| Attributes::of(v6).value(IFLA_INET6_ADDR_GEN_MODE));
    mode.and_then(|mode| mode.first())
        .is_some_and(|mode| *mode != IN6_ADDR_GEN_MODE_NONE)
}

fn endpoint_kind(info: &[u8]) -> Option<Kind> {
    match kind(info)? {
        b"veth" => Some(Kind::Veth),
        b"bridge" => Some(Kind::Bridge),
        _ => None,
    }
}

fn hairpin(info: &[u8]) -> bool {
    let value = |kind| Attributes::of(info).value(kind).unwrap_or_default();
    let (master, port) = (value(IFLA_INFO_SLAVE_KIND), value(IFLA_INFO_SLAVE_DATA));
    let mode = Attributes::of(port).value(IFLA_BRPORT_MODE);
    master.starts_with(b"bridge") && mode.is_some_and(|mode| mode.first() == Some(&1))
}

fn kind(info: &[u8]) -> Option<&[u8]> {
    let kind = Attributes::of(info).value(IFLA_INFO_KIND)?;
    Some(kind.strip_suffix(b"\0").unwrap_or(kind))
}

fn vxlan(info: &[u8]) -> Option<Vxlan> {
    if kind(info)? != b"vxlan" {
        return None;
    }
    let info = Attributes::of(info);
    let mut vxlan = Vxlan {
        vni: 0,
        port: 0,
        local: None,
        lower: None,
        learning: false,
    };
    for attribute in Attributes::of(info.value(IFLA_INFO_DATA)?) {
        let value = attribute.value;
        match attribute.kind {
            IFLA_VXLAN_ID => vxlan.vni = u32_at(value, 0)?,
            IFLA_VXLAN_LINK => vxlan.lower = u32_at(value, 0).filter(|index| *index != 0),
            IFLA_VXLAN_LOCAL | IFLA_VXLAN_LOCAL6 => vxlan.local = address(value),
            IFLA_VXLAN_LEARNING => vxlan.learning = value.first() != Some(&0),
            IFLA_VXLAN_PORT => vxlan.port = u16::from_be_bytes(*value.first_chunk()?),
            _ => {}
        }
    }
    Some(vxlan)
}
