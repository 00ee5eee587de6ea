//! What the kernel tells. It only ever brings the next look nearer.

use overlay::datapath::{
    host::{Setting, Sighting},
    member::Member,
};

use super::Reconciler;
use crate::kernel::{decode::link::Interface, events::News, sysctl};

impl Reconciler {
    /// What the kernel tells.
    pub(super) fn hear(&mut self, news: Vec<News>) {
        for news in news {
            match news {
                News::Seen(sighting) => {
                    self.heed_address(&sighting);
                    if !self.host.expects(&sighting, self.kernel.devices()) {
                        self.look_soon();
                    }
                }
                News::Link { link, .. } => {
                    let ours = self.kernel.devices().contains_key(&link.index);
                    if ours || link.vxlan.is_some() {
                        self.look_soon();
                    }
                    self.heed_link(&link);
                }
                News::Setting => {
                    let is_due = |setting: &Setting| {
                        let value = sysctl::read(&setting.sysctl).unwrap_or_default();
                        setting.is_due(value.as_deref())
                    };
                    if self.host.settings().iter().any(is_due) {
                        self.look_soon();
                    }
                }
                News::Overrun => {
                    self.metrics.overruns.inc();
                    self.look_soon();
                    self.uplinks_soon();
                }
            }
        }
    }

    /// An address or a route of somebody else's may be the uplink's.
    fn heed_address(&mut self, sighting: &Sighting) {
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

    fn heed_link(&mut self, link: &Interface) {
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
