//! Steps as the requests that a kernel understands.

use std::net::IpAddr;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::{AddressAttribute, AddressHeaderFlags, AddressMessage},
    link::{
        AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoKind, InfoVxlan, LinkAttribute, LinkMessage,
    },
    neighbour::{NeighbourAttribute, NeighbourFlags, NeighbourMessage, NeighbourState},
    route::{
        RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol, RouteScope, RouteType,
    },
};
use overlay::{
    datapath::{
        device::{self, Change, Device},
        entry::PROTOCOL,
        step::{Doomed, Route, Step, Target},
    },
    endpoint::link::OnLink,
    network::Vni,
    record::Mac,
    subnet::{Family, Subnet},
};
use rtnetlink::{LinkMessageBuilder, LinkUnspec, LinkVxlan};

use super::netlink::Request;

pub type RouteRequest = Request<RouteNetlinkMessage>;

/// What is there already becomes what it should be.
const REPLACE: u16 = NLM_F_CREATE | NLM_F_REPLACE;

/// The step as a request, if it is about an entry: an address, an FDB entry, a
/// neighbour, a route. The device of its network has the index that `place` tells.
pub fn entry(step: &Step, place: impl Fn(Vni) -> Option<u32>) -> Option<RouteRequest> {
    let (payload, flags) = match *step {
        Step::SetAddress { vni, address } => (
            RouteNetlinkMessage::NewAddress(host_address(place(vni)?, address)),
            REPLACE,
        ),
        Step::DropAddress { vni, address } => (
            RouteNetlinkMessage::DelAddress(host_address(place(vni)?, address)),
            0,
        ),
        Step::SetFdb { vni, mac, to } => (
            RouteNetlinkMessage::NewNeighbour(fdb(place(vni)?, mac, Some(to))),
            REPLACE,
        ),
        Step::DropFdb { vni, mac } => (
            RouteNetlinkMessage::DelNeighbour(fdb(place(vni)?, mac, None)),
            0,
        ),
        Step::SetNeighbour { vni, address, mac } => (
            RouteNetlinkMessage::NewNeighbour(neighbour(place(vni)?, address, Some(mac))),
            REPLACE,
        ),
        Step::DropNeighbour { vni, address } => (
            RouteNetlinkMessage::DelNeighbour(neighbour(place(vni)?, address, None)),
            0,
        ),
        Step::SetRoute(wanted) => (
            RouteNetlinkMessage::NewRoute(route(wanted, place)?),
            REPLACE,
        ),
        Step::DropRoute(doomed) => (RouteNetlinkMessage::DelRoute(doomed_route(doomed)), 0),
        Step::Sysctl(_)
        | Step::Firewall(_)
        | Step::NoFirewall
        | Step::Admit(_)
        | Step::Bar(_)
        | Step::Publish(_)
        | Step::Unpublish(_)
        | Step::Pass(_)
        | Step::NoPass { .. }
        | Step::Create(_)
        | Step::Delete { .. }
        | Step::Change { .. } => return None,
    };
    Some(Request { payload, flags })
}

/// It is down at first: nothing may pass before all is set.
pub fn create(device: &Device) -> RouteRequest {
    let link = LinkVxlan::new(&device.name(), device.vni.into())
        .dev(device.lower)
        .port(device.port)
        .append_info_data(InfoVxlan::Learning(false))
        .append_info_data(local(device.local))
        .mtu(device.mtu)
        .address(device.mac.0.to_vec())
        .build();
    Request {
        payload: RouteNetlinkMessage::NewLink(link),
        // One that is there is somebody else's.
        flags: NLM_F_CREATE | NLM_F_EXCL,
    }
}

pub fn delete(index: u32) -> RouteRequest {
    plain(RouteNetlinkMessage::DelLink(
        LinkUnspec::new_with_index(index).build(),
    ))
}

/// None for what netlink's routing family cannot change.
pub fn change(index: u32, vni: Vni, change: &Change) -> Option<RouteRequest> {
    let link = LinkUnspec::new_with_index(index);
    // The kernel wants the VNI, though it changes none. With a port it would refuse.
    let vxlan =
        || LinkMessageBuilder::<LinkVxlan>::new_with_info_kind(InfoKind::Vxlan).id(vni.into());
    let link: LinkMessage = match *change {
        Change::Rename => link.name(device::name(vni)).build(),
        Change::Mac(mac) => link.address(mac.0.to_vec()).build(),
        Change::Mtu(mtu) => link.mtu(mtu).build(),
        Change::NoMaster => link.nocontroller().build(),
        Change::NoOwnAddresses => link.append_extra_attribute(no_own_addresses()).build(),
        Change::NoLearning => vxlan()
            .append_info_data(InfoVxlan::Learning(false))
            .index(index)
            .build(),
        Change::Source { local: from, lower } => vxlan()
            .append_info_data(local(from))
            .dev(lower)
            .index(index)
            .build(),
        Change::Up => link.up().build(),
        Change::Offload(_) => return None,
    };
    Some(plain(RouteNetlinkMessage::NewLink(link)))
}

fn plain(payload: RouteNetlinkMessage) -> RouteRequest {
    Request { payload, flags: 0 }
}

fn local(address: IpAddr) -> InfoVxlan {
    match address {
        IpAddr::V4(v4) => InfoVxlan::Local(v4),
        IpAddr::V6(v6) => InfoVxlan::Local6(v6),
    }
}

fn host_address(index: u32, host: IpAddr) -> AddressMessage {
    let length = Family::of(host).bits();
    let on = OnLink {
        address: host,
        length,
    };
    address(index, on)
}

fn address(index: u32, OnLink { address, length }: OnLink) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = number(Family::of(address));
    message.header.prefix_len = length;
    message.header.index = index;
    // Nobody else can have it, and it is to be used at once.
    message.header.flags = AddressHeaderFlags::Nodad;
    message.attributes = vec![
        AddressAttribute::Local(address),
        AddressAttribute::Address(address),
    ];
    message
}

fn fdb(index: u32, mac: Mac, to: Option<IpAddr>) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = AddressFamily::Bridge;
    message.header.ifindex = index;
    message.header.state = NeighbourState::Permanent;
    // The device's own, and not those of a bridge that it may have been put into.
    message.header.flags = NeighbourFlags::Own;
    message.attributes = vec![NeighbourAttribute::LinkLayerAddress(mac.0.to_vec())];
    let to = to.map(|to| NeighbourAttribute::Destination(to.into()));
    message.attributes.extend(to);
    message
}

fn neighbour(index: u32, address: IpAddr, mac: Option<Mac>) -> NeighbourMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = number(Family::of(address));
    message.header.ifindex = index;
    message.header.state = NeighbourState::Permanent;
    message.attributes = vec![NeighbourAttribute::Destination(address.into())];
    let mac = mac.map(|mac| NeighbourAttribute::LinkLayerAddress(mac.0.to_vec()));
    message.attributes.extend(mac);
    message
}

fn route(route: Route, place: impl Fn(Vni) -> Option<u32>) -> Option<RouteMessage> {
    let mut message = slot(route.subnet, route.metric());
    message.header.protocol = RouteProtocol::Other(PROTOCOL);
    message.header.scope = RouteScope::Universe;
    message.header.kind = RouteType::Unicast;
    let mut via = |gateway: IpAddr, device| {
        message.attributes.extend([
            RouteAttribute::Gateway(gateway.into()),
            RouteAttribute::Oif(device),
        ]);
    };
    match route.target {
        Target::Overlay { vni, gateway } => {
            via(gateway, place(vni)?);
            if gateway.is_ipv4() {
                message.header.flags = RouteFlags::Onlink;
            }
        }
        Target::Direct { gateway, device } => via(gateway, device),
        Target::Unreachable => message.header.kind = RouteType::Unreachable,
    }
    Some(message)
}

fn doomed_route(doomed: Doomed) -> RouteMessage {
    let mut message = slot(doomed.subnet, doomed.metric);
    message.header.protocol = doomed.protocol.into();
    // Of any scope, and of any type but where an unreachable one is meant.
    message.header.scope = RouteScope::NoWhere;
    if doomed.unreachable {
        message.header.kind = RouteType::Unreachable;
    }
    message
}

/// A place in the main table: there is one route with this prefix and metric.
fn slot(subnet: Subnet, metric: u32) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = number(subnet.family());
    message.header.destination_prefix_length = subnet.length();
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.attributes = Vec::with_capacity(4);
    message.attributes.extend([
        RouteAttribute::Destination(subnet.address().into()),
        RouteAttribute::Priority(metric),
    ]);
    message
}

/// The kernel makes no link-local address by itself.
pub fn no_own_addresses() -> LinkAttribute {
    let mode = AfSpecInet6::AddrGenMode(In6AddrGenMode::None);
    LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(vec![mode])])
}

pub fn set_address(index: u32, on: OnLink) -> RouteRequest {
    replace(RouteNetlinkMessage::NewAddress(address(index, on)))
}

pub fn drop_address(index: u32, on: OnLink) -> RouteRequest {
    plain(RouteNetlinkMessage::DelAddress(address(index, on)))
}

pub fn set_neighbour(index: u32, address: IpAddr, mac: Mac) -> RouteRequest {
    let neighbour = neighbour(index, address, Some(mac));
    replace(RouteNetlinkMessage::NewNeighbour(neighbour))
}

pub fn drop_neighbour(index: u32, address: IpAddr) -> RouteRequest {
    plain(RouteNetlinkMessage::DelNeighbour(neighbour(
        index, address, None,
    )))
}

/// To one address, which is at the other end of this device.
pub fn straight_route(index: u32, to: IpAddr) -> RouteRequest {
    let mut message = RouteMessage::default();
    message.header.address_family = number(Family::of(to));
    message.header.destination_prefix_length = Family::of(to).bits();
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.protocol = RouteProtocol::Other(PROTOCOL);
    message.header.scope = RouteScope::Link;
    message.header.kind = RouteType::Unicast;
    message.attributes = vec![
        RouteAttribute::Destination(to.into()),
        RouteAttribute::Oif(index),
    ];
    replace(RouteNetlinkMessage::NewRoute(message))
}

pub fn drop_straight_route(index: u32, subnet: Subnet, metric: u32) -> RouteRequest {
    let mut message = slot(subnet, metric);
    message.header.scope = RouteScope::NoWhere;
    message.attributes.push(RouteAttribute::Oif(index));
    plain(RouteNetlinkMessage::DelRoute(message))
}

/// To everywhere of its family, through a gateway on this device.
pub fn default_route(index: u32, gateway: IpAddr) -> RouteRequest {
    let mut message = RouteMessage::default();
    message.header.address_family = number(Family::of(gateway));
    message.header.table = RouteHeader::RT_TABLE_MAIN;
    message.header.protocol = RouteProtocol::Static;
    message.header.kind = RouteType::Unicast;
    message.attributes = vec![
        RouteAttribute::Gateway(gateway.into()),
        RouteAttribute::Oif(index),
    ];
    Request {
        payload: RouteNetlinkMessage::NewRoute(message),
        flags: NLM_F_CREATE | NLM_F_EXCL,
    }
}

/// To a pool, through a gateway on this device.
pub fn pool_route(index: u32, pool: Subnet, gateway: IpAddr) -> RouteRequest {
    let mut request = default_route(index, gateway);
    if let RouteNetlinkMessage::NewRoute(message) = &mut request.payload {
        message.header.destination_prefix_length = pool.length();
        let to = RouteAttribute::Destination(pool.address().into());
        message.attributes.push(to);
    }
    request
}

fn replace(payload: RouteNetlinkMessage) -> RouteRequest {
    let flags = REPLACE;
    Request { payload, flags }
}

pub fn number(family: Family) -> AddressFamily {
    match family {
        Family::V4 => AddressFamily::Inet,
        Family::V6 => AddressFamily::Inet6,
    }
}
