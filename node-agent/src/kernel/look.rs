//! A full look at the kernel.

use std::collections::BTreeMap;

use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    address::AddressMessage,
    link::{InfoKind, LinkAttribute, LinkExtentMask, LinkInfo, LinkMessage},
    neighbour::{NeighbourAttribute, NeighbourMessage},
    route::{RouteHeader, RouteMessage},
};
use overlay::{
    datapath::{
        device::Link,
        entry::{self, PROTOCOL},
        host::Setting,
        observed::{Hop, Observed, SeenRoute, Us},
    },
    network::Vni,
    record::Mac,
    subnet::Family,
};
use rustix::io::Errno;
use thiserror::Error;

use super::{
    Kernel,
    decode::{address, attribute::family, link::Interface, neighbour, route},
    message::number,
    netlink::{NetlinkError, Socket},
    nft::NftError,
    sysctl::{self, SysctlError},
};

#[derive(Debug, Error)]
pub enum LookError {
    #[error("cannot list the {what} of the kernel")]
    List {
        what: &'static str,
        #[source]
        source: NetlinkError,
    },
    #[error("cannot ask for the features of {device}")]
    Features {
        device: String,
        #[source]
        source: NetlinkError,
    },
    #[error("cannot look at the firewall")]
    Firewall(#[source] NftError),
    #[error(transparent)]
    Sysctl(#[from] SysctlError),
}

impl Kernel {
    /// Everything that is ours, or stands where something of ours should be. `mac` is
    /// this host's.
    pub fn look(&mut self, settings: &[Setting], mac: Mac) -> Result<Observed, LookError> {
        let links = self.links(mac)?;
        let us = Us::among(mac, &links);
        let mut observed = Observed::default();
        for index in &us.devices {
            self.entries(*index, &mut observed)?;
        }
        for family in Family::BOTH {
            let keep = |route: &SeenRoute| concerns(route, &us);
            let read = |body: &[u8]| route::read(body).filter(keep);
            routes(&mut self.socket, family, &mut observed.routes, read).map_err(list("routes"))?;
        }
        for setting in settings {
            if let Some(value) = sysctl::read(&setting.sysctl)? {
                observed.sysctls.insert(setting.sysctl.path.clone(), value);
            }
        }
        observed.firewall = self.firewall.look().map_err(LookError::Firewall)?;
        let filters = self.forward.look(&mut self.firewall);
        observed.filters = filters.map_err(LookError::Firewall)?;
        self.devices = devices(&links, &us);
        observed.links = links;
        Ok(observed)
    }

    /// Every VXLAN device; of ours also what makes their checksums.
    fn links(&mut self, mac: Mac) -> Result<Vec<Link>, LookError> {
        let mut request = LinkMessage::default();
        request.attributes = vec![
            LinkAttribute::LinkInfo(vec![LinkInfo::Kind(InfoKind::Vxlan)]),
            LinkAttribute::ExtMask(vec![LinkExtentMask::SkipStats]),
        ];
        let mut links = Vec::new();
        self.socket
            .dump(RouteNetlinkMessage::GetLink(request), &mut links, |body| {
                Interface::read(body)?.link(None)
            })
            .map_err(list("devices"))?;
        let us = Us::among(mac, &links);
        if let Some(ethtool) = &mut self.ethtool {
            let ours = |link: &&mut Link| us.devices.contains(&link.index);
            for link in links.iter_mut().filter(ours) {
                link.offload =
                    ethtool
                        .offload(link.index)
                        .map_err(|source| LookError::Features {
                            device: link.name.clone(),
                            source,
                        })?;
            }
        }
        Ok(links)
    }

    /// Addresses, forwarding entries and neighbours of one device.
    fn entries(&mut self, index: u32, observed: &mut Observed) -> Result<(), LookError> {
        let socket = &mut self.socket;
        addresses(socket, Some(index), &mut observed.addresses, |body| {
            let held = address::read(body)?;
            Some(held.address).filter(|address| address.index == index)
        })
        .map_err(list("addresses"))?;

        let mut request = NeighbourMessage::default();
        request.header.family = AddressFamily::Bridge;
        request.header.ifindex = index;
        let fdb = &mut observed.fdb;
        socket
            .dump(RouteNetlinkMessage::GetNeighbour(request), fdb, |body| {
                neighbour::fdb(body).filter(|fdb| fdb.index == index)
            })
            .map_err(list("forwarding entries"))?;

        for family in Family::BOTH {
            let read = |body: &[u8]| {
                let seen = neighbour::neighbour(body)?;
                let asked = seen.index == index && Family::of(seen.address) == family;
                asked.then_some(seen)
            };
            neighbours(socket, family, Some(index), &mut observed.neighbours, read)
                .map_err(list("neighbours"))?;
        }
        Ok(())
    }
}

/// The neighbours of one device or of all, as `read` makes them of messages.
pub(super) fn neighbours<T>(
    socket: &mut Socket,
    of: Family,
    index: Option<u32>,
    into: &mut Vec<T>,
    read: impl Fn(&[u8]) -> Option<T>,
) -> Result<(), NetlinkError> {
    let mut request = NeighbourMessage::default();
    request.header.family = number(of);
    let index = index.map(NeighbourAttribute::IfIndex);
    request.attributes.extend(index);
    socket.dump(RouteNetlinkMessage::GetNeighbour(request), into, read)
}

/// The addresses of one device or of all, as `read` makes them of messages.
pub(super) fn addresses<T>(
    socket: &mut Socket,
    index: Option<u32>,
    into: &mut Vec<T>,
    read: impl Fn(&[u8]) -> Option<T>,
) -> Result<(), NetlinkError> {
    let mut request = AddressMessage::default();
    request.header.index = index.unwrap_or(0);
    gone_is_empty(socket.dump(RouteNetlinkMessage::GetAddress(request), into, read))
}

/// The routes of the main table.
pub(super) fn routes<T>(
    socket: &mut Socket,
    of: Family,
    into: &mut Vec<T>,
    read: impl Fn(&[u8]) -> Option<T>,
) -> Result<(), NetlinkError> {
    let mut request = RouteMessage::default();
    request.header.address_family = number(of);
    request.header.table = RouteHeader::RT_TABLE_MAIN;
    // A kernel without IPv6 answers with the routes of all other families.
    let read = |body: &[u8]| {
        let same = family(*body.first()?) == Some(of);
        same.then(|| read(body)).flatten()
    };
    gone_is_empty(socket.dump(RouteNetlinkMessage::GetRoute(request), into, read))
}

/// A table that was never used is not there, and neither is a device that went just now.
fn gone_is_empty(listed: Result<(), NetlinkError>) -> Result<(), NetlinkError> {
    match listed {
        Err(NetlinkError::Refused(refusal))
            if [Errno::NOENT, Errno::NODEV].contains(&refusal.errno) =>
        {
            Ok(())
        }
        other => other,
    }
}

/// Is it ours, or where one of ours should be?
fn concerns(route: &SeenRoute, us: &Us) -> bool {
    let on_ours = match route.hop {
        Hop::Gateway { device, .. } | Hop::Device(device) => us.devices.contains(&device),
        Hop::Unreachable | Hop::Other => false,
    };
    route.protocol == PROTOCOL
        || on_ours
        || route.metric == entry::metric(route.subnet)
        || route.metric == entry::UNREACHABLE_METRIC
}

fn devices(links: &[Link], us: &Us) -> BTreeMap<u32, Vni> {
    links
        .iter()
        .filter(|link| us.devices.contains(&link.index))
        .filter_map(|link| Some((link.index, Vni::try_from(link.vxlan.vni).ok()?)))
        .collect()
}

fn list(what: &'static str) -> impl Fn(NetlinkError) -> LookError {
    move |source| LookError::List { what, source }
}
