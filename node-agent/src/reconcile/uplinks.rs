//! Where packets leave this host, followed as it changes.

use std::time::Duration;

use overlay::{datapath::member::Member, decide::lease::Vtep, name::NetworkName};
use tokio::time::Instant;
use tracing::{info, warn};

use super::{Reconciler, tell_if_new};
use crate::{
    config::ChecksumOffload,
    kernel::{
        offload::trust::{Trust, trusted_here},
        uplink::UplinkError,
    },
    session::{Joining, Joins},
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
        if self.no_uplink.remove(name).is_some() {
            info!(network = %name, "the uplink is there again");
        }
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

    /// What a controller is to know of us in each network.
    pub(super) fn publish(&self) {
        let vtep = |network: &NetworkName| {
            let uplink = self.host.member(network).and_then(Member::uplink);
            // A VTEP is both or neither.
            uplink.map_or_else(Vtep::default, |uplink| Vtep {
                underlay: Some(uplink.address),
                mac: Some(self.host.mac()),
            })
        };
        let wanted = self.wanted.iter();
        let joins: Joins = wanted
            .map(|(network, turn)| {
                let (vtep, turn) = (vtep(network), *turn);
                (network.clone(), Joining { vtep, turn })
            })
            .collect();
        tell_if_new(&self.listeners.joins, joins);
    }

    fn lost_uplink(&mut self, name: &NetworkName, error: &UplinkError) {
        let reason = options::sentence(error);
        let before = self.no_uplink.insert(name.clone(), reason.clone());
        if before.as_ref() != Some(&reason) {
            warn!(network = %name, reason, "no uplink");
        }
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
