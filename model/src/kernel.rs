//! A kernel as a value: steps are applied to it, and it is looked at.

mod device;
mod entry;
mod route;
mod v6;

use std::{
    collections::{BTreeMap, VecDeque},
    net::IpAddr,
};

use overlay::{
    datapath::{
        firewall::Seen,
        host::Host,
        observed::{Observed, Us},
        step::{Step, Sysctl},
        uplink::{LEAST_MTU_V6, Uplink},
    },
    network::Vni,
    record::Mac,
    subnet::Family,
};
use thiserror::Error;

/// Whether new devices have no IPv6.
pub const DISABLE_IPV6: [&str; 5] = ["net", "ipv6", "conf", "default", "disable_ipv6"];

/// A host's kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    pub(crate) state: Observed,
    mac: Mac,
    /// The devices below those of the overlay, by index. A device may be the uplink
    /// of several networks, with an address for each.
    below: BTreeMap<u32, Vec<Uplink>>,
    next_index: u32,
    failing: VecDeque<bool>,
}

/// Why a kernel does not do a step, in its own words where it has some.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    #[error("this failure was asked for")]
    Injected,
    #[error("no such device")]
    NoDevice,
    #[error("there is no setting {0:?}")]
    NoSetting(Vec<String>),
    #[error("there is no table inet weft")]
    NoTable,
    #[error("there is no table filter")]
    NoFilter,
    #[error("file exists: {0}")]
    NameTaken(String),
    #[error("a VXLAN device with the specified VNI already exists")]
    VniTaken,
    #[error("invalid argument: MTU {0}")]
    Mtu(u32),
    #[error("address family not supported by protocol")]
    Family,
    #[error("New local address family does not match old")]
    OtherLocalFamily,
    #[error("IPv6 is disabled on this device")]
    NoIpv6,
    #[error("ipv6: address already assigned")]
    AddressTaken,
    #[error("Nexthop device is not up")]
    Down,
    #[error("Nexthop has invalid gateway")]
    Gateway,
}

impl Kernel {
    /// The kernel of this host, which holds what was seen.
    pub fn under(host: &Host, seen: Observed) -> Self {
        let mut below: BTreeMap<u32, Vec<Uplink>> = BTreeMap::new();
        for (_, member) in host.joined() {
            if let Some(uplink) = member.and_then(|member| member.uplink()) {
                below.entry(uplink.index).or_default().push(uplink.clone());
            }
        }
        Self::new(host.mac(), below, seen)
    }

    /// A kernel that never heard of Weft.
    pub fn fresh(host: &Host) -> Self {
        Self::under(host, Observed::default())
    }

    fn new(mac: Mac, below: BTreeMap<u32, Vec<Uplink>>, seen: Observed) -> Self {
        let highest = seen.links.iter().map(|link| link.index).max().unwrap_or(0);
        let mut kernel = Self {
            next_index: highest.max(9) + 1,
            state: seen,
            mac,
            below,
            failing: VecDeque::new(),
        };
        kernel.setting(&DISABLE_IPV6, "0");
        kernel.setting(&["net", "ipv4", "ip_forward"], "0");
        kernel.setting(&["net", "ipv6", "conf", "all", "forwarding"], "0");
        let names: Vec<String> = kernel
            .below
            .values()
            .flatten()
            .map(|uplink| uplink.name.clone())
            .collect();
        for name in names {
            kernel.setting(&["net", "ipv6", "conf", &name, "accept_ra"], "1");
        }
        for link in kernel.state.links.clone() {
            if link.mtu >= LEAST_MTU_V6 {
                kernel.setting(&["net", "ipv6", "conf", &link.name, "disable_ipv6"], "0");
            }
        }
        kernel
    }

    /// A setting that every kernel has; what was seen of it counts.
    fn setting(&mut self, path: &[&str], value: &str) {
        self.state
            .sysctls
            .entry(owned(path))
            .or_insert_with(|| value.into());
    }

    pub fn observe(&self) -> Observed {
        self.state.clone()
    }

    /// Which devices are ours, here and now.
    pub fn us(&self) -> Us {
        Us::among(self.mac, &self.state.links)
    }

    /// Our devices, as one that listens to notifications knows them.
    pub fn devices(&self) -> BTreeMap<u32, Vni> {
        let us = self.us();
        let links = self.state.links.iter();
        links
            .filter(|link| us.devices.contains(&link.index))
            .filter_map(|link| Some((link.index, Vni::try_from(link.vxlan.vni).ok()?)))
            .collect()
    }

    /// Which of the coming steps fail: those whose turn is true. After the last turn
    /// none does.
    pub fn fail_with(&mut self, turns: impl IntoIterator<Item = bool>) {
        self.failing = turns.into_iter().collect();
    }

    /// What is already so, or already gone, is no refusal.
    pub fn apply(&mut self, step: &Step) -> Result<(), Refusal> {
        if self.failing.pop_front() == Some(true) {
            return Err(Refusal::Injected);
        }
        match step {
            Step::Sysctl(sysctl) => self.set(sysctl),
            Step::Firewall(firewall) => {
                let known = |name: &String| {
                    let mut uplinks = self.below.values().flatten();
                    uplinks.any(|uplink| uplink.name == *name)
                };
                if !firewall.frame.uplinks.iter().all(known) {
                    return Err(Refusal::NoDevice);
                }
                self.state.firewall = Some(Seen {
                    frame: Some(firewall.frame.clone()),
                    sources: firewall.sources.clone(),
                    published: firewall.published.clone(),
                });
                Ok(())
            }
            Step::NoFirewall => {
                self.state.firewall = None;
                Ok(())
            }
            Step::Admit(address) => {
                self.table()?.sources.insert(*address);
                Ok(())
            }
            Step::Bar(address) => {
                if let Ok(table) = self.table() {
                    table.sources.remove(address);
                }
                Ok(())
            }
            Step::Publish(port) => {
                let published = &mut self.table()?.published;
                published.retain(|other| other.place() != port.place());
                published.insert(*port);
                Ok(())
            }
            Step::Unpublish(port) => {
                if let Ok(table) = self.table() {
                    table.published.remove(port);
                }
                Ok(())
            }
            Step::Pass(passage) => {
                let filter = self.state.filters.get_mut(&passage.filter);
                let filter = filter.ok_or(Refusal::NoFilter)?;
                filter.jumps = vec![1];
                filter.rules = Some(passage.rules.clone());
                Ok(())
            }
            Step::NoPass { filter, .. } => {
                if let Some(filter) = self.state.filters.get_mut(filter) {
                    filter.jumps.clear();
                    filter.rules = None;
                }
                Ok(())
            }
            Step::Create(device) => self.create(device),
            Step::Delete { index, .. } => {
                self.delete(*index);
                Ok(())
            }
            Step::Change { vni, change } => self.change(*vni, change),
            Step::SetAddress { vni, address } => self.set_address(*vni, *address),
            Step::DropAddress { vni, address } => self.drop_address(*vni, *address),
            Step::SetFdb { vni, mac, to } => self.set_fdb(*vni, *mac, *to),
            Step::DropFdb { vni, mac } => self.drop_fdb(*vni, *mac),
            Step::SetNeighbour { vni, address, mac } => self.set_neighbour(*vni, *address, *mac),
            Step::DropNeighbour { vni, address } => self.drop_neighbour(*vni, *address),
            Step::SetRoute(route) => self.set_route(*route),
            Step::DropRoute(doomed) => {
                self.drop_route(*doomed);
                Ok(())
            }
        }
    }

    /// All of them, whatever becomes of each: those that were refused.
    pub fn apply_all(&mut self, steps: &[Step]) -> Vec<(Step, Refusal)> {
        let refused = |step: &Step| Some((step.clone(), self.apply(step).err()?));
        steps.iter().filter_map(refused).collect()
    }

    fn set(&mut self, sysctl: &Sysctl) -> Result<(), Refusal> {
        let Some(value) = self.state.sysctls.get_mut(&sysctl.path) else {
            return Err(Refusal::NoSetting(sysctl.path.clone()));
        };
        *value = sysctl.value.into();
        self.follow_sysctl(&sysctl.path);
        Ok(())
    }

    fn table(&mut self) -> Result<&mut Seen, Refusal> {
        self.state.firewall.as_mut().ok_or(Refusal::NoTable)
    }

    /// Has the host any address of IPv4? Without one no gateway is valid.
    fn has_v4(&self) -> bool {
        let below = self.below.values().flatten().map(|uplink| uplink.address);
        let own = self.state.addresses.iter().map(|seen| seen.address);
        below
            .chain(own)
            .any(|address: IpAddr| Family::of(address) == Family::V4)
    }
}

pub(crate) fn owned(path: &[&str]) -> Vec<String> {
    path.iter().map(|part| (*part).to_owned()).collect()
}

#[cfg(test)]
mod tests;
