//! One network on this host: the network, this node's lease in it, its peers, and what
//! follows from them for the kernel.

use std::{net::IpAddr, time::Duration};

use super::{
    device::Device,
    entry::{Entries, Keys, Reach, Via},
    loss::{Loss, is_sudden},
    step::{Route, Step, Target},
    uplink::{LEAST_MTU_V6, Uplink},
};
use crate::{
    feed::{Peer, PeerChanges, Peers},
    network::{Encap, Network, Vni},
    record::Mac,
    subnet::{Family, Subnet},
};

use exchange::Before;

mod exchange;

/// What is known of a network's peers. Before everything is known nothing is deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    Unsynced,
    /// As the last good state on disk has them. The kernel may have later ones: what is
    /// missing is made, and what is there stays as it is.
    Restored(Peers),
    /// All of them, as a controller told.
    Synced(Peers),
}

impl Known {
    pub fn peers(&self) -> Option<&Peers> {
        match self {
            Self::Unsynced => None,
            Self::Restored(peers) | Self::Synced(peers) => Some(peers),
        }
    }

    pub fn is_complete(&self) -> bool {
        match self {
            Self::Unsynced | Self::Restored(_) => false,
            Self::Synced(_) => true,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    network: Network,
    own: Vec<Subnet>,
    mac: Mac,
    uplink: Option<Uplink>,
    known: Known,
    loss: Loss,
    reach: Reach,
    entries: Entries,
}

/// What the host itself needs for a network, besides its peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub device: Device,
    /// The base addresses of its own subnets. Without one the kernel forwards nothing.
    pub addresses: Vec<IpAddr>,
    /// Its own subnets.
    pub own: Vec<Subnet>,
}

impl Member {
    pub fn new(network: Network, own: Vec<Subnet>, mac: Mac) -> Self {
        let mut member = Self {
            network,
            own,
            mac,
            uplink: None,
            known: Known::Unsynced,
            loss: Loss::default(),
            reach: Reach::default(),
            entries: Entries::default(),
        };
        member.follow();
        member
    }

    /// The network or the lease is another now. True: the kernel has to follow.
    pub fn renew(&mut self, network: Network, own: Vec<Subnet>) -> bool {
        if self.network == network && self.own == own {
            return false;
        }
        (self.network, self.own) = (network, own);
        self.follow();
        true
    }

    /// Where it leaves the host. True: it is another way than before.
    pub fn set_uplink(&mut self, uplink: Uplink) -> bool {
        if self.uplink.as_ref() == Some(&uplink) {
            return false;
        }
        self.uplink = Some(uplink);
        self.follow();
        true
    }

    /// All peers there are. Of losses that are too sudden to be believed, most are held
    /// until `until`.
    pub fn snapshot(&mut self, peers: Peers, until: Duration) -> Vec<Step> {
        let Some(known) = self.known.peers() else {
            for peer in peers.values() {
                self.entries.add(peer, &self.reach);
            }
            self.known = Known::Synced(peers);
            return self.everything();
        };
        let mut changes = PeerChanges::default();
        for (node, peer) in &peers {
            if known.get(node) != Some(peer) {
                changes.set.insert(node.clone(), peer.clone());
            }
        }
        let gone = known.keys().filter(|node| !peers.contains_key(*node));
        changes.gone = gone.cloned().collect();
        let steps = self.change(changes, until);
        self.confirm();
        steps
    }

    /// Everything known was read from disk.
    pub fn doubt(&mut self) {
        if let Known::Synced(peers) = &mut self.known {
            self.known = Known::Restored(std::mem::take(peers));
        }
    }

    /// A controller told all that was missing from it. True: the kernel has to follow.
    pub fn confirm(&mut self) -> bool {
        let Known::Restored(peers) = &mut self.known else {
            return false;
        };
        self.known = Known::Synced(std::mem::take(peers));
        true
    }

    /// What became different, and the steps that it takes: they cost what changed, and
    /// not what there is.
    pub fn change(&mut self, changes: PeerChanges, until: Duration) -> Vec<Step> {
        let (Known::Restored(peers) | Known::Synced(peers)) = &mut self.known else {
            // Changes without what they change: a snapshot will come.
            return Vec::new();
        };
        let before = peers.len();
        let lost: Peers = changes
            .gone
            .into_iter()
            .filter_map(|node| peers.remove_entry(&node))
            .collect();
        let mut dropped: Vec<Peer> = Vec::new();
        if is_sudden(lost.len(), before) {
            self.loss.hold(lost, until);
        } else {
            dropped.extend(lost.into_values());
        }
        let mut added: Vec<Peer> = Vec::with_capacity(changes.set.len());
        for (node, peer) in changes.set {
            dropped.extend(self.loss.make_room(&node, &peer));
            added.push(peer.clone());
            dropped.extend(peers.insert(node, peer));
        }
        self.exchange(&dropped, &added)
    }

    /// Lets go of the peers that were held for long enough.
    pub fn let_go(&mut self, now: Duration) -> Vec<Step> {
        let dropped = self.loss.let_go(now);
        self.exchange(&dropped, &[])
    }

    pub fn network(&self) -> &Network {
        &self.network
    }

    pub fn vni(&self) -> Vni {
        self.network.vni
    }

    pub fn own(&self) -> &[Subnet] {
        &self.own
    }

    pub fn uplink(&self) -> Option<&Uplink> {
        self.uplink.as_ref()
    }

    /// The same, if packets of the overlay fit through.
    pub fn path(&self) -> Option<&Uplink> {
        self.uplink().filter(|uplink| uplink.overlay_mtu().is_ok())
    }

    pub fn known(&self) -> &Known {
        &self.known
    }

    /// Gone, and kept for a while.
    pub fn held(&self) -> &Loss {
        &self.loss
    }

    pub fn entries(&self) -> &Entries {
        &self.entries
    }

    pub fn reach(&self) -> &Reach {
        &self.reach
    }

    /// None while it is not known where packets leave the host.
    pub fn wanted(&self) -> Option<Wanted> {
        let uplink = self.path()?;
        let mtu = uplink.overlay_mtu().ok()?;
        let own: Vec<Subnet> = self
            .own
            .iter()
            .copied()
            .filter(|subnet| self.reach.families.contains(&subnet.family()))
            .collect();
        Some(Wanted {
            device: Device {
                vni: self.network.vni,
                port: self.network.port,
                mac: self.mac,
                mtu,
                local: uplink.address,
                lower: uplink.index,
                offload: uplink.offload,
            },
            addresses: own.iter().map(|subnet| subnet.address()).collect(),
            own,
        })
    }

    /// What keeps this network from working as it should on this host.
    pub fn problem(&self) -> Option<String> {
        let underlay = self.network.underlay;
        let Some(uplink) = &self.uplink else {
            return Some(format!(
                "no {underlay} address of this host is known; give --iface or --node-ip"
            ));
        };
        let mtu = match uplink.overlay_mtu() {
            Ok(mtu) => mtu,
            Err(error) => return Some(error.to_string()),
        };
        let left_out = self
            .own
            .iter()
            .find(|subnet| !self.reach.families.contains(&subnet.family()));
        left_out.map(|subnet| {
            format!(
                "{subnet} is left out: the MTU of {} leaves {mtu}, and IPv6 needs {LEAST_MTU_V6}",
                uplink.name
            )
        })
    }

    /// The entry of this subnet as a step.
    pub(super) fn route(&self, subnet: Subnet, via: Via) -> Route {
        let target = match (via, &self.uplink) {
            (Via::Direct(gateway), Some(uplink)) => Target::Direct {
                gateway,
                device: uplink.index,
            },
            (Via::Overlay(gateway) | Via::Direct(gateway), _) => Target::Overlay {
                vni: self.network.vni,
                gateway,
            },
        };
        Route { subnet, target }
    }

    /// Derives again what follows from network, lease and uplink.
    fn follow(&mut self) {
        let reach = self.derive_reach();
        if reach == self.reach {
            return;
        }
        self.reach = reach;
        self.entries = Entries::default();
        if let Some(peers) = self.known.peers() {
            for peer in peers.values().chain(self.loss.peers().values()) {
                self.entries.add(peer, &self.reach);
            }
        }
    }

    fn derive_reach(&self) -> Reach {
        let mtu = self
            .uplink
            .as_ref()
            .and_then(|uplink| uplink.overlay_mtu().ok());
        let fits = |family: Family| match family {
            Family::V4 => true,
            Family::V6 => mtu.is_none_or(|mtu| mtu >= LEAST_MTU_V6),
        };
        let families = self.own.iter().map(|subnet| subnet.family());
        let direct = match (self.network.encap, &self.uplink) {
            (Encap::Auto, Some(uplink)) => uplink.on_link.clone(),
            (Encap::Auto | Encap::Vxlan, _) => Vec::new(),
        };
        Reach {
            families: families.filter(|family| fits(*family)).collect(),
            direct,
        }
    }

    /// The steps for all entries, as for a kernel that has none.
    fn everything(&self) -> Vec<Step> {
        if self.path().is_none() {
            return Vec::new();
        }
        let vni = self.network.vni;
        let entries = &self.entries;
        let sources = entries
            .sources
            .iter()
            .map(|(address, ())| Step::Admit(*address));
        let fdb = entries
            .fdb
            .iter()
            .map(|(&mac, &to)| Step::SetFdb { vni, mac, to });
        let neighbours = entries
            .neighbours
            .iter()
            .map(|(&address, &mac)| Step::SetNeighbour { vni, address, mac });
        let routes = entries
            .routes
            .iter()
            .map(|(&subnet, &via)| Step::SetRoute(self.route(subnet, via)));
        sources.chain(fdb).chain(neighbours).chain(routes).collect()
    }

    /// These peers go and those come: the steps in an order in which no route is there
    /// before the entries that it needs, nor after them.
    fn exchange(&mut self, dropped: &[Peer], added: &[Peer]) -> Vec<Step> {
        let mut keys = Keys::default();
        for peer in dropped.iter().chain(added) {
            keys.add(peer, &self.reach);
        }
        let keys = keys.sorted();
        let before = Before::of(&self.entries, &keys);
        for peer in added {
            self.entries.add(peer, &self.reach);
        }
        for peer in dropped {
            self.entries.take(peer, &self.reach);
        }
        if self.path().is_none() {
            return Vec::new();
        }
        self.steps(&keys, &before)
    }
}

#[cfg(test)]
mod tests;
