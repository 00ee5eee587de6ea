//! The list of all tamperings.

use std::{collections::BTreeSet, net::IpAddr};

use overlay::{
    datapath::{
        device::Link,
        entry,
        firewall::Published,
        host::Host,
        observed::{Address, Fdb, Hop, Neighbour, Object, SeenRoute, ours},
    },
    record::Mac,
    subnet::{Family, Subnet},
};

use super::{Damage, Tampering};
use crate::kernel::Kernel;

/// Nobody's.
const STRANGER: Mac = Mac([2, 0x66, 0, 0, 0, 0x66]);

impl Kernel {
    /// All that can be done to the objects of ours that this kernel holds, one field at
    /// a time, and to the settings that the host has made.
    pub fn tamperings(&self, host: &Host) -> Vec<Tampering> {
        let us = self.us();
        let state = &self.state;
        let mut all = Vec::new();
        for link in &state.links {
            if us.devices.contains(&link.index) {
                let damages = damages(link).into_iter();
                all.extend(damages.map(|damage| Tampering::Device(link.index, damage)));
                strays(link.index, &mut all);
            }
        }
        for address in &state.addresses {
            if ours(Object::Address(address), &us) {
                all.push(Tampering::AddressGone(*address));
                all.push(Tampering::AddressLength(*address, address.length - 8));
            }
        }
        for fdb in &state.fdb {
            if ours(Object::Fdb(fdb), &us) {
                of_fdb(*fdb, &mut all);
            }
        }
        for neighbour in &state.neighbours {
            if ours(Object::Neighbour(neighbour), &us) {
                of_neighbour(*neighbour, &mut all);
            }
        }
        let devices: Vec<u32> = us.devices.iter().copied().chain([2]).collect();
        for route in &state.routes {
            if ours(Object::Route(route), &us) {
                all.push(Tampering::RouteGone(*route));
                let others = others(*route, &devices).into_iter();
                all.extend(others.map(|other| Tampering::RouteChanged(*route, other)));
            }
        }
        for setting in host.settings() {
            let from = setting.only_from.unwrap_or("0");
            let from = if setting.sysctl.value == "0" {
                "1"
            } else {
                from
            };
            if state.sysctls.contains_key(&setting.sysctl.path) {
                all.push(Tampering::Sysctl(setting.sysctl.path, from));
            }
        }
        if let Some(table) = &state.firewall {
            all.extend([Tampering::TableGone, Tampering::Table]);
            all.push(Tampering::Source(address("192.0.2.66")));
            let sources = table.sources.iter();
            all.extend(sources.map(|source| Tampering::SourceGone(*source)));
            for port in &table.published {
                let other = Published {
                    to_port: port.to_port + 1,
                    ..*port
                };
                let more = Published {
                    host_port: 9_999,
                    ..*port
                };
                all.extend([other, more].map(Tampering::Port));
                all.push(Tampering::PortGone(*port));
            }
        }
        all
    }
}

fn damages(link: &Link) -> Vec<Damage> {
    let local = link.vxlan.local.unwrap_or(address("192.0.2.1"));
    let (same, other) = match Family::of(local) {
        Family::V4 => ("192.0.2.99", "2001:db8:50::99"),
        Family::V6 => ("2001:db8:50::99", "192.0.2.99"),
    };
    vec![
        Damage::Gone,
        Damage::Down,
        Damage::Name,
        Damage::Mac(STRANGER),
        Damage::Mtu(link.mtu - 10),
        Damage::Mtu(1280),
        Damage::Mtu(1000),
        Damage::Master,
        Damage::MakesAddresses,
        Damage::Offload(!link.offload.unwrap_or(true)),
        Damage::Learning,
        Damage::Local(Some(address(same))),
        Damage::Local(None),
        Damage::Lower(Some(99)),
        Damage::Lower(None),
        Damage::Port(link.vxlan.port + 100),
        Damage::OtherFamily(address(other)),
    ]
}

/// What looks as if it were ours, for peers that there are not.
fn strays(index: u32, all: &mut Vec<Tampering>) {
    for stray in ["10.66.6.0", "fd66::"] {
        let stray = address(stray);
        all.push(Tampering::Address(Address {
            index,
            address: stray,
            length: Family::of(stray).bits(),
        }));
        all.push(Tampering::Neighbour(Neighbour {
            index,
            address: stray,
            mac: Some(STRANGER),
            permanent: true,
        }));
    }
    all.push(Tampering::Fdb(Fdb {
        index,
        mac: STRANGER,
        to: Some(address("192.0.2.66")),
        plain: true,
    }));
    for stray in ["10.66.6.0/24", "fd66::/64"] {
        let subnet: Subnet = stray.parse().expect("a subnet");
        all.push(Tampering::Route(SeenRoute {
            subnet,
            metric: entry::metric(subnet),
            protocol: entry::PROTOCOL,
            hop: Hop::Gateway {
                gateway: subnet.address(),
                device: index,
                onlink: true,
            },
        }));
    }
}

fn of_fdb(fdb: Fdb, all: &mut Vec<Tampering>) {
    all.push(Tampering::FdbGone(fdb.index, fdb.mac));
    let other = address("192.0.2.66");
    for to in [Some(other), None] {
        all.push(Tampering::Fdb(Fdb { to, ..fdb }));
    }
    all.push(Tampering::Fdb(Fdb {
        plain: false,
        ..fdb
    }));
}

fn of_neighbour(neighbour: Neighbour, all: &mut Vec<Tampering>) {
    all.push(Tampering::NeighbourGone(neighbour.index, neighbour.address));
    for mac in [Some(STRANGER), None] {
        all.push(Tampering::Neighbour(Neighbour { mac, ..neighbour }));
    }
    all.push(Tampering::Neighbour(Neighbour {
        permanent: false,
        ..neighbour
    }));
}

/// This route with one field changed.
fn others(route: SeenRoute, devices: &[u32]) -> Vec<SeenRoute> {
    let protocol = 4;
    let metric = route.metric + 1;
    let mut others = vec![
        SeenRoute { protocol, ..route },
        SeenRoute { metric, ..route },
    ];
    let hop = |hop| SeenRoute { hop, ..route };
    match route.hop {
        Hop::Gateway {
            gateway,
            device,
            onlink,
        } => {
            let other = match Family::of(gateway) {
                Family::V4 => address("192.0.2.66"),
                Family::V6 => address("2001:db8:50::66"),
            };
            others.push(hop(Hop::Gateway {
                gateway: other,
                device,
                onlink,
            }));
            others.push(hop(Hop::Gateway {
                gateway,
                device,
                onlink: !onlink,
            }));
            let elsewhere: BTreeSet<u32> = devices.iter().copied().collect();
            for device in elsewhere.into_iter().filter(|other| *other != device) {
                others.push(hop(Hop::Gateway {
                    gateway,
                    device,
                    onlink,
                }));
            }
            others.extend([hop(Hop::Device(device)), hop(Hop::Unreachable)]);
        }
        Hop::Unreachable | Hop::Device(_) | Hop::Other => {
            others.push(hop(Hop::Device(2)));
        }
    }
    others.push(hop(Hop::Other));
    others
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}
