//! The main routing table.

use std::net::IpAddr;

use overlay::{
    datapath::{
        entry::PROTOCOL,
        observed::{Hop, SeenRoute},
        step::{Doomed, Route, Target},
    },
    network::Vni,
    subnet::Family,
};

use super::{Kernel, Refusal};

impl Kernel {
    pub(super) fn set_route(&mut self, route: Route) -> Result<(), Refusal> {
        let hop = match route.target {
            Target::Overlay { vni, gateway } => self.through(vni, gateway)?,
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

    fn through(&self, vni: Vni, gateway: IpAddr) -> Result<Hop, Refusal> {
        let device = self.device(vni)?;
        if !self.link(device).up {
            return Err(Refusal::Down);
        }
        match Family::of(gateway) {
            Family::V4 if !self.has_v4() => return Err(Refusal::Gateway),
            Family::V4 => {}
            Family::V6 if !self.has_v6(device) => return Err(Refusal::NoIpv6),
            Family::V6 => {}
        }
        Ok(Hop::Gateway {
            gateway,
            device,
            onlink: gateway.is_ipv4(),
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
