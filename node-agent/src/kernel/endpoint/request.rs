//! What is asked of the kernel about the links of containers.

use std::os::fd::AsRawFd;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{
        InfoBridgePort, InfoData, InfoKind, InfoPortData, InfoPortKind, InfoVeth, LinkAttribute,
        LinkFlags, LinkInfo, LinkMessage,
    },
};
use overlay::endpoint::{
    link::{Bridge, HOST_MAC},
    step::Change,
};

use super::OtherEnd;
use crate::kernel::{
    message::{self, RouteRequest},
    netlink::Request,
};

/// Both ends at once, the container's where it belongs. That one cannot be up before
/// the kernel has joined them.
pub(super) fn pair(name: &str, other: OtherEnd<'_>) -> RouteRequest {
    let mut inside = LinkMessage::default();
    inside.attributes = vec![
        LinkAttribute::IfName(other.name.into()),
        LinkAttribute::Address(other.mac.0.to_vec()),
        LinkAttribute::Mtu(other.mtu),
    ];
    if let Some(namespace) = other.namespace {
        let namespace = LinkAttribute::NetNsFd(namespace.as_raw_fd());
        inside.attributes.push(namespace);
    }
    let mut link = LinkMessage::default();
    up(&mut link);
    link.attributes = vec![
        LinkAttribute::IfName(name.into()),
        LinkAttribute::Address(HOST_MAC.0.to_vec()),
        LinkAttribute::Mtu(other.mtu),
        LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::Veth),
            LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(inside))),
        ]),
    ];
    new(link)
}

pub(super) fn new_bridge(bridge: &Bridge) -> RouteRequest {
    let mut link = LinkMessage::default();
    up(&mut link);
    link.attributes = vec![
        LinkAttribute::IfName(Bridge::name(bridge.vni)),
        LinkAttribute::Address(HOST_MAC.0.to_vec()),
        LinkAttribute::Mtu(bridge.mtu),
        LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Bridge)]),
    ];
    new(link)
}

fn up(link: &mut LinkMessage) {
    link.header.flags = LinkFlags::Up;
    link.header.change_mask = LinkFlags::Up;
}

fn new(link: LinkMessage) -> RouteRequest {
    Request {
        payload: RouteNetlinkMessage::NewLink(link),
        flags: NLM_F_CREATE | NLM_F_EXCL,
    }
}

fn hairpin() -> LinkAttribute {
    let mode = InfoPortData::BridgePort(vec![InfoBridgePort::HairpinMode(true)]);
    LinkAttribute::LinkInfo(vec![
        LinkInfo::PortKind(InfoPortKind::Bridge),
        LinkInfo::PortData(mode),
    ])
}

pub(super) fn changed(index: u32, change: &Change, master: Option<u32>) -> Option<RouteRequest> {
    let mut link = LinkMessage::default();
    link.header.index = index;
    match change {
        Change::Mac(mac) => link.attributes.push(LinkAttribute::Address(mac.0.to_vec())),
        Change::Mtu(mtu) => link.attributes.push(LinkAttribute::Mtu(*mtu)),
        Change::NoOwnAddresses => link.attributes.push(message::no_own_addresses()),
        Change::Master(_) => link
            .attributes
            .push(LinkAttribute::Controller(master.unwrap_or(0))),
        Change::Up => up(&mut link),
        Change::Hairpin => link.attributes.push(hairpin()),
        Change::FromLoopback(_) => return None,
    }
    Some(Request {
        payload: RouteNetlinkMessage::NewLink(link),
        flags: 0,
    })
}

/// The group of devices that go together. Everybody else's are in group 0, unless
/// somebody numbers groups by hand.
const GOING: u32 = 0x7765_6674;

pub(super) fn grouped(index: u32) -> RouteRequest {
    let mut link = LinkMessage::default();
    link.header.index = index;
    link.attributes.push(LinkAttribute::Group(GOING));
    Request {
        payload: RouteNetlinkMessage::NewLink(link),
        flags: 0,
    }
}

pub(super) fn without_group() -> RouteRequest {
    let mut link = LinkMessage::default();
    link.attributes.push(LinkAttribute::Group(GOING));
    Request {
        payload: RouteNetlinkMessage::DelLink(link),
        flags: 0,
    }
}
