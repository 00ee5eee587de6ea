//! What others have on a host before any agent is there, and on our device later.

use anyhow::Result;
use tests::lab::Host;

use super::peer::Peer;

/// Devices of others, some of which are much like ours.
pub const DEVICES: [&str; 7] = [
    "eth0",
    "flannel.1",
    "ext1",
    "ext7",
    "weft77",
    "weft9",
    "wvbr0",
];
/// Settings of each of them, away from what a kernel begins with.
pub const SETTINGS: [(&str, &str); 8] = [
    ("ipv4/conf/{}/rp_filter", "2"),
    ("ipv4/conf/{}/arp_ignore", "1"),
    ("ipv4/conf/{}/send_redirects", "0"),
    ("ipv4/conf/{}/route_localnet", "1"),
    ("ipv6/conf/{}/accept_redirects", "0"),
    ("ipv6/conf/{}/use_tempaddr", "0"),
    ("ipv6/conf/{}/keep_addr_on_down", "1"),
    ("ipv6/conf/{}/accept_ra", "0"),
];

const TABLES: &str = "
table ip weft {
    set peers4 { type ipv4_addr; elements = { 203.0.113.7 } }
    chain guard { type filter hook prerouting priority -300; policy accept; udp dport 4789 ip saddr 203.0.113.66 drop; }
}
table inet weft2 {
    chain ingress { type filter hook input priority 0; policy accept; tcp dport 9 drop; }
}
table inet other {
    map weft { type ipv4_addr : ipv4_addr; elements = { 203.0.113.1 : 203.0.113.2 } }
    chain forward { type filter hook forward priority 0; policy accept; }
}
table bridge weft { }
";

/// Before any agent was here. The peer's subnets are where one of them is.
pub fn plant(host: &Host, peer: &Peer) -> Result<()> {
    let vxlan = |name: &str, mac: &str, vni: u32, port: u16| {
        format!(
            "link add {name} address {mac} mtu 1450 type vxlan id {vni} local 192.0.2.1 \
             dstport {port} nolearning dev eth0"
        )
    };
    host.ip(&[
        vxlan("flannel.1", "02:55:00:00:00:01", 1, 8472),
        vxlan("ext1", "02:55:00:00:00:02", 1, 4799),
        vxlan("ext7", "02:55:00:00:00:03", 7, 4789),
        // A name that would be that of another VNI.
        vxlan("weft77", "02:55:00:00:00:04", 5, 4799),
        "link add weft9 type bridge".to_owned(),
        "link add wvbr0 type bridge".to_owned(),
        "link set weft77 master wvbr0".to_owned(),
    ])?;
    let up = DEVICES.iter().flat_map(|device| {
        // Addresses that the kernel makes are only there after a while.
        [
            format!("link set {device} addrgenmode none"),
            format!("link set {device} up"),
        ]
    });
    host.ip(&up.collect::<Vec<String>>())?;
    for device in DEVICES {
        for (path, value) in SETTINGS {
            // That listening goes on is for the uplink to be changed.
            if device == "eth0" && path.ends_with("accept_ra") {
                continue;
            }
            host.sysctl(&format!("net/{}", path.replace("{}", device)), value)?;
        }
    }
    let Peer {
        v4,
        v6,
        metric4,
        metric6,
    } = peer;
    host.ip(&[
        "addr add 10.244.1.0/32 dev flannel.1".to_owned(),
        "addr add 10.98.0.1/24 dev wvbr0".to_owned(),
        "addr add fd98::1/64 dev wvbr0 nodad".to_owned(),
        "route add 10.244.2.0/24 via 10.244.2.0 dev flannel.1 onlink".to_owned(),
        "neigh add 10.244.2.0 lladdr 02:55:00:00:00:09 dev flannel.1 nud permanent".to_owned(),
        "neigh add 192.0.2.200 lladdr 02:55:00:00:00:0a dev eth0 nud permanent".to_owned(),
        "neigh add 2001:db8:50::200 lladdr 02:55:00:00:00:0a dev eth0 nud permanent".to_owned(),
        "route add 172.30.0.0/16 via 192.0.2.200 dev eth0 proto 76".to_owned(),
        "route add unreachable 172.29.0.0/16 metric 4278190080".to_owned(),
        "route add 172.30.0.0/16 via 192.0.2.200 dev eth0 table 77".to_owned(),
        "rule add from 172.30.0.0/16 table 77".to_owned(),
        // To a subnet of ours: behind our route, and in its very place. In IPv6 the former
        // would keep ours out, for it leads to our gateway.
        format!("route add {v4} via 192.0.2.200 dev eth0 metric 9999999"),
        format!("route add {v4} via 192.0.2.200 dev eth0 proto static metric {metric4}"),
        format!("route add {v6} via 2001:db8:50::200 dev eth0 proto static metric {metric6}"),
    ])?;
    for device in ["flannel.1", "ext1", "ext7"] {
        let entry = [
            "02:55:00:00:00:09",
            "dev",
            device,
            "dst",
            "192.0.2.200",
            "self",
            "permanent",
        ];
        host.done(&[&["bridge", "fdb", "add"], &entry[..]].concat())?;
    }
    host.nft(TABLES)?;
    host.done(&[
        "tc", "qdisc", "replace", "dev", "eth0", "root", "handle", "7:", "pfifo",
    ])?;
    Ok(())
}

/// Once our device is there.
pub fn plant_on_ours(host: &Host) -> Result<()> {
    host.ip(&[
        "addr add 10.99.0.1/24 dev weft1",
        "addr add fd99::1/64 dev weft1 nodad",
        "route add 172.31.0.0/16 via 10.99.0.9 dev weft1 onlink proto static metric 42",
        "route add fd31::/48 via fd99::9 dev weft1 proto static metric 42",
        "route add 172.28.0.0/16 dev weft1 scope link",
    ])?;
    host.done(&[
        "tc", "qdisc", "replace", "dev", "weft1", "root", "handle", "8:", "pfifo",
    ])?;
    Ok(())
}
