//! What somebody else may do to an object of ours: each field of each, one at a time.

mod every;

use std::net::IpAddr;

use overlay::{
    datapath::{
        firewall::Published,
        observed::{Address, Fdb, Neighbour, SeenRoute},
        uplink::LEAST_MTU_V6,
    },
    record::Mac,
};

use crate::{
    kernel::{Kernel, Refusal},
    told::{Routes, Told, told},
};

/// One thing that somebody does. Devices are named by their index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tampering {
    Device(u32, Damage),
    /// Added, of any length.
    Address(Address),
    AddressGone(Address),
    /// Gone, and back with another length.
    AddressLength(Address, u8),
    /// Added, or in place of what was there.
    Fdb(Fdb),
    FdbGone(u32, Mac),
    Neighbour(Neighbour),
    NeighbourGone(u32, IpAddr),
    /// Added.
    Route(SeenRoute),
    RouteGone(SeenRoute),
    /// The first became the second.
    RouteChanged(SeenRoute, SeenRoute),
    Sysctl(Vec<String>, &'static str),
    TableGone,
    /// Something in it, beside the sources.
    Table,
    Source(IpAddr),
    SourceGone(IpAddr),
    /// Added, or in place of what led elsewhere.
    Port(Published),
    PortGone(Published),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Damage {
    Gone,
    Down,
    Name,
    Mac(Mac),
    Mtu(u32),
    Master,
    MakesAddresses,
    Offload(bool),
    Learning,
    Local(Option<IpAddr>),
    Lower(Option<u32>),
    /// Made anew with another port, or with a source of the other family: neither can
    /// be changed.
    Port(u16),
    OtherFamily(IpAddr),
}

impl Kernel {
    /// What those who listen are told of it; or why it cannot be done.
    pub fn tamper(&mut self, tampering: &Tampering) -> Result<Vec<Told>, Refusal> {
        let before = self.state.clone();
        let routes = match tampering {
            Tampering::Route(_) | Tampering::RouteGone(_) | Tampering::RouteChanged(..) => {
                Routes::Themselves
            }
            _ => Routes::WithOthers,
        };
        if let Err(refusal) = self.suffer(tampering) {
            self.state = before;
            return Err(refusal);
        }
        Ok(told(&before, &self.state, routes))
    }

    fn suffer(&mut self, tampering: &Tampering) -> Result<(), Refusal> {
        match tampering {
            Tampering::Device(index, damage) => {
                self.find(*index).ok_or(Refusal::NoDevice)?;
                return self.damage(*index, damage);
            }
            Tampering::Address(address) => return self.add_address(*address),
            Tampering::AddressGone(address) => self.remove_address(*address),
            Tampering::AddressLength(address, length) => {
                self.remove_address(*address);
                let length = *length;
                return self.add_address(Address { length, ..*address });
            }
            Tampering::Fdb(fdb) => self.put_fdb(*fdb),
            Tampering::FdbGone(index, mac) => self.remove_fdb(*index, *mac),
            Tampering::Neighbour(neighbour) => self.put_neighbour(*neighbour),
            Tampering::NeighbourGone(index, address) => self.remove_neighbour(*index, *address),
            Tampering::Route(route) => self.put_route(*route),
            Tampering::RouteGone(route) => self.state.routes.retain(|seen| seen != route),
            Tampering::RouteChanged(route, into) => {
                self.state.routes.retain(|seen| seen != route);
                self.put_route(*into);
            }
            Tampering::Sysctl(path, value) => {
                self.state.sysctls.insert(path.clone(), (*value).into());
                self.follow_sysctl(path);
            }
            Tampering::TableGone => self.state.firewall = None,
            Tampering::Table => {
                if let Some(table) = &mut self.state.firewall {
                    table.frame = None;
                }
            }
            Tampering::Source(address) => {
                if let Some(table) = &mut self.state.firewall {
                    table.sources.insert(*address);
                }
            }
            Tampering::SourceGone(address) => {
                if let Some(table) = &mut self.state.firewall {
                    table.sources.remove(address);
                }
            }
            Tampering::Port(port) => {
                if let Some(table) = &mut self.state.firewall {
                    table
                        .published
                        .retain(|other| other.place() != port.place());
                    table.published.insert(*port);
                }
            }
            Tampering::PortGone(port) => {
                if let Some(table) = &mut self.state.firewall {
                    table.published.remove(port);
                }
            }
        }
        Ok(())
    }

    fn damage(&mut self, index: u32, damage: &Damage) -> Result<(), Refusal> {
        let link = self.link_mut(index);
        match damage {
            Damage::Gone => self.delete(index),
            Damage::Down => self.down(index),
            Damage::Name => return self.rename(index, &format!("other{index}")),
            Damage::Mac(mac) => self.set_mac(index, *mac),
            Damage::Mtu(mtu) => return self.set_mtu(index, *mtu),
            Damage::Master => link.master = Some(1),
            Damage::MakesAddresses if link.mtu < LEAST_MTU_V6 => return Err(Refusal::Family),
            Damage::MakesAddresses => link.makes_addresses = true,
            Damage::Offload(on) => link.offload = Some(*on),
            Damage::Learning => link.vxlan.learning = true,
            Damage::Local(local) => link.vxlan.local = *local,
            Damage::Lower(lower) => link.vxlan.lower = *lower,
            Damage::Port(port) => {
                let mut anew = link.clone();
                anew.vxlan.port = *port;
                self.make_anew(anew);
            }
            Damage::OtherFamily(local) => {
                let mut anew = link.clone();
                anew.vxlan.local = Some(*local);
                self.make_anew(anew);
            }
        }
        Ok(())
    }
}
