//! What a host wants of the packet filters of its kernel.

use std::collections::BTreeSet;

use super::Host;
use crate::{
    datapath::{
        firewall::{
            Firewall, Frame, Ports, Published,
            published::{self, Follow, PortError},
        },
        forward::Pass,
        member::Member,
    },
    endpoint::Protocol,
    network::Encap,
    subnet::Family,
};

impl Host {
    /// None while no network knows its uplink.
    pub fn firewall(&self) -> Option<Firewall> {
        self.firewall_beside(&BTreeSet::new())
    }

    /// The same, of a kernel that publishes these ports: they stay while nobody has
    /// told which are wanted.
    pub fn firewall_beside(&self, seen: &BTreeSet<Published>) -> Option<Firewall> {
        let published = self.published(seen);
        let frame = self.frame_with(!published.is_empty())?;
        let sources = self
            .carried()
            .flat_map(|(member, _)| member.entries().sources.iter());
        let sources = sources.map(|(address, ())| *address).collect();
        Some(Firewall {
            frame,
            sources,
            published,
        })
    }

    /// What the firewall without its elements may be, as far as is known.
    pub fn frames(&self) -> Vec<Frame> {
        let whether: &[bool] = match &self.ports {
            Ports::Unknown => &[true, false],
            Ports::Known(_) => &[!self.published(&BTreeSet::new()).is_empty()],
        };
        let frames = whether.iter();
        frames.filter_map(|with| self.frame_with(*with)).collect()
    }

    /// Has anybody told which ports are published?
    pub fn ports(&self) -> &Ports {
        &self.ports
    }

    /// These ports and no others are published from now on.
    pub fn publish(&mut self, ports: BTreeSet<Published>) -> Result<Follow, PortError> {
        published::check(&ports)?;
        if let Some((port, member)) = ports.iter().find_map(|port| self.carrier(port)) {
            return Err(PortError::Carries {
                port,
                network: member.network().name.clone(),
            });
        }
        let was_known = self.ports.known().is_some();
        let before = self.published(&BTreeSet::new());
        self.ports = Ports::Known(ports);
        let now = self.published(&BTreeSet::new());
        let same_frame = was_known && before.is_empty() == now.is_empty();
        if same_frame && self.carried().next().is_some() {
            Ok(Follow::Steps(published::changes(&before, &now)))
        } else {
            Ok(Follow::Look)
        }
    }

    /// What lets packets of the overlay pass where others would drop them.
    pub fn pass(&self, family: Family) -> Pass {
        let mut pass = Pass::default();
        for (member, uplink) in self.carried() {
            let network = member.network();
            let pools = network.pools().filter(|pool| pool.family() == family);
            for pool in pools {
                pass.pools.insert(pool);
                if network.encap == Encap::Auto {
                    pass.direct.insert((uplink.name.clone(), pool));
                }
            }
        }
        pass
    }

    fn frame_with(&self, publishing: bool) -> Option<Frame> {
        let mut frame = Frame::default();
        for (member, uplink) in self.carried() {
            let network = member.network();
            frame.ports.insert(network.port);
            frame.uplinks.insert(uplink.name.clone());
            frame.pools.extend(network.pools());
            if network.masquerade {
                frame.masquerade.extend(member.own());
            }
            if publishing {
                frame.publishing.extend(member.own());
            }
        }
        (!frame.ports.is_empty()).then_some(frame)
    }

    fn published(&self, seen: &BTreeSet<Published>) -> BTreeSet<Published> {
        let ports = self.ports.known().unwrap_or(seen).iter();
        ports
            .filter(|port| self.carrier(port).is_none())
            .copied()
            .collect()
    }

    /// The network that is carried by this port: it may have been joined later.
    fn carrier(&self, port: &Published) -> Option<(u16, &Member)> {
        let carries = |member: &&Member| {
            port.protocol == Protocol::Udp && member.network().port == port.host_port
        };
        let member = self.joined.values().flatten().find(carries)?;
        Some((port.host_port, member))
    }
}

#[cfg(test)]
mod tests;
