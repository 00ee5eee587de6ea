//! Where packets leave this host, followed as it changes.

use std::time::Duration;

use overlay::{
    datapath::{host::Sighting, member::Member},
    name::NetworkName,
};
use tokio::time::Instant;
use tracing::{info, warn};

use super::Reconciler;
use crate::{
    config::ChecksumOffload,
    kernel::{
        decode::link::Interface,
        offload::trust::{Trust, trusted_here},
        uplink::UplinkError,
    },
};

/// An address that is renewed goes and comes at once.
const SETTLE: Duration = Duration::from_millis(5);

impl Reconciler {
    pub(super) fn uplinks_soon(&mut self) {
        let soon = Instant::now() + SETTLE;
        self.uplinks_at = Some(self.uplinks_at.map_or(soon, |at| at.min(soon)));
    }

    /// Finds each network's uplink again. One that cannot be found stays what it was.
    pub(super) fn follow_uplinks(&mut self) {
        let networks: Vec<NetworkName> = self
            .host
            .joined()
            .filter(|(_, member)| member.is_some())
            .map(|(name, _)| name.clone())
            .collect();
        for name in networks {
            self.follow_uplink(&name);
        }
        self.publish();
    }

    fn follow_uplink(&mut self, name: &NetworkName) {
        let Some(member) = self.host.member(name) else {
            return;
        };
        let family = member.network().underlay;
        let mut reason = String::new();
        let by = self.settings.offload;
        let found = self.kernel.find(&self.settings.uplink, family, |device| {
            let (on, why) = may_offload(by, device);
            reason.push_str(why);
            on
        });
        let uplink = match found {
            Ok(uplink) => uplink,
            Err(error) => {
                self.lost_uplink(name, &error);
                return;
            }
        };
        self.no_uplink.remove(name);
        self.offload.insert(name.clone(), reason);
        let (address, device, mtu) = (uplink.address, uplink.name.clone(), uplink.mtu);
        if self.host.set_uplink(name, uplink) {
            info!(network = %name, %address, device, mtu, "uplink");
            if let Some(problem) = self.host.member(name).and_then(Member::problem) {
                warn!(network = %name, problem);
            }
            self.owe_look();
        }
    }

    fn lost_uplink(&mut self, name: &NetworkName, error: &UplinkError) {
        let reason = options::sentence(error);
        let before = self.no_uplink.insert(name.clone(), reason.clone());
        if before.as_ref() != Some(&reason) {
            warn!(network = %name, reason, "no uplink");
        }
    }

    /// An address or a route of somebody else's may be the uplink's.
    pub(super) fn heed_address(&mut self, sighting: &Sighting) {
        let concerns = match sighting {
            Sighting::Address { address, .. } => {
                !self.kernel.devices().contains_key(&address.index)
                    && self.may_be_uplink(address.index)
            }
            Sighting::Route { route, .. } => route.subnet.length() == 0,
            Sighting::Fdb { .. } | Sighting::Neighbour { .. } => false,
        };
        if concerns {
            self.uplinks_soon();
        }
    }

    pub(super) fn heed_link(&mut self, link: &Interface) {
        if self.may_be_uplink(link.index) || self.settings.uplink.iface.as_ref() == Some(&link.name)
        {
            self.uplinks_soon();
        }
    }

    /// Is it the uplink of a network, or is one missing?
    fn may_be_uplink(&self, index: u32) -> bool {
        !self.no_uplink.is_empty()
            || self.host.joined().any(|(_, member)| {
                member
                    .and_then(Member::uplink)
                    .is_none_or(|uplink| uplink.index == index)
            })
            || self.settings.uplink.node_ip.is_some()
    }
}

/// Are checksums left to the hardware, and why?
pub fn may_offload(asked: ChecksumOffload, uplink: &str) -> (bool, &'static str) {
    const SAID: &str = "as --checksum-offload says";
    match asked {
        ChecksumOffload::On => (true, SAID),
        ChecksumOffload::Off => (false, SAID),
        ChecksumOffload::Auto => match trusted_here(uplink) {
            Trust::Yes => (true, "nothing speaks against it"),
            Trust::No(why) => (false, why),
        },
    }
}
