//! What is not ours, and looks as if it were.

use std::net::IpAddr;

use overlay::{
    datapath::{
        device::{Link, Vxlan},
        entry,
        host::Host,
        observed::{Address, Fdb, Hop, Neighbour, Object, Observed, SeenRoute, Us, ours},
    },
    record::Mac,
    subnet::{Family, Subnet},
};
use proptest::prelude::*;

/// One kind of thing that somebody else has in a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Foreign {
    /// `flannel.1` has the VNI 1, too.
    Flannel,
    /// A VXLAN device with a VNI of ours, and another port and MAC.
    SameVni,
    /// Other routes to the subnets of our peers, through the uplink.
    SamePrefix,
    /// One that has the metric that ours should have.
    SameSlot,
    /// Routes through our devices with metrics of their own.
    OnOurDevice,
    /// Addresses of our devices that no host has: containers', bridges'.
    Addresses,
    /// Neighbours that the kernel found by itself.
    Neighbours,
}

const EVERY: [Foreign; 7] = [
    Foreign::Flannel,
    Foreign::SameVni,
    Foreign::SamePrefix,
    Foreign::SameSlot,
    Foreign::OnOurDevice,
    Foreign::Addresses,
    Foreign::Neighbours,
];
const THEIRS: Mac = Mac([2, 0x55, 0, 0, 0, 0x55]);
const STATIC: u8 = 4;

pub fn foreign() -> impl Strategy<Value = Vec<Foreign>> {
    prop::sample::subsequence(EVERY.to_vec(), 0..=EVERY.len())
}

/// Puts it into what a host's kernel holds.
pub fn plant(kind: Foreign, host: &Host, seen: &mut Observed) {
    match kind {
        Foreign::Flannel => device(500, "flannel.1", 1, 8472, seen),
        Foreign::SameVni => {
            for (index, member) in (501..).zip(host.members()) {
                device(
                    index,
                    &format!("vx{index}"),
                    member.vni().into(),
                    4999,
                    seen,
                );
            }
        }
        Foreign::SamePrefix => {
            for subnet in wanted(host) {
                route(subnet, 20, eth0(subnet), seen);
            }
        }
        Foreign::SameSlot => {
            for subnet in wanted(host).into_iter().step_by(2) {
                route(subnet, entry::metric(subnet), eth0(subnet), seen);
            }
        }
        Foreign::OnOurDevice => {
            for index in own_devices(host, seen) {
                let subnets = wanted(host).into_iter();
                for subnet in subnets.filter(|subnet| subnet.family() == Family::V4) {
                    route(subnet, 7, Hop::Device(index), seen);
                }
            }
        }
        Foreign::Addresses => {
            for index in own_devices(host, seen) {
                for (text, length) in [("10.99.0.1", 24), ("fd99::1", 64)] {
                    let address = text.parse().expect("an address");
                    seen.addresses.push(Address {
                        index,
                        address,
                        length,
                    });
                }
            }
        }
        Foreign::Neighbours => {
            for index in own_devices(host, seen) {
                seen.neighbours.push(Neighbour {
                    index,
                    address: "ff02::16".parse().expect("an address"),
                    mac: None,
                    permanent: false,
                });
            }
        }
    }
}

/// Of what was seen, all that is not ours and not on a device of ours.
pub fn is_foreign(seen: &Observed, us: &Us) -> Observed {
    let mut left = seen.clone();
    let elsewhere = |index: u32| !us.devices.contains(&index);
    left.links.retain(|link| elsewhere(link.index));
    left.addresses.retain(|address| elsewhere(address.index));
    left.fdb.retain(|fdb| elsewhere(fdb.index));
    left.neighbours
        .retain(|neighbour| elsewhere(neighbour.index));
    left.routes.retain(|route| {
        let on_ours = match route.hop {
            Hop::Gateway { device, .. } | Hop::Device(device) => us.devices.contains(&device),
            Hop::Unreachable | Hop::Other => false,
        };
        !on_ours && !ours(Object::Route(route), us)
    });
    left.firewall = None;
    for filter in left.filters.values_mut() {
        filter.jumps.clear();
        filter.rules = None;
    }
    left.sysctls.clear();
    left
}

/// Subnets to which the host will have routes.
fn wanted(host: &Host) -> Vec<Subnet> {
    let members = host.members();
    let routes = members.flat_map(|member| member.entries().routes.iter());
    routes.map(|(subnet, _)| *subnet).collect()
}

fn own_devices(host: &Host, seen: &Observed) -> Vec<u32> {
    Us::among(host.mac(), &seen.links)
        .devices
        .into_iter()
        .collect()
}

fn eth0(subnet: Subnet) -> Hop {
    let gateway = match subnet.family() {
        Family::V4 => "192.0.2.254",
        Family::V6 => "2001:db8:50::254",
    };
    Hop::Gateway {
        gateway: address(gateway),
        device: 2,
        onlink: false,
    }
}

/// Whatever has this place gives it up.
fn route(subnet: Subnet, metric: u32, hop: Hop, seen: &mut Observed) {
    seen.routes
        .retain(|route| (route.subnet, route.metric) != (subnet, metric));
    seen.routes.push(SeenRoute {
        subnet,
        metric,
        protocol: STATIC,
        hop,
    });
}

fn device(index: u32, name: &str, vni: u32, port: u16, seen: &mut Observed) {
    seen.links.push(Link {
        index,
        name: name.into(),
        mac: THEIRS,
        mtu: 1450,
        up: true,
        master: Some(7),
        makes_addresses: true,
        offload: Some(true),
        vxlan: Vxlan {
            vni,
            port,
            local: None,
            lower: None,
            learning: true,
        },
    });
    let base = address("10.244.1.0");
    seen.addresses.push(Address {
        index,
        address: base,
        length: 32,
    });
    seen.fdb.push(Fdb {
        index,
        mac: THEIRS,
        to: Some(address("192.0.2.3")),
        plain: true,
    });
    seen.neighbours.push(Neighbour {
        index,
        address: base,
        mac: Some(THEIRS),
        permanent: true,
    });
    let hop = Hop::Gateway {
        gateway: base,
        device: index,
        onlink: true,
    };
    route("10.244.1.0/24".parse().expect("a subnet"), 0, hop, seen);
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}
