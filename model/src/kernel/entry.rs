//! Addresses, FDB and neighbours of a device.

use std::net::IpAddr;

use overlay::{
    datapath::observed::{Address, Fdb, Neighbour},
    network::Vni,
    record::Mac,
    subnet::Family,
};

use super::{Kernel, Refusal, device::device_of};

impl Kernel {
    pub(super) fn set_address(&mut self, vni: Vni, address: IpAddr) -> Result<(), Refusal> {
        let index = self.device(vni)?;
        let length = Family::of(address).bits();
        self.add_address(Address {
            index,
            address,
            length,
        })
    }

    pub(crate) fn add_address(&mut self, wanted: Address) -> Result<(), Refusal> {
        if self.state.addresses.contains(&wanted) {
            return Ok(());
        }
        if Family::of(wanted.address) == Family::V6 {
            if !self.has_v6(wanted.index) {
                return Err(Refusal::NoIpv6);
            }
            // IPv4 tells addresses apart by their length as well, IPv6 does not.
            let here =
                |seen: &Address| (seen.index, seen.address) == (wanted.index, wanted.address);
            if self.state.addresses.iter().any(here) {
                return Err(Refusal::AddressTaken);
            }
        }
        self.state.addresses.push(wanted);
        Ok(())
    }

    pub(super) fn drop_address(&mut self, vni: Vni, address: IpAddr) -> Result<(), Refusal> {
        if let Ok(index) = self.device(vni) {
            let length = Family::of(address).bits();
            self.remove_address(Address {
                index,
                address,
                length,
            });
        }
        Ok(())
    }

    /// With the last IPv4 address of a device its IPv4 neighbours and routes go.
    pub(crate) fn remove_address(&mut self, doomed: Address) {
        let state = &mut self.state;
        let before = state.addresses.len();
        state.addresses.retain(|seen| *seen != doomed);
        let v4 = Family::V4;
        let left = |seen: &Address| {
            seen.index == doomed.index && Family::of(seen.address) == Family::of(doomed.address)
        };
        if state.addresses.len() == before
            || Family::of(doomed.address) != v4
            || state.addresses.iter().any(left)
        {
            return;
        }
        state
            .neighbours
            .retain(|seen| seen.index != doomed.index || Family::of(seen.address) != v4);
        state.routes.retain(|route| {
            device_of(route.hop) != Some(doomed.index) || route.subnet.family() != v4
        });
    }

    pub(super) fn set_fdb(&mut self, vni: Vni, mac: Mac, to: IpAddr) -> Result<(), Refusal> {
        let index = self.device(vni)?;
        let socket = self.link(index).vxlan.local.map_or(Family::V4, Family::of);
        if Family::of(to) != socket {
            return Err(Refusal::Family);
        }
        self.put_fdb(Fdb {
            index,
            mac,
            to: Some(to),
            plain: true,
        });
        Ok(())
    }

    pub(crate) fn put_fdb(&mut self, fdb: Fdb) {
        self.remove_fdb(fdb.index, fdb.mac);
        self.state.fdb.push(fdb);
    }

    pub(super) fn drop_fdb(&mut self, vni: Vni, mac: Mac) -> Result<(), Refusal> {
        if let Ok(index) = self.device(vni) {
            self.remove_fdb(index, mac);
        }
        Ok(())
    }

    pub(crate) fn remove_fdb(&mut self, index: u32, mac: Mac) {
        let other = |seen: &Fdb| (seen.index, seen.mac) != (index, mac);
        self.state.fdb.retain(other);
    }

    pub(super) fn set_neighbour(
        &mut self,
        vni: Vni,
        address: IpAddr,
        mac: Mac,
    ) -> Result<(), Refusal> {
        let index = self.device(vni)?;
        if Family::of(address) == Family::V6 && !self.has_v6(index) {
            return Err(Refusal::NoIpv6);
        }
        self.put_neighbour(Neighbour {
            index,
            address,
            mac: Some(mac),
            permanent: true,
        });
        Ok(())
    }

    pub(crate) fn put_neighbour(&mut self, neighbour: Neighbour) {
        self.remove_neighbour(neighbour.index, neighbour.address);
        self.state.neighbours.push(neighbour);
    }

    pub(super) fn drop_neighbour(&mut self, vni: Vni, address: IpAddr) -> Result<(), Refusal> {
        if let Ok(index) = self.device(vni) {
            self.remove_neighbour(index, address);
        }
        Ok(())
    }

    pub(crate) fn remove_neighbour(&mut self, index: u32, address: IpAddr) {
        let other = |seen: &Neighbour| (seen.index, seen.address) != (index, address);
        self.state.neighbours.retain(other);
    }
}
