//! What others change in the kernel, as it happens. It may be told late or not at all:
//! whoever listens looks again, and does not count.

use std::{future::poll_fn, io};

use netlink_sys::{AsyncSocket, TokioSocket, protocols::NETLINK_ROUTE};
use overlay::datapath::host::Sighting;
use rustix::io::Errno;

use super::{
    decode::{AF_BRIDGE, address, link::Interface, neighbour, route},
    netlink::{Message, Messages, enlarge},
};

const RECEIVE_BUFFER: usize = 4 * 1024 * 1024;
/// The longest message is that of a device, of some kilobytes.
const READ: usize = 64 * 1024;
/// How many messages are read before anybody hears of them.
const AT_ONCE: usize = 1024;

const RTNLGRP_LINK: u32 = 1;
const RTNLGRP_NEIGH: u32 = 3;
const RTNLGRP_IPV4_IFADDR: u32 = 5;
const RTNLGRP_IPV4_ROUTE: u32 = 7;
const RTNLGRP_IPV6_IFADDR: u32 = 9;
const RTNLGRP_IPV6_ROUTE: u32 = 11;
const RTNLGRP_IPV4_NETCONF: u32 = 24;
const RTNLGRP_IPV6_NETCONF: u32 = 25;
const GROUPS: [u32; 8] = [
    RTNLGRP_LINK,
    RTNLGRP_NEIGH,
    RTNLGRP_IPV4_IFADDR,
    RTNLGRP_IPV4_ROUTE,
    RTNLGRP_IPV6_IFADDR,
    RTNLGRP_IPV6_ROUTE,
    RTNLGRP_IPV4_NETCONF,
    RTNLGRP_IPV6_NETCONF,
];

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_NEWADDR: u16 = 20;
const RTM_DELADDR: u16 = 21;
const RTM_NEWROUTE: u16 = 24;
const RTM_DELROUTE: u16 = 25;
const RTM_NEWNEIGH: u16 = 28;
const RTM_DELNEIGH: u16 = 29;
const RTM_NEWNETCONF: u16 = 80;
const RTM_DELNETCONF: u16 = 81;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    Link {
        gone: bool,
        link: Interface,
    },
    /// An entry: of routes those of the main table.
    Seen(Sighting),
    /// Some setting of some device, such as forwarding.
    Setting,
    /// More happened than could be kept: anything may be different now.
    Overrun,
}

pub struct Events {
    socket: TokioSocket,
    buffer: Vec<u8>,
}

impl Events {
    /// What happens from now on. Needs a runtime around it.
    pub fn open() -> io::Result<Self> {
        Self::with_buffer(RECEIVE_BUFFER)
    }

    fn with_buffer(bytes: usize) -> io::Result<Self> {
        let mut events = Self {
            socket: TokioSocket::new(NETLINK_ROUTE)?,
            buffer: Vec::with_capacity(READ),
        };
        let socket = events.socket.socket_mut();
        socket.bind_auto()?;
        enlarge(socket, bytes)?;
        for group in GROUPS {
            socket.add_membership(group)?;
        }
        Ok(events)
    }

    /// Waits until something happened, and tells what is known by then.
    ///
    /// It can be dropped: it waits only while it holds nothing that it has read.
    pub async fn next(&mut self) -> io::Result<Vec<News>> {
        let mut news = Vec::new();
        while news.is_empty() {
            let first = poll_fn(|cx| {
                self.buffer.clear();
                self.socket.poll_recv(cx, &mut self.buffer)
            });
            let mut received = first.await;
            for left in (0..AT_ONCE).rev() {
                match received.map_err(|error| (Errno::from_io_error(&error), error)) {
                    // It may have been longer than what there was room for.
                    Ok(()) if self.buffer.len() >= READ => news.push(News::Overrun),
                    Ok(()) => news.extend(Messages::of(&self.buffer).filter_map(read)),
                    Err((Some(Errno::NOBUFS), _)) => news.push(News::Overrun),
                    Err((Some(Errno::INTR), _)) => {}
                    Err((Some(Errno::WOULDBLOCK), _)) => break,
                    Err((_, error)) => return Err(error),
                }
                if left == 0 {
                    break;
                }
                self.buffer.clear();
                received = self
                    .socket
                    .socket_ref()
                    .recv(&mut self.buffer, 0)
                    .map(|_| ());
            }
            news.dedup();
        }
        Ok(news)
    }
}

fn read(message: Message<'_>) -> Option<News> {
    let body = message.body;
    let gone = [RTM_DELLINK, RTM_DELADDR, RTM_DELROUTE, RTM_DELNEIGH].contains(&message.kind);
    let sighting = match message.kind {
        RTM_NEWLINK | RTM_DELLINK => {
            let link = Interface::read(body)?;
            return Some(News::Link { gone, link });
        }
        RTM_NEWNETCONF | RTM_DELNETCONF => return Some(News::Setting),
        RTM_NEWADDR | RTM_DELADDR => Sighting::Address {
            gone,
            address: address::read(body)?.address,
        },
        RTM_NEWROUTE | RTM_DELROUTE => Sighting::Route {
            gone,
            route: route::read(body)?,
        },
        RTM_NEWNEIGH | RTM_DELNEIGH if body.first() == Some(&AF_BRIDGE) => Sighting::Fdb {
            gone,
            fdb: neighbour::fdb(body)?,
        },
        RTM_NEWNEIGH | RTM_DELNEIGH => Sighting::Neighbour {
            gone,
            neighbour: neighbour::neighbour(body)?,
        },
        _ => return None,
    };
    Some(News::Seen(sighting))
}

#[cfg(test)]
mod tests;
