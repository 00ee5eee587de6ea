//! A container: a namespace with a routed interface on its host, as `wv` devices are
//! made, but by hand and without the protocol number by which the agent knows its own.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::Deref,
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{Host, Lab, Namespace};

/// What fits through VXLAN on an IPv4 uplink of 1500.
pub const CONTAINER_MTU: u32 = 1450;
/// Of the host's side of every container.
const GATEWAY_MAC: &str = "06:77:ee:ee:ee:ee";

#[derive(Debug, Clone)]
pub struct Container {
    namespace: Namespace,
    /// The device on its host.
    pub device: String,
    pub mac: String,
    pub addresses: Vec<IpAddr>,
}

impl Container {
    /// The first IPv4 address that it was given.
    pub fn v4(&self) -> Ipv4Addr {
        let first = self.addresses.iter().find_map(|address| match address {
            IpAddr::V4(address) => Some(*address),
            IpAddr::V6(_) => None,
        });
        first.unwrap_or_else(|| panic!("{} has no IPv4 address", self.name()))
    }

    pub fn v6(&self) -> Ipv6Addr {
        let first = self.addresses.iter().find_map(|address| match address {
            IpAddr::V4(_) => None,
            IpAddr::V6(address) => Some(*address),
        });
        first.unwrap_or_else(|| panic!("{} has no IPv6 address", self.name()))
    }

    pub(super) fn attach(
        host: &Host,
        count: u32,
        name: &str,
        addresses: &[IpAddr],
        mtu: u32,
    ) -> Result<Self> {
        let device = format!("wv{name}");
        ensure!(device.len() <= 15, "{device} is too long for a device");
        let [_, _, host_high, host_low] = host.number.to_be_bytes();
        let [_, _, high, low] = count.to_be_bytes();
        let container = Self {
            namespace: Namespace::new(name.to_owned())?,
            mac: format!("02:c0:{host_high:02x}:{host_low:02x}:{high:02x}:{low:02x}"),
            device,
            addresses: addresses.to_vec(),
        };
        let (device, mac, pid) = (&container.device, &container.mac, container.pid());
        host.ip(&[format!(
            "link add {device} address {GATEWAY_MAC} mtu {mtu} type veth \
             peer name eth0 address {mac} mtu {mtu} netns {pid}"
        )])?;
        let without = [("accept_dad", "0"), ("accept_ra", "0")];
        for (setting, value) in without {
            host.sysctl(&format!("net/ipv6/conf/{device}/{setting}"), value)?;
        }
        host.ip(&container.on_the_host())?;
        container.ip(&container.in_the_container())?;
        Ok(container)
    }

    /// Both sides have fixed neighbours: a host without an address on the device asks
    /// for none.
    fn on_the_host(&self) -> Vec<String> {
        let (device, mac) = (&self.device, &self.mac);
        let mut lines = vec![format!("link set {device} addrgenmode none up")];
        for address in &self.addresses {
            let whole = whole(address);
            let scope = if address.is_ipv4() { "scope link" } else { "" };
            lines.push(format!(
                "route add {whole} dev {device} proto static {scope}"
            ));
            lines.push(format!(
                "neigh replace {address} lladdr {mac} dev {device} nud permanent"
            ));
        }
        lines
    }

    fn in_the_container(&self) -> Vec<String> {
        let mut lines = vec!["link set eth0 addrgenmode none up".to_owned()];
        for address in &self.addresses {
            let whole = whole(address);
            let duplicates = if address.is_ipv6() { "nodad" } else { "" };
            lines.push(format!("addr add {whole} dev eth0 {duplicates}"));
        }
        let mut neighbour = |gateway: &str| {
            lines.push(format!(
                "neigh replace {gateway} lladdr {GATEWAY_MAC} dev eth0 nud permanent"
            ));
            lines.push(format!("route add default via {gateway} dev eth0 onlink"));
        };
        if self.addresses.iter().any(IpAddr::is_ipv4) {
            neighbour("169.254.1.1");
        }
        if self.addresses.iter().any(IpAddr::is_ipv6) {
            neighbour("fe80::1");
        }
        lines
    }
}

impl Deref for Container {
    type Target = Namespace;

    fn deref(&self) -> &Namespace {
        &self.namespace
    }
}

impl Lab {
    /// With the next addresses of what the host leases in the network `default`.
    pub fn container_on(&self, host: u32) -> Result<Container> {
        self.container_of(host, "default")
    }

    pub fn container_of(&self, host: u32, network: &str) -> Result<Container> {
        let host = self.host(host);
        let leases = self.weft(&["lease", "list"])?;
        let of_it = |lease: &&Value| lease["network"] == network && lease["node"] == host.node();
        let lease = leases.as_array().and_then(|all| all.iter().find(of_it));
        let lease = lease.with_context(|| format!("no lease of {} in {leases}", host.node()))?;
        let count = host.next_container();
        let subnets = lease["subnets"].as_array().context("subnets of a lease")?;
        let addresses = subnets.iter().map(|subnet| {
            let (first, _) = subnet
                .as_str()
                .and_then(|subnet| subnet.split_once('/'))
                .with_context(|| format!("a subnet: {subnet}"))?;
            // The first is the host's, the second may be a bridge's.
            Ok(after(first.parse()?, count + 2))
        });
        let addresses: Vec<IpAddr> = addresses.collect::<Result<_>>()?;
        let name = format!("{}-{count}", host.number);
        let attached = Container::attach(host, count, &name, &addresses, CONTAINER_MTU);
        attached.with_context(|| format!("container {name} of {network}"))
    }
}

/// The address so many further on.
pub fn after(first: IpAddr, count: u32) -> IpAddr {
    match first {
        IpAddr::V4(first) => IpAddr::V4(Ipv4Addr::from(u32::from(first) + count)),
        IpAddr::V6(first) => IpAddr::V6(Ipv6Addr::from(u128::from(first) + u128::from(count))),
    }
}

/// As a prefix that holds it alone.
fn whole(address: &IpAddr) -> String {
    let bits = if address.is_ipv4() { 32 } else { 128 };
    format!("{address}/{bits}")
}
