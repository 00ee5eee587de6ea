//! VXLAN devices, and what they take with them.

use overlay::{
    datapath::{
        device::{Change, Device, Link, Vxlan},
        observed::Hop,
        uplink::{LEAST_MTU_V6, overhead},
    },
    network::Vni,
    record::Mac,
    subnet::Family,
};

use super::{Kernel, Refusal, owned};

impl Kernel {
    pub(super) fn create(&mut self, device: &Device) -> Result<(), Refusal> {
        let name = device.name();
        let vni = u32::from(device.vni);
        if !self.below.contains_key(&device.lower) {
            return Err(Refusal::NoDevice);
        }
        if self.state.links.iter().any(|link| link.name == name) {
            return Err(Refusal::NameTaken(name));
        }
        let same = |link: &Link| (link.vxlan.vni, link.vxlan.port) == (vni, device.port);
        if self.state.links.iter().any(same) {
            return Err(Refusal::VniTaken);
        }
        let index = self.next_index;
        self.next_index += 1;
        self.state.links.push(Link {
            index,
            name,
            mac: device.mac,
            mtu: device.mtu,
            up: false,
            master: None,
            makes_addresses: device.mtu >= LEAST_MTU_V6,
            offload: Some(true),
            vxlan: Vxlan {
                vni,
                port: device.port,
                local: Some(device.local),
                lower: Some(device.lower),
                learning: false,
            },
        });
        if device.mtu >= LEAST_MTU_V6 {
            self.begin_v6(index);
        }
        Ok(())
    }

    pub(crate) fn delete(&mut self, index: u32) {
        let Some(link) = self.find(index) else {
            return;
        };
        let settings = owned(&["net", "ipv6", "conf", &link.name]);
        let state = &mut self.state;
        state.links.retain(|link| link.index != index);
        state.addresses.retain(|seen| seen.index != index);
        state.fdb.retain(|seen| seen.index != index);
        state.neighbours.retain(|seen| seen.index != index);
        state
            .routes
            .retain(|route| device_of(route.hop) != Some(index));
        state.sysctls.retain(|path, _| !path.starts_with(&settings));
    }

    /// A device of the same name and MAC, with nothing on it.
    pub(crate) fn make_anew(&mut self, mut link: Link) {
        let settings = owned(&["net", "ipv6", "conf", &link.name]);
        let mut kept = self.state.sysctls.clone();
        kept.retain(|path, _| path.starts_with(&settings));
        self.delete(link.index);
        link.index = self.next_index;
        link.makes_addresses = false;
        self.next_index += 1;
        self.state.links.push(link);
        self.state.sysctls.extend(kept);
    }

    pub(super) fn change(&mut self, vni: Vni, change: &Change) -> Result<(), Refusal> {
        let index = self.device(vni)?;
        match change {
            Change::Rename => self.rename(index, &overlay::datapath::device::name(vni)),
            Change::Mac(mac) => {
                self.set_mac(index, *mac);
                Ok(())
            }
            Change::Mtu(mtu) => self.set_mtu(index, *mtu),
            Change::NoOwnAddresses if !self.speaks_v6(index) => Err(Refusal::Family),
            Change::Source { local, .. } => {
                let old = self.link(index).vxlan.local.map_or(Family::V4, Family::of);
                if old != Family::of(*local) {
                    return Err(Refusal::OtherLocalFamily);
                }
                self.simple(index, change);
                Ok(())
            }
            Change::NoMaster
            | Change::NoOwnAddresses
            | Change::NoLearning
            | Change::Offload(_)
            | Change::Up => {
                self.simple(index, change);
                Ok(())
            }
        }
    }

    /// A change of one field that nothing else follows from.
    fn simple(&mut self, index: u32, change: &Change) {
        let link = self.link_mut(index);
        match change {
            Change::NoMaster => link.master = None,
            Change::NoOwnAddresses => link.makes_addresses = false,
            Change::NoLearning => link.vxlan.learning = false,
            Change::Source { local, lower } => {
                (link.vxlan.local, link.vxlan.lower) = (Some(*local), Some(*lower));
            }
            Change::Offload(on) => link.offload = Some(*on),
            Change::Up => {
                link.up = true;
                self.make_address(index);
            }
            Change::Rename | Change::Mac(_) | Change::Mtu(_) => {}
        }
    }

    pub(crate) fn rename(&mut self, index: u32, name: &str) -> Result<(), Refusal> {
        let mut others = self.state.links.iter().filter(|link| link.index != index);
        if others.any(|link| link.name == name) {
            return Err(Refusal::NameTaken(name.into()));
        }
        let old = std::mem::replace(&mut self.link_mut(index).name, name.into());
        let old = owned(&["net", "ipv6", "conf", &old]);
        let settings = std::mem::take(&mut self.state.sysctls);
        let moved = settings.into_iter().map(|(mut path, value)| {
            if path.starts_with(&old) {
                path[3] = name.into();
            }
            (path, value)
        });
        self.state.sysctls = moved.collect();
        Ok(())
    }

    /// Takes all neighbours, also the permanent ones.
    pub(crate) fn set_mac(&mut self, index: u32, mac: Mac) {
        self.link_mut(index).mac = mac;
        self.state.neighbours.retain(|seen| seen.index != index);
    }

    pub(crate) fn set_mtu(&mut self, index: u32, mtu: u32) -> Result<(), Refusal> {
        let link = self.link(index);
        let most = link.vxlan.lower.and_then(|lower| {
            let below = self.below.get(&lower)?.first()?;
            let underlay = link.vxlan.local.map_or(Family::V4, Family::of);
            Some(below.mtu.saturating_sub(overhead(underlay)))
        });
        if mtu < 68 || most.is_some_and(|most| mtu > most) {
            return Err(Refusal::Mtu(mtu));
        }
        let before = link.mtu;
        self.link_mut(index).mtu = mtu;
        if before >= LEAST_MTU_V6 && mtu < LEAST_MTU_V6 {
            self.end_v6(index);
        }
        if before < LEAST_MTU_V6 && mtu >= LEAST_MTU_V6 {
            self.begin_v6(index);
            self.link_mut(index).makes_addresses = true;
            self.make_address(index);
        }
        Ok(())
    }

    /// Takes IPv6 addresses, all neighbours and all routes.
    pub(crate) fn down(&mut self, index: u32) {
        self.link_mut(index).up = false;
        self.drop_v6(index);
        let state = &mut self.state;
        state.neighbours.retain(|seen| seen.index != index);
        state
            .routes
            .retain(|route| device_of(route.hop) != Some(index));
    }

    /// The device of ours with this VNI.
    pub(super) fn device(&self, vni: Vni) -> Result<u32, Refusal> {
        let us = self.us();
        let ours =
            self.state.links.iter().filter(|link| {
                us.devices.contains(&link.index) && link.vxlan.vni == u32::from(vni)
            });
        let name = overlay::datapath::device::name(vni);
        ours.min_by_key(|link| link.name != name)
            .map(|link| link.index)
            .ok_or(Refusal::NoDevice)
    }

    pub(crate) fn find(&self, index: u32) -> Option<&Link> {
        self.state.links.iter().find(|link| link.index == index)
    }

    pub(crate) fn link(&self, index: u32) -> &Link {
        self.find(index).expect("a device that was just found")
    }

    pub(crate) fn link_mut(&mut self, index: u32) -> &mut Link {
        let mut links = self.state.links.iter_mut();
        links
            .find(|link| link.index == index)
            .expect("a device that was just found")
    }
}

pub(crate) fn device_of(hop: Hop) -> Option<u32> {
    match hop {
        Hop::Gateway { device, .. } | Hop::Device(device) => Some(device),
        Hop::Unreachable | Hop::Other => None,
    }
}
