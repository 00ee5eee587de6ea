//! Where packets go, asked of the kernel one thing after the other.

use std::net::IpAddr;

use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    link::{LinkAttribute, LinkExtentMask, LinkMessage},
    neighbour::NeighbourMessage,
    route::{RouteAttribute, RouteMessage},
};
use netlink_sys::protocols::NETLINK_ROUTE;
use overlay::{
    record::Mac,
    subnet::Family,
    trace::{Device, Way},
};
use rustix::io::Errno;

use super::{
    decode::{
        address,
        attribute::{Attributes, address as ip, u32_at},
        link::Interface,
        neighbour,
    },
    endpoint::named,
    look,
    message::number,
    netlink::{NetlinkError, Request, Socket},
};

/// Ten thousand forwarding entries come in many pieces.
const RECEIVE_BUFFER: usize = 1 << 20;
/// `struct rtmsg`
const HEADER: usize = 12;
const KIND: usize = 7;
const RTN_LOCAL: u8 = 2;
const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_METRICS: u16 = 8;
const RTAX_MTU: u16 = 2;

/// A socket to ask by, in the network namespace where it was opened.
#[derive(Debug)]
pub struct Paths {
    socket: Socket,
}

struct Answer {
    here: bool,
    device: Option<u32>,
    gateway: Option<IpAddr>,
    mtu: Option<u32>,
}

impl Paths {
    pub fn open() -> Result<Self, NetlinkError> {
        let socket = Socket::with_buffer(NETLINK_ROUTE, RECEIVE_BUFFER)?;
        Ok(Self { socket })
    }

    /// As `ip route get TO from FROM iif DEVICE`.
    pub fn way(
        &mut self,
        to: IpAddr,
        from: Option<IpAddr>,
        through: Option<u32>,
    ) -> Result<Way, NetlinkError> {
        let family = Family::of(to);
        let mut request = RouteMessage::default();
        request.header.address_family = number(family);
        request.header.destination_prefix_length = family.bits();
        request.attributes = vec![RouteAttribute::Destination(to.into())];
        if let Some(from) = from {
            request.header.source_prefix_length = family.bits();
            request.attributes.push(RouteAttribute::Source(from.into()));
        }
        request.attributes.extend(through.map(RouteAttribute::Iif));
        let mut answer = None;
        let request = RouteNetlinkMessage::GetRoute(request);
        let asked = self.one(request, &mut |body| answer = read(body));
        match (asked, answer) {
            (Err(NetlinkError::Refused(refusal)), _) => {
                Ok(Way::Refused(if refusal.errno == Errno::XDEV {
                    "rp_filter refuses the source on the device where it comes in".into()
                } else {
                    refusal.to_string()
                }))
            }
            (Err(error), _) => Err(error),
            (Ok(()), None) => Ok(Way::default()),
            (Ok(()), Some(answer)) => {
                let device = match answer.device {
                    Some(index) => self.device(index)?,
                    None => None,
                };
                Ok(Way::Leads {
                    device: device.map_or_else(|| "none".into(), |device| device.name),
                    gateway: answer.gateway,
                    mtu: answer.mtu,
                    here: answer.here,
                })
            }
        }
    }

    pub fn named(&mut self, name: &str) -> Result<Option<Interface>, NetlinkError> {
        named(&mut self.socket, name)
    }

    /// All devices.
    pub fn all(&mut self) -> Result<Vec<Interface>, NetlinkError> {
        let mut request = LinkMessage::default();
        request.attributes = vec![LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats])];
        let mut found = Vec::new();
        let request = RouteNetlinkMessage::GetLink(request);
        self.socket.dump(request, &mut found, Interface::read)?;
        Ok(found)
    }

    /// The addresses of one device, or of all.
    pub fn addresses(&mut self, index: Option<u32>) -> Result<Vec<IpAddr>, NetlinkError> {
        let mut addresses = Vec::new();
        look::addresses(&mut self.socket, index, &mut addresses, |body| {
            let held = address::read(body)?.address;
            let asked = index.is_none_or(|index| index == held.index);
            asked.then_some(held.address)
        })?;
        Ok(addresses)
    }

    pub fn neighbour(&mut self, index: u32, at: IpAddr) -> Result<Option<Mac>, NetlinkError> {
        let mut found = Vec::new();
        let family = Family::of(at);
        look::neighbours(&mut self.socket, family, Some(index), &mut found, |body| {
            let seen = neighbour::neighbour(body)?;
            (seen.index == index && seen.address == at).then_some(seen.mac)
        })?;
        Ok(found.into_iter().flatten().next())
    }

    /// Behind which address a VXLAN device has this MAC.
    pub fn behind(&mut self, index: u32, mac: Mac) -> Result<Option<IpAddr>, NetlinkError> {
        let mut request = NeighbourMessage::default();
        request.header.family = AddressFamily::Bridge;
        request.header.ifindex = index;
        let request = RouteNetlinkMessage::GetNeighbour(request);
        let mut found = Vec::new();
        self.socket.dump(request, &mut found, |body| {
            let fdb = neighbour::fdb(body)?;
            (fdb.index == index && fdb.mac == mac).then_some(fdb.to)
        })?;
        Ok(found.into_iter().flatten().next())
    }

    fn device(&mut self, index: u32) -> Result<Option<Interface>, NetlinkError> {
        let mut request = LinkMessage::default();
        request.header.index = index;
        request.attributes = vec![LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats])];
        let mut found = None;
        let request = RouteNetlinkMessage::GetLink(request);
        self.one(request, &mut |body| found = Interface::read(body))?;
        Ok(found)
    }

    fn one(
        &mut self,
        payload: RouteNetlinkMessage,
        each: &mut dyn FnMut(&[u8]),
    ) -> Result<(), NetlinkError> {
        let request = Request { payload, flags: 0 };
        self.socket.ask(request, &mut |message| each(message.body))
    }
}

fn read(body: &[u8]) -> Option<Answer> {
    let value = |kind| Attributes::behind(body, HEADER).value(kind);
    let metrics = value(RTA_METRICS).unwrap_or_default();
    let mtu = Attributes::of(metrics).value(RTAX_MTU);
    Some(Answer {
        here: *body.get(KIND)? == RTN_LOCAL,
        device: value(RTA_OIF).and_then(|value| u32_at(value, 0)),
        gateway: value(RTA_GATEWAY).and_then(ip),
        mtu: mtu.and_then(|value| u32_at(value, 0)),
    })
}

/// As it is told from afar.
pub fn shown(interface: Interface) -> Device {
    Device {
        name: interface.name,
        up: interface.up,
        mtu: interface.mtu,
        // The loopback's is none.
        mac: interface.mac.filter(|mac| mac.0 != [0; 6]),
        vni: interface.vxlan.map(|vxlan| vxlan.vni),
        port: interface.vxlan.map(|vxlan| vxlan.port),
        local: interface.vxlan.and_then(|vxlan| vxlan.local),
    }
}
