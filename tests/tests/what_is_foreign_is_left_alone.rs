//! What others have beside Weft stays as it is, to the last handle: while an agent
//! starts, works, is restarted, joins and leaves networks, and is taken out again.

use std::{collections::BTreeMap, fs, process::Command};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::{
    lab::{Agent, Host, Lab, Part, ping},
    wait::patiently,
};

const POOLS: &str = "10.40.0.0/16,fd77:40::/48";
/// Devices of others, some of which are much like ours.
const DEVICES: [&str; 7] = [
    "eth0",
    "flannel.1",
    "ext1",
    "ext7",
    "weft77",
    "weft9",
    "wvbr0",
];
/// Settings of each of them, away from what a kernel begins with.
const SETTINGS: [(&str, &str); 8] = [
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
fn plant(host: &Host, peer: &Peer) -> Result<()> {
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
fn plant_on_ours(host: &Host) -> Result<()> {
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

/// A node that has a lease and no machine.
struct Peer {
    v4: String,
    v6: String,
    metric4: u32,
    metric6: u32,
}

impl Peer {
    fn new(lab: &Lab) -> Result<Self> {
        let leases = lab.lease_to(1000..1001)?;
        let subnets = &leases[0].subnets;
        let metric =
            |subnet: &str| -> Result<u32> { Ok(overlay::datapath::entry::metric(subnet.parse()?)) };
        Ok(Self {
            v4: subnets[0].clone(),
            v6: subnets[1].clone(),
            metric4: metric(&subnets[0])?,
            metric6: metric(&subnets[1])?,
        })
    }
}

/// All that a host's kernel holds and is not ours, by where it was read.
fn foreign(host: &Host, device: &str) -> Result<BTreeMap<String, Value>> {
    let mut all = BTreeMap::new();
    let on_ours = |value: &Value| {
        let names = [&value["dev"], &value["ifname"]];
        names
            .iter()
            .any(|name| name.as_str().is_some_and(|name| name == device))
    };
    host.inside(|| {
        let listings: [&[&str]; 9] = [
            &["ip", "-j", "-d", "link", "show"],
            &["ip", "-j", "addr", "show"],
            &["ip", "-j", "-4", "route", "show", "table", "all"],
            &["ip", "-j", "-6", "route", "show", "table", "all"],
            &["ip", "-j", "neigh", "show", "nud", "permanent"],
            &["ip", "-j", "rule", "show"],
            &["bridge", "-j", "fdb", "show"],
            &["tc", "-j", "qdisc", "show"],
            &["nft", "-j", "list", "ruleset"],
        ];
        for listing in listings {
            let shown = Command::new(listing[0]).args(&listing[1..]).output()?;
            let text = String::from_utf8_lossy(&shown.stdout);
            let mut shown: Value =
                serde_json::from_str(&text).with_context(|| text.into_owned())?;
            let entries = match shown.get_mut("nftables") {
                Some(entries) => entries.take(),
                None => shown,
            };
            let entries = entries.as_array().cloned().unwrap_or_default();
            let entries = entries.into_iter().filter(|entry| {
                let ours_there = match listing[0] {
                    // Whom a router listens to.
                    "bridge"
                        if entry["mac"]
                            .as_str()
                            .is_some_and(|mac| mac.starts_with("33:33:")) =>
                    {
                        true
                    }
                    "ip" if entry["type"] == "anycast" => true,
                    "nft" => is_our_table(entry) || entry.get("metainfo").is_some(),
                    "ip" => {
                        let named = entry["protocol"] == "77";
                        // What the kernel makes of our addresses, and the device itself.
                        let by_kernel =
                            entry["protocol"] == "kernel" || entry.get("protocol").is_none();
                        named || (on_ours(entry) && by_kernel)
                    }
                    _ => on_ours(entry) && entry["handle"] != "8:",
                };
                !ours_there
            });
            let entries: Vec<Value> = entries.map(still).collect();
            let mut lines: Vec<String> = entries.iter().map(Value::to_string).collect();
            lines.sort_unstable();
            all.insert(listing.join(" "), Value::from(lines));
        }
        for device in DEVICES {
            for (path, _) in SETTINGS {
                let path = path.replace("{}", device);
                if path != "ipv6/conf/eth0/accept_ra" {
                    let value = fs::read_to_string(format!("/proc/sys/net/{path}"))?;
                    all.insert(path, Value::from(value));
                }
            }
        }
        Ok(all)
    })
}

fn is_our_table(entry: &Value) -> bool {
    let objects = entry.as_object().into_iter().flatten();
    objects.into_iter().any(|(kind, object)| {
        let table = if kind == "table" {
            &object["name"]
        } else {
            &object["table"]
        };
        object["family"] == "inet" && table == "weft"
    })
}

/// Without what runs down by itself.
fn still(entry: Value) -> Value {
    match entry {
        Value::Object(fields) => {
            let kept = fields
                .into_iter()
                .filter(|(name, _)| !name.ends_with("_timer"));
            Value::Object(kept.map(|(name, value)| (name, still(value))).collect())
        }
        other => other,
    }
}

fn ensure_same(now: &BTreeMap<String, Value>, before: &BTreeMap<String, Value>) -> Result<()> {
    for (listing, before) in before {
        let now = &now[listing];
        let lines = |value: &Value| {
            value
                .as_array()
                .cloned()
                .unwrap_or_else(|| vec![value.clone()])
        };
        let (was, is) = (lines(before), lines(now));
        let gone: Vec<&Value> = was.iter().filter(|line| !is.contains(line)).collect();
        let new: Vec<&Value> = is.iter().filter(|line| !was.contains(line)).collect();
        ensure!(
            gone.is_empty() && new.is_empty(),
            "{listing}: gone {gone:#?}, new {new:#?}"
        );
    }
    Ok(())
}

/// Our own routes to the peer are there, or not.
fn routes_to(host: &Host, peer: &Peer) -> Result<usize> {
    let picture = tests::lab::Picture::of(host, "weft1")?;
    let routes = [Part::Routes4, Part::Routes6].map(|part| picture.part(part).clone());
    let routes = routes.iter().filter_map(Value::as_array).flatten();
    let to_it =
        |route: &&Value| route["dst"] == peer.v4.as_str() || route["dst"] == peer.v6.as_str();
    Ok(routes
        .filter(to_it)
        .filter(|route| route["protocol"] == "77")
        .count())
}

fn in_the_way(agent: &Agent) -> Result<Vec<String>> {
    let status = agent.status()?;
    let all = status["in_the_way"].as_array().cloned().unwrap_or_default();
    Ok(all
        .iter()
        .map(|one| one.as_str().unwrap_or_default().to_owned())
        .collect())
}

/// Waits until it has compared everything again.
fn looked(agent: &Agent) -> Result<()> {
    let looks = agent.metric("weft_agent_looks_total")?;
    patiently("it looks again", || {
        ensure!(agent.metric("weft_agent_looks_total")? > looks + 1.0);
        Ok(())
    })
}

#[test]
fn whatever_ours_does() -> Result<()> {
    let mut lab = Lab::new(2)?;
    lab.start_controller(&["--default-network", POOLS])?;
    lab.weft(&[
        "network",
        "create",
        "blue",
        "--pool",
        "10.70.0.0/16",
        "--masquerade",
        "on",
    ])?;
    let peer = Peer::new(&lab)?;
    let host = lab.host(1);
    plant(host, &peer)?;
    let before = foreign(host, "weft1")?;
    let flags = ["--look-every", "500ms"];
    let mut agents = lab.agents(&flags)?;
    looked(&agents[0])?;
    ensure_same(&foreign(host, "weft1")?, &before).context("an agent starts")?;

    let way = in_the_way(&agents[0])?;
    ensure!(
        way.len() == 2 && way[0].contains(&peer.v4) && way[1].contains(&peer.v6),
        "{way:?}"
    );
    ensure!(routes_to(host, &peer)? == 0);
    let (one, other) = (lab.container_on(1)?, lab.container_on(2)?);
    for address in &other.addresses {
        patiently("a ping comes back", || {
            let pings = ping(&one, *address, 1)?;
            ensure!(pings.lost() == 0, "{}", pings.said.stdout);
            Ok(())
        })?;
    }

    plant_on_ours(host)?;
    let before = foreign(host, "weft1")?;
    looked(&agents[0])?;
    ensure_same(&foreign(host, "weft1")?, &before).context("the timer")?;

    agents[0].kill()?;
    agents[0].start()?;
    looked(&agents[0])?;
    ensure_same(&foreign(host, "weft1")?, &before).context("the agent is killed and started")?;

    let leases = lab.lease_to(1010..1015)?;
    patiently("they are peers", || {
        let peers = agents[0].status()?["networks"][0]["peers"]
            .as_array()
            .map(Vec::len);
        ensure!(peers == Some(7), "{peers:?}");
        Ok(())
    })?;
    ensure_same(&foreign(host, "weft1")?, &before).context("peers come")?;
    lab.release(&leases[..2])?;
    patiently("two are gone", || {
        let peers = agents[0].status()?["networks"][0]["peers"]
            .as_array()
            .map(Vec::len);
        ensure!(peers == Some(5), "{peers:?}");
        Ok(())
    })?;
    ensure_same(&foreign(host, "weft1")?, &before).context("peers go")?;

    // VNI 2, and a device of that name.
    agents[0].run(&["join", "blue"])?;
    agents[0].ready()?;
    ensure!(host.run(&["ip", "link", "show", "weft2"])?.code == 0);
    agents[0].run(&["leave", "blue"])?;
    patiently("it is gone", || {
        ensure!(host.run(&["ip", "link", "show", "weft2"])?.code != 0);
        Ok(())
    })?;
    ensure_same(&foreign(host, "weft1")?, &before).context("a network comes and goes")?;

    // Our device goes, and what others put on it with it; nothing else does.
    host.ip(&["link del weft1"])?;
    patiently("it is back", || {
        ensure!(host.run(&["ip", "link", "show", "weft1"])?.code == 0);
        agents[0].ready()
    })?;

    // Whoever stands in the way may go at last.
    let Peer {
        v4,
        v6,
        metric4,
        metric6,
    } = &peer;
    host.ip(&[
        format!("route del {v4} metric {metric4}"),
        format!("route del {v6} metric {metric6}"),
    ])?;
    patiently("ours are there instead", || {
        ensure!(routes_to(host, &peer)? == 2 && in_the_way(&agents[0])?.is_empty());
        Ok(())
    })
}

#[test]
fn also_when_ours_goes() -> Result<()> {
    let mut lab = Lab::new(2)?;
    lab.start_controller(&["--default-network", POOLS])?;
    let peer = Peer::new(&lab)?;
    let host = lab.host(1);
    plant(host, &peer)?;
    let before = foreign(host, "weft1")?;
    let mut agents = lab.agents(&[])?;
    let state = host.directory().join("state");
    let state = state.to_str().context("a path")?;
    let cleanup = ["cleanup", "--state-dir", state];
    let refused = agents[0].run(&cleanup)?;
    ensure!(
        refused.code == 1 && refused.stderr.contains("agent"),
        "{refused:?}"
    );
    agents[0].kill()?;
    let said = agents[0].run(&cleanup)?;
    ensure!(said.code == 0, "{said:?}");
    ensure_same(&foreign(host, "weft1")?, &before)?;
    // And of ours there is nothing.
    ensure!(host.run(&["ip", "link", "show", "weft1"])?.code != 0);
    for family in ["-4", "-6"] {
        let routes = host.done(&["ip", family, "route", "show", "table", "all", "proto", "77"])?;
        ensure!(routes.trim().is_empty(), "{routes}");
    }
    ensure!(host.run(&["nft", "list", "table", "inet", "weft"])?.code != 0);
    let again = agents[0].run(&cleanup)?;
    ensure!(again.code == 0, "{again:?}");
    ensure_same(&foreign(host, "weft1")?, &before)?;
    // The host comes back as the same node.
    agents[0].start()?;
    ensure_same(&foreign(host, "weft1")?, &before)
}
