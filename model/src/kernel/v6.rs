//! IPv6 on a device: it is there only from a certain MTU on, and while nobody disables it.

use overlay::{
    datapath::{observed::Address, uplink::LEAST_MTU_V6},
    subnet::Family,
};

use super::{DISABLE_IPV6, Kernel, device::device_of, owned};

impl Kernel {
    /// A setting of a device may be what switches its IPv6 off.
    pub(crate) fn follow_sysctl(&mut self, path: &[String]) {
        let [.., name, setting] = path else {
            return;
        };
        let link = self.state.links.iter().find(|link| link.name == *name);
        if setting == "disable_ipv6"
            && let Some(index) = link.map(|link| link.index)
        {
            if self.speaks_v6(index) && !self.is_v6_disabled(index) {
                self.make_address(index);
            } else {
                self.drop_v6(index);
            }
        }
    }

    pub(super) fn has_v6(&self, index: u32) -> bool {
        self.speaks_v6(index) && !self.is_v6_disabled(index)
    }

    pub(super) fn speaks_v6(&self, index: u32) -> bool {
        self.link(index).mtu >= LEAST_MTU_V6
    }

    fn is_v6_disabled(&self, index: u32) -> bool {
        let path = owned(&[
            "net",
            "ipv6",
            "conf",
            &self.link(index).name,
            "disable_ipv6",
        ]);
        self.state
            .sysctls
            .get(&path)
            .is_some_and(|value| value != "0")
    }

    pub(super) fn begin_v6(&mut self, index: u32) {
        let path = owned(&[
            "net",
            "ipv6",
            "conf",
            &self.link(index).name,
            "disable_ipv6",
        ]);
        let default = self.state.sysctls[&owned(&DISABLE_IPV6)].clone();
        self.state.sysctls.insert(path, default);
    }

    pub(super) fn end_v6(&mut self, index: u32) {
        let settings = owned(&["net", "ipv6", "conf", &self.link(index).name]);
        self.state
            .sysctls
            .retain(|path, _| !path.starts_with(&settings));
        self.link_mut(index).makes_addresses = false;
        self.drop_v6(index);
    }

    pub(super) fn drop_v6(&mut self, index: u32) {
        let state = &mut self.state;
        let v6 = Family::V6;
        state
            .addresses
            .retain(|seen| seen.index != index || Family::of(seen.address) != v6);
        state
            .neighbours
            .retain(|seen| seen.index != index || Family::of(seen.address) != v6);
        state
            .routes
            .retain(|route| device_of(route.hop) != Some(index) || route.subnet.family() != v6);
    }

    /// The link-local address that the kernel makes unless it is told not to.
    pub(super) fn make_address(&mut self, index: u32) {
        let link = self.link(index);
        if !(link.up && link.makes_addresses && self.has_v6(index)) {
            return;
        }
        let [a, b, c, d, e, f] = link.mac.0;
        let words = [[a ^ 2, b], [c, 0xff], [0xfe, d], [e, f]].map(u16::from_be_bytes);
        let [w, x, y, z] = words;
        let address = Address {
            index,
            address: std::net::Ipv6Addr::new(0xfe80, 0, 0, 0, w, x, y, z).into(),
            length: 64,
        };
        if !self.state.addresses.contains(&address) {
            self.state.addresses.push(address);
        }
    }
}
