//! What devices have counted.

use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{LinkAttribute, LinkMessage},
};
use netlink_sys::protocols::NETLINK_ROUTE;
use rustix::io::Errno;

use super::{
    decode::attribute::{Attributes, u64_at},
    netlink::{NetlinkError, Request, Socket},
};

/// One device with all its numbers.
const RECEIVE_BUFFER: usize = 64 << 10;
/// `struct ifinfomsg`
const HEADER: usize = 16;
const IFLA_STATS64: u16 = 23;

/// Since the device was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counters {
    pub rx_packets: u64,
    pub tx_packets: u64,
    pub rx_bytes: u64,
    pub tx_bytes: u64,
    pub rx_dropped: u64,
    pub tx_dropped: u64,
}

/// A socket to ask by, in the network namespace where it was opened.
#[derive(Debug)]
pub struct Traffic {
    socket: Socket,
}

impl Traffic {
    pub fn open() -> Result<Self, NetlinkError> {
        let socket = Socket::with_buffer(NETLINK_ROUTE, RECEIVE_BUFFER)?;
        Ok(Self { socket })
    }

    /// None: there is no such device.
    pub fn of(&mut self, device: &str) -> Result<Option<Counters>, NetlinkError> {
        let mut request = LinkMessage::default();
        request.attributes = vec![LinkAttribute::IfName(device.into())];
        let request = Request {
            payload: RouteNetlinkMessage::GetLink(request),
            flags: 0,
        };
        let mut counters = None;
        let asked = self.socket.ask(request, &mut |message| {
            counters = Counters::read(message.body);
        });
        match asked {
            Err(NetlinkError::Refused(refusal)) if refusal.errno == Errno::NODEV => Ok(None),
            asked => asked.map(|()| counters),
        }
    }
}

impl Counters {
    /// The first of `struct rtnl_link_stats64`.
    fn read(link: &[u8]) -> Option<Self> {
        let stats = Attributes::behind(link, HEADER).value(IFLA_STATS64)?;
        let number = |place: usize| u64_at(stats, 8 * place);
        Some(Self {
            rx_packets: number(0)?,
            tx_packets: number(1)?,
            rx_bytes: number(2)?,
            tx_bytes: number(3)?,
            rx_dropped: number(6)?,
            tx_dropped: number(7)?,
        })
    }
}
