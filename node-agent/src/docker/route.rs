//! What a container's interface is given by dockerd, which moves, names and addresses it.

use std::net::IpAddr;

use overlay::{
    endpoint::Form,
    subnet::{Family, Subnet},
};
use socket::words::Attached;

use super::words::{InterfaceName, Joined, StaticRoute};

/// `handed`: where its end waits. `internal`: it reaches its network and nothing else.
pub fn joined(attached: &Attached, handed: String, internal: bool) -> Joined {
    let of = |family| {
        let has = attached.endpoint.addresses.iter();
        let has = has.copied().any(|address| Family::of(address) == family);
        let mut gateways = attached.gateways.iter().copied();
        gateways.find(|gateway| has && Family::of(*gateway) == family)
    };
    let gateways: Vec<IpAddr> = Family::BOTH.into_iter().filter_map(of).collect();
    let mut routes = Vec::new();
    if attached.endpoint.form == Form::Routed {
        // Its own address is all it knows to be on its link.
        routes.extend(gateways.iter().map(|gateway| StaticRoute {
            destination: format!("{gateway}/{}", Family::of(*gateway).bits()),
            route_type: 1,
            next_hop: None,
        }));
    }
    // Docker may send everything else another way: this network stays here.
    let pools = attached
        .pools
        .iter()
        .filter(|pool| beyond(attached, **pool));
    routes.extend(pools.filter_map(|pool| {
        let mut gateways = gateways.iter().copied();
        Some(StaticRoute {
            destination: pool.to_string(),
            route_type: 0,
            next_hop: Some(gateways.find(|gateway| Family::of(*gateway) == pool.family())?),
        })
    }));
    let out = |family| Some(of(family)).filter(|_| !internal).flatten();
    Joined {
        interface_name: InterfaceName {
            src_name: handed,
            dst_prefix: "eth",
        },
        gateway: out(Family::V4),
        gateway_v6: out(Family::V6),
        static_routes: routes,
        disable_gateway_service: internal,
    }
}

/// Is there more in it than on the link? The kernel takes one route to a place.
fn beyond(attached: &Attached, pool: Subnet) -> bool {
    let mut links = attached.on_link.iter();
    !links.any(|link| pool.holds(link.address) && pool.length() >= link.length)
}

#[cfg(test)]
mod tests;
