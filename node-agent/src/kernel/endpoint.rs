//! The links of this host's containers, on the host's side: looked at as a
//! [`Seen`], changed by [`Step`]s.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::fd::BorrowedFd,
};

use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{InfoKind, LinkAttribute, LinkExtentMask, LinkInfo, LinkMessage},
};
use netlink_sys::protocols::NETLINK_ROUTE;
use overlay::{
    datapath::{host::Sighting, observed::Hop},
    endpoint::{
        EndpointId,
        link::{Bridge, Device, HOST_MAC},
        plan::{Seen, SeenLink, ours},
        step::{Change, Step},
    },
    record::Mac,
    subnet::Family,
};
use rustix::io::Errno;
use thiserror::Error;

use super::{
    bandwidth::{self, BandwidthError},
    decode::{address, link::Interface, neighbour, route},
    look,
    message::{self, RouteRequest},
    netlink::{NetlinkError, Refusal, Request, Socket},
};

mod bounds;
mod request;

/// How the names of bridges begin.
const BRIDGES: &str = "weftbr";

/// The socket by which links are made and looked at.
#[derive(Debug)]
pub struct Links {
    socket: Socket,
    /// By name, as of the last look and what was done since.
    index: BTreeMap<String, u32>,
}

/// The container's end of a link that is to be made.
#[derive(Debug, Clone, Copy)]
pub struct OtherEnd<'a> {
    pub name: &'a str,
    pub mac: Mac,
    pub mtu: u32,
    /// None: it stays in the host's own namespace, and is down.
    pub namespace: Option<BorrowedFd<'a>>,
}

/// A step that the kernel refused, and in which words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub step: Step,
    pub errno: Option<Errno>,
    pub reason: String,
}

#[derive(Debug, Error)]
pub enum SweepError {
    #[error(transparent)]
    Netlink(#[from] NetlinkError),
    #[error(transparent)]
    Bandwidth(#[from] BandwidthError),
}

impl Links {
    pub fn open() -> Result<Self, NetlinkError> {
        Ok(Self {
            socket: Socket::open(NETLINK_ROUTE)?,
            index: BTreeMap::new(),
        })
    }

    /// Everything that is an endpoint's, or stands where something of one should be.
    pub fn look(&mut self, known: &BTreeSet<Device>) -> Result<Seen, NetlinkError> {
        let names: BTreeSet<String> = known.iter().map(|device| device.name()).collect();
        let mut seen = Seen::default();
        for kind in [InfoKind::Veth, InfoKind::Bridge] {
            let mut request = LinkMessage::default();
            request.attributes = vec![
                LinkAttribute::LinkInfo(vec![LinkInfo::Kind(kind)]),
                LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]),
            ];
            let read = |body: &[u8]| {
                let link = Interface::read(body)?.endpoint_link()?;
                (link.mac == HOST_MAC || names.contains(&link.name)).then_some(link)
            };
            let request = RouteNetlinkMessage::GetLink(request);
            self.socket.dump(request, &mut seen.links, read)?;
        }
        let ours: BTreeSet<u32> = seen.links.iter().map(|link| link.index).collect();
        self.index = seen.links.iter().map(name_and_index).collect();
        if ours.is_empty() {
            return Ok(seen);
        }
        look::addresses(&mut self.socket, None, &mut seen.addresses, |body| {
            let held = address::read(body)?.address;
            ours.contains(&held.index).then_some(held)
        })?;
        for family in Family::BOTH {
            let read = |body: &[u8]| {
                let seen = neighbour::neighbour(body)?;
                (ours.contains(&seen.index) && Family::of(seen.address) == family).then_some(seen)
            };
            look::neighbours(&mut self.socket, family, None, &mut seen.neighbours, read)?;
            look::routes(&mut self.socket, family, &mut seen.routes, |body| {
                let route = route::read(body)?;
                let here = matches!(route.hop, Hop::Device(index) if ours.contains(&index));
                here.then_some(route)
            })?;
        }
        let names = seen.links.iter().map(|link| link.name.clone());
        seen.from_loopback = names.filter(|name| is_from_loopback(name)).collect();
        Ok(seen)
    }

    /// Does the steps, the new links first. One that fails stops none of the others.
    pub fn apply<'a>(
        &mut self,
        steps: &[Step],
        other_end: impl Fn(EndpointId) -> Option<OtherEnd<'a>>,
    ) -> Vec<Failure> {
        let mut failures = Vec::new();
        let removes = |step: &&Step| matches!(step, Step::Delete { .. });
        let makes = |step: &&Step| matches!(step, Step::Make(_) | Step::MakeBridge(_));
        self.batch(steps.iter().filter(removes), &other_end, &mut failures);
        let made: Vec<&Step> = steps.iter().filter(makes).collect();
        if !made.is_empty() {
            self.batch(made.iter().copied(), &other_end, &mut failures);
            let failed: BTreeSet<String> = failures
                .iter()
                .filter_map(|failure| name_of(&failure.step))
                .collect();
            for name in made.iter().filter_map(|step| name_of(step)) {
                if !failed.contains(&name)
                    && let Ok(Some(link)) = self.link(&name)
                {
                    self.index.insert(name, link.index);
                }
            }
        }
        let rest = steps.iter().filter(|step| !removes(step) && !makes(step));
        self.batch(rest.clone(), &other_end, &mut failures);
        let settings = rest.filter_map(|step| match step {
            Step::Change {
                device,
                change: Change::FromLoopback(on),
            } => Some((step, device, on)),
            _ => None,
        });
        for (step, device, on) in settings {
            let value = if *on { "1" } else { "0" };
            if let Err(error) = fs::write(from_loopback(&device.name()), value) {
                failures.push(Failure {
                    step: step.clone(),
                    errno: None,
                    reason: error.to_string(),
                });
            }
        }
        failures
    }

    /// The bridges of ours, as of the last look and what was done since.
    pub fn bridges(&self) -> impl Iterator<Item = &str> {
        let names = self.index.keys().map(String::as_str);
        names.filter(|name| name.starts_with(BRIDGES))
    }

    /// Takes devices out, all at once: the kernel waits once for each call.
    pub fn remove(&mut self, indices: &[u32]) -> Result<(), NetlinkError> {
        match indices {
            [] => return Ok(()),
            [only] => return gone_is_fine(self.socket.ask(message::delete(*only), &mut |_| {})),
            [..] => {}
        }
        let answers = self
            .socket
            .perform(indices.iter().map(|index| request::grouped(*index)));
        if let Some(lost) = answers.lost {
            return Err(lost);
        }
        let refused = answers.refused.into_iter();
        let mut refused = refused.filter(|(_, refusal)| refusal.errno != Errno::NODEV);
        if let Some((_, refusal)) = refused.next() {
            return Err(NetlinkError::Refused(refusal));
        }
        gone_is_fine(self.socket.ask(request::without_group(), &mut |_| {}))
    }

    /// Takes everything of endpoints out; returns what there was.
    pub fn sweep(&mut self) -> Result<Vec<String>, SweepError> {
        let seen = self.look(&BTreeSet::new())?;
        let ours: Vec<SeenLink> = seen.links.into_iter().filter(ours).collect();
        let indices: Vec<u32> = ours.iter().map(|link| link.index).collect();
        let mut names: Vec<String> = ours.into_iter().map(|link| link.name).collect();
        for id in bandwidth::look(&mut self.socket)?.left() {
            bandwidth::remove(&mut self.socket, id)?;
            names.push(bandwidth::device(id));
        }
        self.remove(&indices)?;
        Ok(names)
    }

    /// The device of this name.
    pub fn link(&mut self, name: &str) -> Result<Option<Interface>, NetlinkError> {
        named(&mut self.socket, name)
    }

    /// Is it one of ours that the kernel tells of?
    pub fn concerns(&self, link: &Interface) -> bool {
        link.mac == Some(HOST_MAC)
            || self.index.contains_key(&link.name)
            || bandwidth::owner(&link.name).is_some()
    }

    pub fn concerns_sighting(&self, sighting: &Sighting) -> bool {
        let index = match sighting {
            Sighting::Fdb { .. } => return false,
            Sighting::Neighbour { neighbour, .. } => neighbour.index,
            Sighting::Address { address, .. } => address.index,
            Sighting::Route { route, .. } => match route.hop {
                Hop::Device(index) => index,
                Hop::Gateway { .. } | Hop::Unreachable | Hop::Other => return false,
            },
        };
        self.index.values().any(|ours| *ours == index)
    }

    fn batch<'a, 's>(
        &mut self,
        steps: impl Iterator<Item = &'s Step>,
        other_end: &impl Fn(EndpointId) -> Option<OtherEnd<'a>>,
        failures: &mut Vec<Failure>,
    ) {
        let mut asked: Vec<&Step> = Vec::new();
        let mut requests = Vec::new();
        for step in steps {
            match self.request(step, other_end) {
                Some(request) => {
                    asked.push(step);
                    requests.push(request);
                }
                None if matches!(
                    step,
                    Step::Change {
                        change: Change::FromLoopback(_),
                        ..
                    }
                ) => {}
                None if step.removes() => {}
                None => failures.push(Failure {
                    step: step.clone(),
                    errno: None,
                    reason: "its device is not there".into(),
                }),
            }
        }
        if requests.is_empty() {
            return;
        }
        let answers = self.socket.perform(requests);
        for (number, refusal) in answers.refused {
            let step = asked[number];
            if !is_so_already(step, &refusal) {
                failures.push(Failure {
                    step: step.clone(),
                    errno: Some(refusal.errno),
                    reason: refusal.to_string(),
                });
            }
        }
        if let Some(lost) = answers.lost {
            failures.extend(asked.first().map(|step| Failure {
                step: (*step).clone(),
                errno: None,
                reason: lost.to_string(),
            }));
        }
    }

    fn request<'a>(
        &self,
        step: &Step,
        other_end: &impl Fn(EndpointId) -> Option<OtherEnd<'a>>,
    ) -> Option<RouteRequest> {
        let index = |device: &Device| self.index.get(&device.name()).copied();
        Some(match step {
            Step::Make(id) => request::pair(&id.device(), other_end(*id)?),
            Step::MakeBridge(bridge) => request::new_bridge(bridge),
            Step::Delete { index, .. } => message::delete(*index),
            Step::Change { device, change } => {
                let master = match change {
                    Change::Master(Some(master)) => Some(index(master)?),
                    _ => None,
                };
                request::changed(index(device)?, change, master)?
            }
            Step::SetAddress { device, address } => message::set_address(index(device)?, *address),
            Step::DropAddress { device, address } => {
                message::drop_address(index(device)?, *address)
            }
            Step::SetNeighbour {
                device,
                address,
                mac,
            } => message::set_neighbour(index(device)?, *address, *mac),
            Step::DropNeighbour { device, address } => {
                message::drop_neighbour(index(device)?, *address)
            }
            Step::SetRoute { device, address } => message::straight_route(index(device)?, *address),
            Step::DropRoute {
                device,
                subnet,
                metric,
            } => message::drop_straight_route(index(device)?, *subnet, *metric),
        })
    }
}

/// The device of this name, where the socket is.
pub(super) fn named(socket: &mut Socket, name: &str) -> Result<Option<Interface>, NetlinkError> {
    let mut request = LinkMessage::default();
    request.attributes = vec![
        LinkAttribute::IfName(name.into()),
        LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]),
    ];
    let mut found = None;
    let request = Request {
        payload: RouteNetlinkMessage::GetLink(request),
        flags: 0,
    };
    let asked = socket.ask(request, &mut |message| {
        found = Interface::read(message.body);
    });
    match asked {
        Err(NetlinkError::Refused(refusal)) if refusal.errno == Errno::NODEV => Ok(None),
        asked => asked.map(|()| found),
    }
}

fn gone_is_fine(asked: Result<(), NetlinkError>) -> Result<(), NetlinkError> {
    match asked {
        Err(NetlinkError::Refused(refusal)) if refusal.errno == Errno::NODEV => Ok(()),
        asked => asked,
    }
}

/// Refused because it is as it should be.
fn is_so_already(step: &Step, refusal: &Refusal) -> bool {
    match step {
        Step::Make(_) => false,
        _ if step.removes() => {
            [Errno::NOENT, Errno::SRCH, Errno::ADDRNOTAVAIL, Errno::NODEV].contains(&refusal.errno)
        }
        _ => refusal.errno == Errno::EXIST,
    }
}

fn name_of(step: &Step) -> Option<String> {
    match step {
        Step::Make(id) => Some(id.device()),
        Step::MakeBridge(bridge) => Some(Bridge::name(bridge.vni)),
        _ => None,
    }
}

fn name_and_index(link: &SeenLink) -> (String, u32) {
    (link.name.clone(), link.index)
}

fn from_loopback(name: &str) -> String {
    format!("/proc/sys/net/ipv4/conf/{name}/route_localnet")
}

fn is_from_loopback(name: &str) -> bool {
    fs::read_to_string(from_loopback(name)).is_ok_and(|value| value.trim() == "1")
}
