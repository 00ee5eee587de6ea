//! The nftables table `inet weft`: the VXLAN port is open to known peers alone, and
//! containers reach no VTEP; packets that leave the overlay are masqueraded; ports of the
//! host lead to containers: [`published`].

use std::{collections::BTreeSet, fmt, net::IpAddr};

use crate::subnet::Subnet;

pub use published::{Ports, Published};

pub mod published;

/// The table's name; of its family, `inet`, there is only one such.
pub const TABLE: &str = "weft";

/// Everything but the peers: it changes when networks do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Frame {
    /// The UDP ports of all networks.
    pub ports: BTreeSet<u16>,
    /// The devices at which packets of the overlay arrive. They are guarded at
    /// ingress, where it costs least.
    pub uplinks: BTreeSet<String>,
    /// The pools of all networks: what goes there stays in the overlay.
    pub pools: BTreeSet<Subnet>,
    /// The subnets of this node whose packets are masqueraded when they leave.
    pub masquerade: BTreeSet<Subnet>,
    /// The subnets of this node to whose containers ports of the host lead; none while
    /// no port does.
    pub publishing: BTreeSet<Subnet>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Firewall {
    pub frame: Frame,
    /// The underlay addresses of all peers: a set, so that ten thousand cost a packet
    /// no more than one.
    pub sources: BTreeSet<IpAddr>,
    /// One to a place.
    pub published: BTreeSet<Published>,
}

/// The table as a kernel has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// What was installed, if nothing of it was changed since.
    pub frame: Option<Frame>,
    pub sources: BTreeSet<IpAddr>,
    pub published: BTreeSet<Published>,
}

impl fmt::Display for Firewall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Frame {
            ports,
            uplinks,
            masquerade,
            ..
        } = &self.frame;
        let ports: Vec<String> = ports.iter().map(u16::to_string).collect();
        let uplinks: Vec<&str> = uplinks.iter().map(String::as_str).collect();
        write!(
            f,
            "udp {} on {}, sources: {}",
            ports.join(","),
            uplinks.join(","),
            self.sources.len()
        )?;
        if !masquerade.is_empty() {
            let subnets: Vec<String> = masquerade.iter().map(Subnet::to_string).collect();
            write!(f, ", masquerade {}", subnets.join(","))?;
        }
        if !self.published.is_empty() {
            write!(f, ", published: {}", self.published.len())?;
        }
        Ok(())
    }
}
