//! A VXLAN overlay made by hand, as the agent is to make it: what shows that a lab can
//! carry one, and what an agent's can be compared with.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use anyhow::Result;

use super::{Container, Host, Lab};

pub const VNI: u32 = 1;
pub const PORT: u16 = 4789;

/// Of which family the outer packets are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Underlay {
    V4,
    V6,
}

impl Underlay {
    /// What its headers leave of 1500.
    pub fn mtu(self) -> u32 {
        match self {
            Self::V4 => 1450,
            Self::V6 => 1430,
        }
    }

    fn of(self, host: &Host) -> IpAddr {
        match self {
            Self::V4 => host.v4().into(),
            Self::V6 => host.v6().into(),
        }
    }
}

impl Lab {
    /// Joins all hosts, which become routers, and gives each a container of both
    /// families: 10.31.h.5 and fd77:1:h::5.
    pub fn overlay_by_hand(&self, underlay: Underlay) -> Result<Vec<Container>> {
        self.hosts()
            .iter()
            .map(|host| self.join(host, underlay))
            .collect()
    }

    fn join(&self, host: &Host, underlay: Underlay) -> Result<Container> {
        host.forward()?;
        let (mtu, local) = (underlay.mtu(), underlay.of(host));
        let (number, mac) = (byte(host), text(mac(host)));
        // An address comes before any route: the device of a route needs one.
        host.ip(&[
            format!(
                "link add weft1 address {mac} mtu {mtu} type vxlan id {VNI} \
                 local {local} dstport {PORT} nolearning dev eth0"
            ),
            "link set weft1 addrgenmode none up".to_owned(),
            format!("addr add 10.31.{number}.0/32 dev weft1"),
            format!("addr add fd77:1:{number}::/128 dev weft1 nodad"),
        ])?;
        for peer in self.hosts() {
            if peer.number != host.number {
                reach(host, peer, underlay)?;
            }
        }
        let addresses = [v4(number, 5).into(), v6(number, 5).into()];
        host.container_with(&format!("c{number}"), &addresses, mtu)
    }
}

impl Host {
    /// Lets packets through that are for others.
    pub fn forward(&self) -> Result<()> {
        self.sysctl("net/ipv4/ip_forward", "1")?;
        self.sysctl("net/ipv6/conf/all/forwarding", "1")
    }
}

/// Of a host's VXLAN device.
pub fn mac(host: &Host) -> [u8; 6] {
    [0x02, 0x77, 0, 0, byte(host), 0x01]
}

/// In the subnet of a host.
pub fn v4(host: u8, last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 31, host, last)
}

/// In the subnet of a host, which has the digits of its number.
pub fn v6(host: u8, last: u8) -> Ipv6Addr {
    let text = format!("fd77:1:{host}::{last}");
    text.parse().expect("digits make an address")
}

fn reach(host: &Host, peer: &Host, underlay: Underlay) -> Result<()> {
    let (number, mac) = (byte(peer), text(mac(peer)));
    let remote = underlay.of(peer).to_string();
    let entry = ["bridge", "fdb", "add", &mac, "dev", "weft1", "dst"];
    host.done(&[&entry[..], &[&remote, "self", "permanent"]].concat())?;
    host.ip(&[
        format!("neigh replace 10.31.{number}.0 lladdr {mac} dev weft1 nud permanent"),
        format!("neigh replace fd77:1:{number}:: lladdr {mac} dev weft1 nud permanent"),
        format!("route replace 10.31.{number}.0/24 via 10.31.{number}.0 dev weft1 onlink"),
        format!("route replace fd77:1:{number}::/64 via fd77:1:{number}:: dev weft1 onlink"),
    ])
}

fn byte(host: &Host) -> u8 {
    u8::try_from(host.number).expect("one by hand has few hosts")
}

fn text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
