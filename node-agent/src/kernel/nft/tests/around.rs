//! Hosts and containers around the one of the test, and what its counters saw of them.

use overlay::datapath::firewall::Firewall;
use serde_json::Value;

use super::{
    Table,
    namespace::{Host, run},
};

pub const UPLINK: [&str; 2] = ["192.0.2.1/24", "2001:db8:50::1/64"];
pub const PEER: [&str; 2] = ["192.0.2.2/24", "2001:db8:50::2/64"];
pub const SECOND: [&str; 2] = ["198.51.100.1/24", "2001:db8:51::1/64"];
pub const OTHER: [&str; 2] = ["198.51.100.2/24", "2001:db8:51::2/64"];

/// The packets that all counters of a chain of ours have seen.
pub fn counted(chain: &str) -> u64 {
    packets(&run(&format!("nft -j list chain inet weft {chain}")))
}

pub fn packets(listed: &str) -> u64 {
    fn sum(value: &Value) -> u64 {
        match value {
            Value::Array(all) => all.iter().map(sum).sum(),
            Value::Object(fields) => fields
                .iter()
                .map(|(name, value)| match value.get("packets") {
                    Some(packets) if name == "counter" => packets.as_u64().unwrap(),
                    _ => sum(value),
                })
                .sum(),
            _ => 0,
        }
    }
    sum(&serde_json::from_str(listed).unwrap())
}

/// Another host at a device of ours.
pub fn neighbour(device: &str, ours: [&str; 2], theirs: [&str; 2]) -> Host {
    let host = Host::start();
    connect(&host, device, ours, theirs);
    host
}

pub fn connect(host: &Host, device: &str, ours: [&str; 2], theirs: [&str; 2]) {
    run(&format!(
        "ip link add {device} type veth peer name eth0 netns {}
         ip addr add {} dev {device}; ip addr add {} dev {device} nodad
         ip link set {device} up",
        host.pid(),
        ours[0],
        ours[1]
    ));
    host.run(&format!(
        "ip addr add {} dev eth0; ip addr add {} dev eth0 nodad; ip link set eth0 up
         ip route add default via {} dev eth0 onlink
         ip -6 route add default via {} dev eth0 onlink",
        theirs[0],
        theirs[1],
        ours[0].split('/').next().unwrap(),
        ours[1].split('/').next().unwrap(),
    ));
}

/// A router without the kernel's own check of the reverse path.
pub fn router() {
    run(
        "sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 \
         net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0",
    );
}

pub fn installed(firewall: &Firewall) -> Table {
    let mut table = Table::open().unwrap();
    table.install(firewall).unwrap();
    table
}

/// A container of this node, and what it needs to reach its host.
pub fn container(device: &str, number: u32) -> Host {
    let host = neighbour(
        device,
        ["169.254.1.1/32", "fd99::1/128"],
        [
            &format!("10.31.1.{number}/32"),
            &format!("fd77:1:1::{number}/128"),
        ]
        .map(String::as_str),
    );
    run(&format!(
        "ip route add 10.31.1.{number} dev {device}
         ip -6 route add fd77:1:1::{number} dev {device}"
    ));
    host
}
