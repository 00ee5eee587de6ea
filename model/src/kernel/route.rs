//! The main routing table.

use std::net::IpAddr;

use overlay::{
    datapath::{
        entry::PROTOCOL,
        observed::{Hop, SeenRoute},
        step::{Doomed, Route, Target},
    },
    network::Vni,
    subnet::{Family, Subnet},
};

use super::{Kernel, Refusal};

impl Kernel {
    pub(super) fn set_route(&mut self, route: Route) -> Result<(), Refusal> {
        let hop = match route.target {
            Target::Overlay(vni) => self.through(vni, route.subnet)?,
            Target::Direct { gateway, device } => self.direct(gateway, device)?,
            Target::Unreachable => Hop::Unreachable,
        };
        self.put_route(SeenRoute {
            subnet: route.subnet,
            metric: route.metric(),
            protocol: PROTOCOL,
            hop,
        });
        Ok(())
    }

    fn through(&self, vni: Vni, subnet: Subnet) -> Result<Hop, Refusal> {
        let device = self.device(vni)?;
        if !self.link(device).up {
            return Err(Refusal::Down);
        }
        let gateway = subnet.address();
        match subnet.family() {
            Family::V4 if !self.has_v4() => return Err(Refusal::Gateway),
            Family::V4 => {}
            Family::V6 if !self.has_v6(device) => return Err(Refusal::NoIpv6),
            Family::V6 if self.is_elsewhere(gateway, device) => {
                return Err(Refusal::GatewayElsewhere);
            }
            Family::V6 => {}
        }
        Ok(Hop::Gateway {
            gateway,
            device,
            onlink: true,
        })
    }

    /// IPv6 looks a gateway up even where it is told that it is on the link: a route
    /// that leads to it through another device, other than the default route, is
    /// against it.
    fn is_elsewhere(&self, gateway: IpAddr, device: u32) -> bool {
        let routes = self.state.routes.iter();
        let leads = routes.filter(|route| route.subnet.holds(gateway));
        // The longest, and of these the one with the least metric.
        let best = leads.min_by_key(|route| (128 - route.subnet.length(), route.metric));
        best.is_some_and(|route| match route.hop {
            Hop::Gateway { device: other, .. } | Hop::Device(other) => {
                other != device && route.subnet.length() > 0
            }
            Hop::Unreachable => false,
            Hop::Other => true,
        })
    }

    fn direct(&self, gateway: IpAddr, device: u32) -> Result<Hop, Refusal> {
        let below = self.below.get(&device).ok_or(Refusal::NoDevice)?;
        if !below.iter().any(|uplink| uplink.reaches(gateway)) {
            return Err(Refusal::Gateway);
        }
        Ok(Hop::Gateway {
            gateway,
            device,
            onlink: false,
        })
    }

    /// In place of the one with the same prefix and metric, whosever it is.
    pub(crate) fn put_route(&mut self, route: SeenRoute) {
        let same =
            |seen: &&mut SeenRoute| (seen.subnet, seen.metric) == (route.subnet, route.metric);
        match self.state.routes.iter_mut().find(same) {
            Some(place) => *place = route,
            None => self.state.routes.push(route),
        }
    }

    pub(super) fn drop_route(&mut self, doomed: Doomed) {
        let same = |seen: &SeenRoute| {
            (seen.subnet, seen.metric, seen.protocol)
                == (doomed.subnet, doomed.metric, doomed.protocol)
                && (seen.hop == Hop::Unreachable) == doomed.unreachable
        };
        if let Some(place) = self.state.routes.iter().position(same) {
            self.state.routes.remove(place);
        }
    }
}
