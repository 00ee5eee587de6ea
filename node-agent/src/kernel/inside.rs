//! A container's side of its link: what is set there once, and looked at when asked.

use std::{fs, io, net::IpAddr, os::fd::BorrowedFd, thread};

use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{LinkFlags, LinkMessage},
};
use netlink_sys::protocols::NETLINK_ROUTE;
use overlay::{
    endpoint::link::{Inside, OnLink},
    subnet::{Family, Subnet},
};
use rustix::{
    io::Errno,
    thread::{LinkNameSpaceType, move_into_link_name_space},
};
use thiserror::Error;

use super::{
    decode::{address, link::Interface, neighbour, route},
    endpoint::named,
    look, message,
    message::RouteRequest,
    netlink::{NetlinkError, Request, Socket},
};

/// A container has few things, and this socket is open for a moment.
const RECEIVE_BUFFER: usize = 256 * 1024;

#[derive(Debug, Error)]
pub enum InsideError {
    #[error("cannot enter the container's network namespace")]
    Enter(#[source] io::Error),
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    #[error("the container has no interface {0}")]
    NoInterface(String),
    #[error("{what} of the container's {interface}: {reason}")]
    Refused {
        what: &'static str,
        interface: String,
        reason: String,
    },
}

/// Sets the container's side up.
pub fn set(namespace: BorrowedFd<'_>, inside: &Inside) -> Result<(), InsideError> {
    enter(namespace, || {
        let mut socket = Socket::with_buffer(NETLINK_ROUTE, RECEIVE_BUFFER)?;
        let link = interface(&mut socket, inside)?;
        if inside.addresses.iter().any(|on| on.address.is_ipv6()) {
            allow_ipv6(&inside.interface);
        }
        // The loopback is the first device of every namespace.
        let mut requests = vec![("loopback", up(1))];
        let add = |what, request| (what, request);
        let addresses = inside.addresses.iter();
        requests
            .extend(addresses.map(|on| add("an address", message::set_address(link.index, *on))));
        requests.push(add("the state", up(link.index)));
        for gateway in &inside.gateways {
            let at = gateway.address;
            if let Some(mac) = gateway.mac {
                if at.is_ipv4() {
                    requests.push(add("the gateway", message::straight_route(link.index, at)));
                }
                requests.push(add(
                    "the gateway",
                    message::set_neighbour(link.index, at, mac),
                ));
            }
            // A second network of a container leaves the first one's default route.
            requests.push(add(
                "the default route",
                message::default_route(link.index, at),
            ));
            let pools = inside.pools.iter();
            let pools = pools.filter(|pool| pool.family() == Family::of(at));
            requests.extend(
                pools.map(|pool| add("a route", message::pool_route(link.index, *pool, at))),
            );
        }
        let (what, requests): (Vec<&'static str>, Vec<RouteRequest>) = requests.into_iter().unzip();
        let answers = socket.perform(requests);
        if let Some(lost) = answers.lost {
            return Err(lost.into());
        }
        let refused = answers.refused.into_iter();
        let mut refused = refused.filter(|(_, refusal)| refusal.errno != Errno::EXIST);
        match refused.next() {
            None => Ok(()),
            Some((number, refusal)) => Err(InsideError::Refused {
                what: what[number],
                interface: inside.interface.clone(),
                reason: refusal.to_string(),
            }),
        }
    })
}

/// What is not as it should be on the container's side, in sentences.
pub fn problems(namespace: BorrowedFd<'_>, inside: &Inside) -> Result<Vec<String>, InsideError> {
    enter(namespace, || {
        let mut socket = Socket::with_buffer(NETLINK_ROUTE, RECEIVE_BUFFER)?;
        let Some(link) = named(&mut socket, &inside.interface)? else {
            return Ok(vec![format!(
                "the container has no interface {}",
                inside.interface
            )]);
        };
        let mut problems = Vec::new();
        let name = &inside.interface;
        if !link.up {
            problems.push(format!("the container's {name} is down"));
        }
        if link.mac != Some(inside.mac) {
            problems.push(format!(
                "the container's {name} has not the MAC {}",
                inside.mac
            ));
        }
        let mut addresses: Vec<OnLink> = Vec::new();
        look::addresses(&mut socket, Some(link.index), &mut addresses, |body| {
            let held = address::read(body)?.address;
            (held.index == link.index).then_some(OnLink {
                address: held.address,
                length: held.length,
            })
        })?;
        for on in &inside.addresses {
            if !addresses.contains(on) {
                problems.push(format!("the container's {name} has not the address {on}"));
            }
        }
        for gateway in &inside.gateways {
            let at = gateway.address;
            let family = Family::of(at);
            let mut ways: Vec<(Subnet, Option<IpAddr>)> = Vec::new();
            look::routes(&mut socket, family, &mut ways, |body| {
                let way = route::path(body)?;
                let via = match way.route.hop {
                    overlay::datapath::observed::Hop::Gateway { gateway, .. } => Some(gateway),
                    _ => None,
                };
                Some((way.route.subnet, via))
            })?;
            let leads = |to: Subnet| ways.contains(&(to, Some(at)));
            let everywhere = ways.iter().any(|(to, _)| to.length() == 0);
            let mut pools = inside.pools.iter();
            let pools = pools.all(|pool| pool.family() != family || leads(*pool));
            if !everywhere && !pools {
                problems.push(format!("the container has no route through {at}"));
            }
            if let Some(mac) = gateway.mac {
                let mut neighbours = Vec::new();
                look::neighbours(
                    &mut socket,
                    family,
                    Some(link.index),
                    &mut neighbours,
                    neighbour::neighbour,
                )?;
                let known = neighbours
                    .iter()
                    .any(|seen| seen.address == at && seen.mac == Some(mac));
                if !known {
                    problems.push(format!("the container does not know the MAC of {at}"));
                }
            }
        }
        Ok(problems)
    })
}

/// Does an interface of this name exist there?
pub fn has_interface(namespace: BorrowedFd<'_>, name: &str) -> Result<bool, InsideError> {
    enter(namespace, || {
        let mut socket = Socket::with_buffer(NETLINK_ROUTE, RECEIVE_BUFFER)?;
        Ok(named(&mut socket, name)?.is_some())
    })
}

fn interface(socket: &mut Socket, inside: &Inside) -> Result<Interface, InsideError> {
    named(socket, &inside.interface)?
        .ok_or_else(|| InsideError::NoInterface(inside.interface.clone()))
}

/// Engines turn it off for containers without an IPv6 network; where there is none at
/// all, what follows says so.
fn allow_ipv6(interface: &str) {
    let path = format!("/proc/sys/net/ipv6/conf/{interface}/disable_ipv6");
    drop(fs::write(path, "0"));
}

fn up(index: u32) -> RouteRequest {
    let mut link = LinkMessage::default();
    link.header.index = index;
    link.header.flags = LinkFlags::Up;
    link.header.change_mask = LinkFlags::Up;
    Request {
        payload: RouteNetlinkMessage::NewLink(link),
        flags: 0,
    }
}

/// On a thread that is in there, and ends there.
pub fn enter<T: Send>(
    namespace: BorrowedFd<'_>,
    act: impl FnOnce() -> Result<T, InsideError> + Send,
) -> Result<T, InsideError> {
    let inside = || {
        move_into_link_name_space(namespace, Some(LinkNameSpaceType::Network))
            .map_err(|errno| InsideError::Enter(errno.into()))?;
        act()
    };
    let done = thread::scope(|scope| scope.spawn(inside).join());
    done.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked))
}
