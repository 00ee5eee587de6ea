//! How an endpoint is bounded now.

use std::collections::BTreeMap;

use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{InfoKind, LinkAttribute, LinkExtentMask, LinkInfo, LinkMessage},
    tc::{TcHandle, TcMessage},
};
use overlay::endpoint::EndpointId;
use rustix::io::Errno;

use super::{
    bucket::{Bucket, Told},
    device, owner,
    request::{self, EVERY_PROTOCOL, INCOMING, OURS, OUTGOING},
};
use crate::kernel::{
    decode::{
        attribute::{Attributes, text, u32_at},
        link::Interface,
    },
    message::RouteRequest,
    netlink::{NetlinkError, Socket},
};

/// Above the kernel's `struct ifinfomsg` are attributes.
const LINK_HEADER: usize = 16;
const IFLA_LINKINFO: u16 = 18;
const IFLA_INFO_KIND: u16 = 1;

/// Above the kernel's `struct tcmsg` are attributes.
const HEADER: usize = 20;
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
const TCA_U32_SEL: u16 = 5;
const TCA_U32_ACT: u16 = 7;
const TCA_ACT_KIND: u16 = 1;
const TCA_ACT_OPTIONS: u16 = 2;
const TCA_MIRRED_PARMS: u16 = 2;
const TCA_EGRESS_REDIR: u32 = 1;
const TC_U32_TERMINAL: u8 = 1;

/// Of all endpoints.
#[derive(Debug, Default)]
pub struct Look {
    queues: BTreeMap<u32, Queues>,
    /// Those of our preference, of each device that has what filters are on.
    filters: BTreeMap<u32, Vec<Filter>>,
    detours: BTreeMap<EndpointId, Detour>,
}

/// Of one.
#[derive(Debug)]
pub struct Seen {
    pub queues: Queues,
    /// The filters of our preference.
    pub ours: Vec<Filter>,
    pub detour: Option<Detour>,
    /// What waits on its way through that.
    pub detour_root: Qdisc,
}

/// What a device has.
#[derive(Debug, Clone, Copy, Default)]
pub struct Queues {
    pub root: Qdisc,
    /// There is what filters are on.
    pub hooks: bool,
}

/// The device that what comes from the container is led through.
#[derive(Debug, Clone, Copy)]
pub struct Detour {
    pub index: u32,
    mtu: u32,
    up: bool,
    makes_addresses: bool,
}

/// The queue at a device's root.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Qdisc {
    handle: u32,
    bucket: Option<Told>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filter {
    /// All packets, to the device of this index.
    Everything(u32),
    Other,
}

impl Look {
    pub fn of(socket: &mut Socket) -> Result<Self, NetlinkError> {
        let mut look = Self {
            queues: queues(socket)?,
            filters: BTreeMap::new(),
            detours: detours(socket)?,
        };
        if look.detours.is_empty() {
            return Ok(look);
        }
        let hooked = look.queues.iter().filter(|(_, queues)| queues.hooks);
        for (index, _) in hooked {
            look.filters.insert(*index, ours(socket, *index)?);
        }
        Ok(look)
    }

    pub fn seen(&self, index: u32, id: EndpointId) -> Seen {
        let ours = self.filters.get(&index).cloned().unwrap_or_default();
        Seen::new(&self.queues, index, ours, self.detours.get(&id).copied())
    }

    pub fn led_around(&self) -> impl Iterator<Item = EndpointId> {
        self.detours.keys().copied()
    }
}

impl Seen {
    pub fn look(socket: &mut Socket, index: u32, id: EndpointId) -> Result<Self, NetlinkError> {
        let queues = queues(socket)?;
        let ours = match queues.get(&index) {
            Some(Queues { hooks: true, .. }) => ours(socket, index)?,
            Some(_) | None => Vec::new(),
        };
        Ok(Self::new(&queues, index, ours, detour(socket, id)?))
    }

    fn new(
        queues: &BTreeMap<u32, Queues>,
        index: u32,
        ours: Vec<Filter>,
        detour: Option<Detour>,
    ) -> Self {
        let of = |index| queues.get(&index).copied().unwrap_or_default();
        let detour_root = detour.map(|detour| of(detour.index).root);
        Self {
            queues: of(index),
            ours,
            detour,
            detour_root: detour_root.unwrap_or_default(),
        }
    }

    /// All that comes from the container goes to the device of this index.
    pub fn leads_to(&self, index: u32) -> bool {
        self.ours == [Filter::Everything(index)]
    }
}

impl Detour {
    /// Packets come through, and it makes none itself.
    pub fn is_open(&self, mtu: u32) -> bool {
        self.up && self.mtu == mtu && !self.makes_addresses
    }
}

impl Qdisc {
    pub fn has_our_handle(&self) -> bool {
        self.handle == u32::from(OURS) << 16
    }

    pub fn is_ours(&self) -> bool {
        self.has_our_handle() && self.bucket.is_some()
    }

    pub fn is(&self, bucket: &Bucket) -> bool {
        self.has_our_handle() && self.bucket.is_some_and(|told| told.is(bucket))
    }
}

/// The endpoint's detour, if there is one.
pub fn detour(socket: &mut Socket, id: EndpointId) -> Result<Option<Detour>, NetlinkError> {
    let mut request = LinkMessage::default();
    request.attributes = vec![
        LinkAttribute::IfName(device(id)),
        LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]),
    ];
    let request = RouteRequest {
        payload: RouteNetlinkMessage::GetLink(request),
        flags: 0,
    };
    let mut found = None;
    let asked = socket.ask(request, &mut |message| found = link(message.body));
    none_if_missing(asked)?;
    Ok(found.map(|(_, detour)| detour))
}

fn detours(socket: &mut Socket) -> Result<BTreeMap<EndpointId, Detour>, NetlinkError> {
    let mut request = LinkMessage::default();
    request.attributes = vec![
        LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Ifb)]),
        LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]),
    ];
    let mut found = Vec::new();
    socket.dump(RouteNetlinkMessage::GetLink(request), &mut found, |body| {
        let (name, detour) = link(body)?;
        Some((owner(&name)?, detour))
    })?;
    Ok(found.into_iter().collect())
}

/// There are no filters at all on the hooks of a device.
pub fn is_bare(socket: &mut Socket, index: u32) -> Result<bool, NetlinkError> {
    let mut any: Vec<()> = Vec::new();
    for hook in [INCOMING, OUTGOING] {
        filters(socket, index, hook, &mut any, |_| Some(()))?;
    }
    Ok(any.is_empty())
}

/// Of every device: the kernel tells of one alone only by telling everybody who listens.
fn queues(socket: &mut Socket) -> Result<BTreeMap<u32, Queues>, NetlinkError> {
    let request = RouteNetlinkMessage::GetQueueDiscipline(TcMessage::default());
    let mut told = Vec::new();
    socket.dump(request, &mut told, read_qdisc)?;
    let mut queues: BTreeMap<u32, Queues> = BTreeMap::new();
    for (index, parent, qdisc) in told {
        let of_it = queues.entry(index).or_default();
        match TcHandle::from(parent) {
            TcHandle::ROOT => of_it.root = qdisc,
            TcHandle::CLSACT => of_it.hooks = true,
            _ => {}
        }
    }
    Ok(queues)
}

/// With its device and its place there.
fn read_qdisc(body: &[u8]) -> Option<(u32, u32, Qdisc)> {
    let attributes = Attributes::behind(body, HEADER);
    let kind = attributes.clone().value(TCA_KIND).and_then(text)?;
    let options = attributes.value(TCA_OPTIONS).filter(|_| kind == "tbf");
    let qdisc = Qdisc {
        handle: u32_at(body, 8)?,
        bucket: options.and_then(Told::read),
    };
    Some((u32_at(body, 4)?, u32_at(body, 12)?, qdisc))
}

fn ours(socket: &mut Socket, index: u32) -> Result<Vec<Filter>, NetlinkError> {
    let mut ours = Vec::new();
    filters(socket, index, INCOMING, &mut ours, |body| {
        let info = u32_at(body, 16).filter(|info| info >> 16 == u32::from(OURS))?;
        filter(info, body)
    })?;
    Ok(ours)
}

fn filters<T>(
    socket: &mut Socket,
    index: u32,
    parent: TcHandle,
    into: &mut Vec<T>,
    read: impl Fn(&[u8]) -> Option<T>,
) -> Result<(), NetlinkError> {
    let request = request::about(index, parent);
    let request = RouteNetlinkMessage::GetTrafficFilter(request);
    none_if_missing(socket.dump(request, into, read))
}

/// Beside each filter the kernel tells of the table that it is in.
fn filter(info: u32, body: &[u8]) -> Option<Filter> {
    let attributes = Attributes::behind(body, HEADER);
    let kind = attributes.clone().value(TCA_KIND).and_then(text);
    if kind.as_deref() != Some("u32") {
        return Some(Filter::Other);
    }
    let options = Attributes::of(attributes.value(TCA_OPTIONS)?);
    let selector = options.clone().value(TCA_U32_SEL)?;
    let to = options
        .value(TCA_U32_ACT)
        .and_then(redirection)
        .filter(|_| info & 0xffff == u32::from(EVERY_PROTOCOL) && selects_all(selector));
    Some(to.map_or(Filter::Other, Filter::Everything))
}

/// The kernel's `struct tc_u32_sel`: 16 bytes, then a mask and three numbers for each key.
fn selects_all(selector: &[u8]) -> bool {
    let (Some(flags), Some(keys)) = (selector.first(), selector.get(2)) else {
        return false;
    };
    let mask = |key: u8| u32_at(selector, 16 + 16 * usize::from(key));
    flags & TC_U32_TERMINAL != 0 && (0..*keys).all(|key| mask(key) == Some(0))
}

/// Where the one action leads, if that is what it does.
fn redirection(actions: &[u8]) -> Option<u32> {
    let mut actions = Attributes::of(actions);
    let action = Attributes::of(actions.next()?.value);
    let kind = action.clone().value(TCA_ACT_KIND).and_then(text);
    if kind.as_deref() != Some("mirred") || actions.next().is_some() {
        return None;
    }
    let options = Attributes::of(action.value(TCA_ACT_OPTIONS)?);
    let parms = options.value(TCA_MIRRED_PARMS)?;
    let redirects = u32_at(parms, 20)? == TCA_EGRESS_REDIR;
    redirects.then_some(u32_at(parms, 24)?)
}

/// A detour, and its name.
fn link(body: &[u8]) -> Option<(String, Detour)> {
    let info = Attributes::behind(body, LINK_HEADER).value(IFLA_LINKINFO)?;
    let kind = Attributes::of(info).value(IFLA_INFO_KIND).and_then(text);
    if kind.as_deref() != Some("ifb") {
        return None;
    }
    let link = Interface::read(body)?;
    let detour = Detour {
        index: link.index,
        mtu: link.mtu,
        up: link.up,
        makes_addresses: link.makes_addresses,
    };
    Some((link.name, detour))
}

/// A device may go at any time.
fn none_if_missing(asked: Result<(), NetlinkError>) -> Result<(), NetlinkError> {
    match asked {
        Err(NetlinkError::Refused(refusal))
            if [Errno::NODEV, Errno::NOENT].contains(&refusal.errno) =>
        {
            Ok(())
        }
        other => other,
    }
}
