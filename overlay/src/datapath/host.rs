//! All networks of one host together.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use super::{
    firewall::Ports,
    member::Member,
    observed::{Address, Fdb, Neighbour, SeenRoute},
    step::{Step, Sysctl},
    uplink::Uplink,
};
use crate::{
    feed::{PeerChanges, Peers},
    name::NetworkName,
    network::{Network, Vni},
    record::Mac,
    subnet::{Family, Subnet},
};

mod firewall;

/// What one host has joined, and what is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    mac: Mac,
    /// None: joined, and nothing is known of it yet.
    joined: BTreeMap<NetworkName, Option<Member>>,
    ports: Ports,
}

/// A setting, and the only value from which it is changed, where that matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    pub sysctl: Sysctl,
    pub only_from: Option<&'static str>,
}

impl Setting {
    /// Is it to be written, as it is now?
    pub fn is_due(&self, value: Option<&str>) -> bool {
        match self.only_from {
            Some(from) => value == Some(from),
            None => value != Some(self.sysctl.value),
        }
    }
}

impl Host {
    pub fn new(mac: Mac) -> Self {
        Self {
            mac,
            joined: BTreeMap::new(),
            ports: Ports::Unknown,
        }
    }

    pub fn mac(&self) -> Mac {
        self.mac
    }

    pub fn join(&mut self, network: NetworkName) {
        self.joined.entry(network).or_default();
    }

    /// True: it was joined.
    pub fn leave(&mut self, network: &NetworkName) -> bool {
        self.joined.remove(network).is_some()
    }

    pub fn joined(&self) -> impl Iterator<Item = (&NetworkName, Option<&Member>)> {
        self.joined
            .iter()
            .map(|(name, member)| (name, member.as_ref()))
    }

    pub fn member(&self, network: &NetworkName) -> Option<&Member> {
        self.joined.get(network)?.as_ref()
    }

    /// This node's lease in a network it has joined. True: the kernel has to follow.
    pub fn lease(&mut self, network: Network, own: Vec<Subnet>) -> bool {
        let mac = self.mac;
        match self.joined.get_mut(&network.name) {
            None => false,
            Some(Some(member)) => member.renew(network, own),
            Some(empty) => {
                *empty = Some(Member::new(network, own, mac));
                true
            }
        }
    }

    /// True: the kernel has to follow.
    pub fn set_uplink(&mut self, network: &NetworkName, uplink: Uplink) -> bool {
        self.member_mut(network)
            .is_some_and(|member| member.set_uplink(uplink))
    }

    pub fn snapshot(&mut self, network: &NetworkName, peers: Peers, until: Duration) -> Vec<Step> {
        let steps = self
            .member_mut(network)
            .map(|member| member.snapshot(peers, until));
        self.without_rivals(network, steps.unwrap_or_default())
    }

    pub fn change(
        &mut self,
        network: &NetworkName,
        changes: PeerChanges,
        until: Duration,
    ) -> Vec<Step> {
        let steps = self
            .member_mut(network)
            .map(|member| member.change(changes, until));
        self.without_rivals(network, steps.unwrap_or_default())
    }

    /// Everything known was read from disk.
    pub fn doubt(&mut self) {
        self.joined.values_mut().flatten().for_each(Member::doubt);
    }

    /// A controller told all that was missing. True: the kernel has to follow.
    pub fn confirm(&mut self, network: &NetworkName) -> bool {
        self.member_mut(network).is_some_and(Member::confirm)
    }

    /// Lets go of peers that were held for long enough.
    pub fn let_go(&mut self, now: Duration) -> Vec<Step> {
        let names: Vec<NetworkName> = self.joined.keys().cloned().collect();
        let mut steps = Vec::new();
        for name in names {
            let let_go = self.member_mut(&name).map(|member| member.let_go(now));
            steps.extend(self.without_rivals(&name, let_go.unwrap_or_default()));
        }
        steps
    }

    /// When peers are to be let go next.
    pub fn holds_until(&self) -> Option<Duration> {
        let members = self.joined.values().flatten();
        members.filter_map(|member| member.held().until()).min()
    }

    /// Everything is known of every network: what is not wanted may go.
    pub fn is_complete(&self) -> bool {
        self.joined.values().all(|member| {
            member
                .as_ref()
                .is_some_and(|member| member.uplink().is_some() && member.known().is_complete())
        })
    }

    /// The networks that this host carries, one to a VNI.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        let mut taken = BTreeSet::new();
        let members = self.joined.values().flatten();
        members.filter(move |member| taken.insert(member.vni()))
    }

    /// The network that has this one's VNI here already: they differ in their UDP port,
    /// but a device is named by its VNI.
    pub fn rival(&self, network: &NetworkName) -> Option<&NetworkName> {
        let vni = self.member(network)?.vni();
        let holder = self
            .joined
            .iter()
            .find(|(_, member)| member.as_ref().is_some_and(|member| member.vni() == vni));
        holder
            .map(|(name, _)| name)
            .filter(|holder| *holder != network)
    }

    /// The networks whose way out of the host is known.
    fn carried(&self) -> impl Iterator<Item = (&Member, &Uplink)> {
        self.members()
            .filter_map(|member| Some((member, member.uplink()?)))
    }

    /// The settings that forwarding needs, and no others.
    pub fn settings(&self) -> Vec<Setting> {
        let mut settings = Vec::new();
        let set = |path: &[&str], value| Setting {
            sysctl: Sysctl {
                path: path.iter().map(|part| (*part).to_owned()).collect(),
                value,
            },
            only_from: None,
        };
        let members: Vec<&Member> = self
            .members()
            .filter(|member| member.path().is_some())
            .collect();
        let carries = |member: &Member, family: Family| member.reach().families.contains(&family);
        if members.iter().any(|member| carries(member, Family::V4)) {
            settings.push(set(&["net", "ipv4", "ip_forward"], "1"));
        }
        let v6: Vec<&&Member> = members
            .iter()
            .filter(|member| carries(member, Family::V6))
            .collect();
        if !v6.is_empty() {
            // A host that forwards stops listening to routers, and loses its default
            // route with them, unless it is told to go on.
            let uplinks = members.iter().filter_map(|member| member.uplink());
            let names: BTreeSet<&str> = uplinks.map(|uplink| uplink.name.as_str()).collect();
            settings.extend(names.into_iter().map(|name| Setting {
                only_from: Some("1"),
                ..set(&["net", "ipv6", "conf", name, "accept_ra"], "2")
            }));
            settings.push(set(&["net", "ipv6", "conf", "all", "forwarding"], "1"));
        }
        for member in v6 {
            let device = super::device::name(member.vni());
            settings.push(set(&["net", "ipv6", "conf", &device, "disable_ipv6"], "0"));
        }
        settings
    }

    /// Does a notification of the kernel tell what we want to be so? What is otherwise
    /// is a reason to look again.
    pub fn expects(&self, sighting: &Sighting, devices: &BTreeMap<u32, Vni>) -> bool {
        let member = |index| {
            let vni = devices.get(&index)?;
            self.members().find(|member| member.vni() == *vni)
        };
        match sighting {
            Sighting::Fdb { gone, fdb } => member(fdb.index).is_none_or(|member| {
                let wanted = member.entries().fdb.get(&fdb.mac).copied();
                if *gone {
                    wanted.is_none()
                } else {
                    fdb.plain && fdb.to.is_some() && wanted == fdb.to
                }
            }),
            Sighting::Neighbour { gone, neighbour } => {
                member(neighbour.index).is_none_or(|member| {
                    let wanted = member.entries().neighbours.get(&neighbour.address).copied();
                    match wanted {
                        None => *gone || !neighbour.permanent,
                        Some(_) => !*gone && neighbour.permanent && wanted == neighbour.mac,
                    }
                })
            }
            Sighting::Address { gone, address } => member(address.index).is_none_or(|member| {
                let wanted = member
                    .wanted()
                    .is_some_and(|wanted| wanted.addresses.contains(&address.address));
                let whole = address.length == Family::of(address.address).bits();
                if wanted {
                    whole && !*gone
                } else {
                    *gone || !whole
                }
            }),
            Sighting::Route { gone, route } => self.expects_route(*gone, route, devices),
        }
    }

    fn expects_route(&self, gone: bool, route: &SeenRoute, devices: &BTreeMap<u32, Vni>) -> bool {
        let exact = super::plan::wanted_route(self, route)
            .map(|wanted| super::plan::is_exact(route, wanted, devices));
        match exact {
            Some(exact) => exact && !gone,
            None => gone || route.protocol != super::entry::PROTOCOL || route.is_endpoints(),
        }
    }

    fn member_mut(&mut self, network: &NetworkName) -> Option<&mut Member> {
        self.joined.get_mut(network)?.as_mut()
    }

    /// Of one network's steps those that no other network speaks against: an address
    /// stays admitted for as long as one network knows it, or may yet turn out to; and
    /// one VNI is one network's.
    fn without_rivals(&self, network: &NetworkName, mut steps: Vec<Step>) -> Vec<Step> {
        if self.joined.len() < 2 {
            return steps;
        }
        if self.rival(network).is_some() {
            return Vec::new();
        }
        let complete = self.is_complete();
        steps.retain(|step| match step {
            Step::Admit(address) => !self.admitted_beside(network, *address),
            Step::Bar(address) => complete && !self.admitted_beside(network, *address),
            _ => true,
        });
        steps
    }

    fn admitted_beside(&self, network: &NetworkName, address: IpAddr) -> bool {
        let mut others = self
            .members()
            .filter(|member| member.network().name != *network);
        others.any(|member| {
            member.uplink().is_some() && member.entries().sources.get(&address).is_some()
        })
    }
}

/// What a notification of the kernel is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sighting {
    Fdb { gone: bool, fdb: Fdb },
    Neighbour { gone: bool, neighbour: Neighbour },
    Address { gone: bool, address: Address },
    Route { gone: bool, route: SeenRoute },
}

#[cfg(test)]
mod tests;
