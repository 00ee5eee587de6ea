//! On the real kernel, each test in a network namespace of its own. `nft` and packets
//! are what the expectations come from.

pub mod around;
mod install;
pub mod namespace;
mod packets;
pub mod ports;
pub mod published;
mod tampering;
mod watch;

use std::{collections::BTreeSet, net::IpAddr};

use overlay::datapath::firewall::{Firewall, Frame, Seen};

use super::Table;

/// The uplink of the tests, and the address that it has in the packets' ones.
const UPLINK: &str = "up0";

fn frame() -> Frame {
    Frame {
        ports: [4789].into(),
        uplinks: [UPLINK.to_owned()].into(),
        pools: ["10.31.0.0/16", "fd77:1::/32"]
            .map(|pool| pool.parse().unwrap())
            .into(),
        masquerade: BTreeSet::new(),
        publishing: BTreeSet::new(),
    }
}

fn addresses(addresses: &[&str]) -> BTreeSet<IpAddr> {
    addresses
        .iter()
        .map(|address| address.parse().unwrap())
        .collect()
}

fn firewall(frame: Frame, sources: &[&str]) -> Firewall {
    Firewall {
        frame,
        sources: addresses(sources),
        published: BTreeSet::new(),
    }
}

/// Ten thousand of both families.
fn ten_thousand() -> BTreeSet<IpAddr> {
    (0..5000u32)
        .flat_map(|number| {
            let v4 = std::net::Ipv4Addr::from_bits((172 << 24 | 16 << 16) + number);
            let v6 = std::net::Ipv6Addr::from_bits((0x2001_0db8u128 << 96) + u128::from(number));
            [IpAddr::from(v4), IpAddr::from(v6)]
        })
        .collect()
}

fn untouched(firewall: &Firewall) -> Option<Seen> {
    Some(Seen {
        frame: Some(firewall.frame.clone()),
        sources: firewall.sources.clone(),
        published: firewall.published.clone(),
    })
}
