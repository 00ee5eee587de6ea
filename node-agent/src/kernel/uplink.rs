//! Where packets leave this host.

use std::{cmp::Reverse, net::IpAddr};

use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{LinkAttribute, LinkExtentMask, LinkMessage},
    route::{RouteAttribute, RouteMessage},
};
use overlay::{
    datapath::uplink::Uplink,
    subnet::{Family, Subnet},
};
use rustix::io::Errno;
use thiserror::Error;

use super::{
    Kernel,
    decode::{
        address::{self, Fitness, Held},
        link::Interface,
        route::{self, Path},
    },
    look,
    message::number,
    netlink::{NetlinkError, Request},
};

/// What the operator says, and where the controllers are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UplinkAsk {
    pub iface: Option<String>,
    pub node_ip: Option<IpAddr>,
    pub towards: Vec<IpAddr>,
}

#[derive(Debug, Error)]
pub enum UplinkError {
    #[error("--node-ip {0}: no device of this host has this address")]
    NobodyHas(IpAddr),
    #[error("--node-ip {address} is not {family}, and the underlay of the network is")]
    OtherFamily { address: IpAddr, family: Family },
    #[error("--iface {0}: there is no such device")]
    NoSuchDevice(String),
    #[error("{device} has no global {family} address")]
    NoAddress { device: String, family: Family },
    #[error(
        "no {family} route leads to a controller, and there is no default route; give --iface or \
         --node-ip"
    )]
    NoRoute { family: Family },
    #[error("cannot ask the kernel for {what}")]
    Ask {
        what: &'static str,
        #[source]
        source: NetlinkError,
    },
}

/// A device and an address of this host.
#[derive(Debug, Clone, Copy)]
struct Way {
    device: u32,
    source: Option<IpAddr>,
}

impl Kernel {
    /// The device and address by which this host is reached in this family. Whether
    /// checksums may be left to the hardware, `offload` tells by the device's name.
    pub fn find(
        &mut self,
        ask: &UplinkAsk,
        family: Family,
        offload: impl FnOnce(&str) -> bool,
    ) -> Result<Uplink, UplinkError> {
        let held = self.held(family)?;
        let (mut device, address) = self.choose(ask, family, &held)?;
        if device.loopback {
            // An address that routers announce, and no cable leads to.
            let way = self.way_out(ask, family)?;
            device = self.device(way.device)?;
        }
        let on_link = held
            .iter()
            .filter(|held| held.address.index == device.index)
            .filter_map(|held| link_of(held, family));
        Ok(Uplink {
            index: device.index,
            mtu: device.mtu,
            address,
            on_link: on_link.collect(),
            offload: offload(&device.name),
            name: device.name,
        })
    }

    fn choose(
        &mut self,
        ask: &UplinkAsk,
        family: Family,
        held: &[Held],
    ) -> Result<(Interface, IpAddr), UplinkError> {
        let first = |device: &Interface| {
            let of_it =
                |held: &&Held| held.fitness != Fitness::No && held.address.index == device.index;
            let held = held.iter().find(of_it);
            held.map(|held| held.address.address)
                .ok_or_else(|| UplinkError::NoAddress {
                    device: device.name.clone(),
                    family,
                })
        };
        if let Some(address) = ask.node_ip {
            if Family::of(address) != family {
                return Err(UplinkError::OtherFamily { address, family });
            }
            let holder = held.iter().find(|held| held.address.address == address);
            let holder = holder.ok_or(UplinkError::NobodyHas(address))?;
            return Ok((self.device(holder.address.index)?, address));
        }
        if let Some(name) = &ask.iface {
            let device = self.named(name)?;
            let address = first(&device)?;
            return Ok((device, address));
        }
        let way = match self.way_to_controller(ask, family)? {
            Some(way) => way,
            None => match own(ask, held) {
                Some(way) => way,
                None => self
                    .way_everywhere(family)?
                    .ok_or(UplinkError::NoRoute { family })?,
            },
        };
        let device = self.device(way.device)?;
        // What the kernel would send from may be known to this link only, or for a while.
        let source = way.source.filter(|source| {
            let is_it = |held: &&Held| held.address.address == *source;
            held.iter()
                .find(is_it)
                .is_some_and(|held| held.fitness != Fitness::No)
        });
        let address = source.map_or_else(|| first(&device), Ok)?;
        Ok((device, address))
    }

    /// The way to a controller, or else to everywhere.
    fn way_out(&mut self, ask: &UplinkAsk, family: Family) -> Result<Way, UplinkError> {
        match self.way_to_controller(ask, family)? {
            Some(way) => Ok(way),
            None => self
                .way_everywhere(family)?
                .ok_or(UplinkError::NoRoute { family }),
        }
    }

    fn way_to_controller(
        &mut self,
        ask: &UplinkAsk,
        family: Family,
    ) -> Result<Option<Way>, UplinkError> {
        let towards = ask.towards.iter();
        for &controller in towards.filter(|controller| Family::of(**controller) == family) {
            if let Some(way) = self.way_to(controller)? {
                return Ok(Some(way));
            }
        }
        Ok(None)
    }

    /// None where the kernel knows no way, or delivers to itself.
    fn way_to(&mut self, address: IpAddr) -> Result<Option<Way>, UplinkError> {
        let family = Family::of(address);
        let mut request = RouteMessage::default();
        request.header.address_family = number(family);
        request.header.destination_prefix_length = family.bits();
        request.attributes = vec![RouteAttribute::Destination(address.into())];
        let request = Request {
            payload: RouteNetlinkMessage::GetRoute(request),
            flags: 0,
        };
        let mut path = None;
        let asked = self
            .socket
            .ask(request, &mut |message| path = route::answer(message.body));
        match asked {
            Err(NetlinkError::Refused(refusal))
                if [
                    Errno::NETUNREACH,
                    Errno::HOSTUNREACH,
                    Errno::SRCH,
                    Errno::INVAL,
                ]
                .contains(&refusal.errno) =>
            {
                Ok(None)
            }
            Err(source) => Err(ask_for("a route")(source)),
            Ok(()) => Ok(path.and_then(|path| self.way(&path))),
        }
    }

    fn way_everywhere(&mut self, family: Family) -> Result<Option<Way>, UplinkError> {
        let mut defaults = Vec::new();
        let read = |body: &[u8]| route::path(body).filter(|path| path.route.subnet.length() == 0);
        look::routes(&mut self.socket, family, &mut defaults, read)
            .map_err(ask_for("its routes"))?;
        defaults.sort_by_key(|path| path.route.metric);
        Ok(defaults.iter().find_map(|path| self.way(path)))
    }

    /// A way through the overlay is no way to make one.
    fn way(&self, path: &Path) -> Option<Way> {
        let device = path.device.filter(|_| path.leads_out)?;
        let way = Way {
            device,
            source: path.source,
        };
        (!self.devices.contains_key(&device)).then_some(way)
    }

    /// All addresses of this family, the fittest first.
    fn held(&mut self, family: Family) -> Result<Vec<Held>, UplinkError> {
        let mut held = Vec::new();
        look::addresses(&mut self.socket, None, &mut held, |body| {
            let held = address::read(body)?;
            (Family::of(held.address.address) == family).then_some(held)
        })
        .map_err(ask_for("its addresses"))?;
        held.sort_by_key(|held| Reverse(held.fitness));
        Ok(held)
    }

    fn device(&mut self, index: u32) -> Result<Interface, UplinkError> {
        let mut request = LinkMessage::default();
        request.header.index = index;
        let found = self.interface(request).map_err(ask_for("a device"))?;
        found.ok_or_else(|| UplinkError::NoSuchDevice(index.to_string()))
    }

    fn named(&mut self, name: &str) -> Result<Interface, UplinkError> {
        let mut request = LinkMessage::default();
        request.attributes = vec![LinkAttribute::IfName(name.to_owned())];
        let found = match self.interface(request) {
            // The kernel has its own idea of how long a name may be.
            Err(NetlinkError::Refused(refusal))
                if [Errno::NODEV, Errno::INVAL, Errno::RANGE].contains(&refusal.errno) =>
            {
                None
            }
            asked => asked.map_err(ask_for("a device"))?,
        };
        found.ok_or_else(|| UplinkError::NoSuchDevice(name.to_owned()))
    }

    /// The one device that this request is about.
    pub(super) fn interface(
        &mut self,
        mut request: LinkMessage,
    ) -> Result<Option<Interface>, NetlinkError> {
        let mask = vec![LinkExtentMask::SkipStats];
        request.attributes.push(LinkAttribute::ExtMask(mask));
        let request = Request {
            payload: RouteNetlinkMessage::GetLink(request),
            flags: 0,
        };
        let mut interface = None;
        self.socket.ask(request, &mut |message| {
            interface = Interface::read(message.body);
        })?;
        Ok(interface)
    }
}

/// What is on the same link, by this address.
fn link_of(held: &Held, family: Family) -> Option<Subnet> {
    let length = held.address.length;
    if length == family.bits() || is_link_local(held.address.address) {
        return None;
    }
    let bits = match held.address.address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    };
    let shift = u32::from(family.bits().checked_sub(length)?);
    Subnet::numbered(family, length, bits.unbounded_shr(shift))
}

/// Every link has this one.
fn is_link_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    }
}

fn ask_for(what: &'static str) -> impl Fn(NetlinkError) -> UplinkError {
    move |source| UplinkError::Ask { what, source }
}

/// A controller on this very host listens where others reach the host.
fn own(ask: &UplinkAsk, held: &[Held]) -> Option<Way> {
    let listens = |held: &&Held| {
        let address = held.address.address;
        !address.is_loopback() && ask.towards.contains(&address)
    };
    let own = held.iter().find(listens)?.address;
    Some(Way {
        device: own.index,
        source: Some(own.address),
    })
}

#[cfg(test)]
mod tests;
