//! What somebody else may do to what is ours.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::lab::{Host, Part, Picture};

use Part::{Addresses, Device, Fdb, Firewall, Neighbours, Routes4, Routes6, Settings};

/// Something that somebody else does to what is ours.
pub struct Act {
    pub name: &'static str,
    by: By,
    /// What it changes, and what goes along with that.
    pub concerns: &'static [Part],
}

enum By {
    /// Commands, a line each.
    Commands(Vec<String>),
    Setting(&'static str, &'static str),
}

/// A peer as it shows in the kernel.
pub struct Peer {
    mac: String,
    v4: Hop,
    v6: Hop,
}

/// A route to a subnet of it.
struct Hop {
    subnet: String,
    gateway: String,
    metric: u64,
}

impl Peer {
    pub fn of(host: &Host, underlay: &str) -> Result<Self> {
        let picture = Picture::of(host, "weft1")?;
        let entries = |part: Part| picture.part(part).as_array().cloned().unwrap_or_default();
        let of_it = |entry: &&Value| entry["dst"] == underlay;
        let fdb = entries(Fdb);
        let mac = fdb.iter().find(of_it).context("an entry of the peer")?["mac"].clone();
        let neighbours = entries(Neighbours);
        let hop = |part: Part| -> Result<Hop> {
            let route = entries(part).into_iter().find(|route| {
                let leads = |one: &&Value| one["lladdr"] == mac && one["dst"] == route["gateway"];
                route["protocol"] == "77" && neighbours.iter().any(|one| leads(&one))
            });
            let route = route.with_context(|| format!("a route to the peer: {picture:?}"))?;
            let text = |field: &str| route[field].as_str().unwrap_or_default().to_owned();
            Ok(Hop {
                subnet: text("dst"),
                gateway: text("gateway"),
                metric: route["metric"].as_u64().context("a metric")?,
            })
        };
        let (v4, v6) = (hop(Routes4)?, hop(Routes6)?);
        let mac = mac.as_str().unwrap_or_default().to_owned();
        Ok(Self { mac, v4, v6 })
    }
}

fn commands(name: &'static str, lines: &[String], concerns: &'static [Part]) -> Act {
    let by = By::Commands(lines.to_vec());
    Act { name, by, concerns }
}

fn command(name: &'static str, line: impl Into<String>, concerns: &'static [Part]) -> Act {
    commands(name, &[line.into()], concerns)
}

fn setting(name: &'static str, path: &'static str, value: &'static str) -> Act {
    let by = By::Setting(path, value);
    Act {
        name,
        by,
        concerns: &[Settings],
    }
}

const OF_THE_DEVICE: &[Part] = &[Device, Addresses, Fdb, Neighbours, Routes4, Routes6];

pub fn to_the_device(elsewhere: u32) -> Vec<Act> {
    let set =
        |name, what: &str, concerns| command(name, format!("ip link set weft1 {what}"), concerns);
    let moved = [
        format!("ip link set weft1 netns {elsewhere}"),
        format!("nsenter -t {elsewhere} -n ip link del weft1"),
    ];
    vec![
        command("device deleted", "ip link del weft1", OF_THE_DEVICE),
        set("device down", "down", OF_THE_DEVICE),
        set(
            "MAC changed",
            "address 02:00:00:00:00:99",
            &[Device, Neighbours],
        ),
        set("MTU changed", "mtu 1400", &[Device]),
        set(
            "MTU too small for IPv6",
            "mtu 1000",
            &[Device, Addresses, Routes6, Neighbours],
        ),
        set("renamed", "name other0", &[Device]),
        set("put into a bridge", "master br7", &[Device]),
        set("learning on", "type vxlan id 1 learning", &[Device]),
        set(
            "another source",
            "type vxlan id 1 local 192.0.2.77",
            &[Device],
        ),
        set("makes addresses", "addrgenmode eui64", &[Device]),
        commands("moved to another namespace", &moved, OF_THE_DEVICE),
        command(
            "IPv4 address deleted",
            "ip -4 addr flush dev weft1",
            &[Addresses, Routes4, Neighbours],
        ),
        command(
            "IPv6 address deleted",
            "ip -6 addr flush dev weft1",
            &[Addresses, Routes6],
        ),
        command(
            "IPv4 address added",
            "ip addr add 10.40.250.1/32 dev weft1",
            &[Addresses],
        ),
        command(
            "IPv6 address added",
            "ip addr add fd77:40:250::/128 dev weft1 nodad",
            &[Addresses],
        ),
    ]
}

pub fn to_entries(peer: &Peer) -> Vec<Act> {
    let Peer { mac, v4, v6 } = peer;
    let (four, six) = (&v4.gateway, &v6.gateway);
    let fdb = |name, verb: &str, rest: &str| {
        command(name, format!("bridge fdb {verb} dev weft1 {rest}"), &[Fdb])
    };
    let neighbour =
        |name, what: String| command(name, format!("ip neigh {what} dev weft1"), &[Neighbours]);
    vec![
        fdb("FDB entry deleted", &format!("del {mac}"), ""),
        fdb(
            "FDB entry elsewhere",
            &format!("replace {mac}"),
            "dst 192.0.2.99 self permanent",
        ),
        fdb(
            "FDB entry not permanent",
            &format!("replace {mac}"),
            "dst 192.0.2.2 self dynamic",
        ),
        fdb(
            "FDB entry to another port",
            &format!("replace {mac}"),
            "dst 192.0.2.2 port 5000 self permanent",
        ),
        fdb(
            "FDB entry added",
            "add 02:00:00:00:00:98",
            "dst 192.0.2.98 self permanent",
        ),
        fdb(
            "FDB entry for all others",
            "add 00:00:00:00:00:00",
            "dst 192.0.2.98 self permanent",
        ),
        neighbour("IPv4 neighbour deleted", format!("del {four}")),
        neighbour("IPv6 neighbour deleted", format!("del {six}")),
        neighbour(
            "IPv4 neighbour's MAC",
            format!("replace {four} lladdr 02:00:00:00:00:97 nud permanent"),
        ),
        neighbour(
            "IPv6 neighbour's MAC",
            format!("replace {six} lladdr 02:00:00:00:00:97 nud permanent"),
        ),
        neighbour(
            "IPv4 neighbour not permanent",
            format!("replace {four} lladdr {mac} nud reachable"),
        ),
        neighbour(
            "IPv6 neighbour not permanent",
            format!("replace {six} lladdr {mac} nud stale"),
        ),
        neighbour(
            "IPv4 neighbour added",
            "add 10.40.251.0 lladdr 02:00:00:00:00:96 nud permanent".to_owned(),
        ),
    ]
}

pub fn to_routes(peer: &Peer) -> Vec<Act> {
    let mut acts = Vec::new();
    let names = [
        [
            "IPv4 route deleted",
            "IPv4 route elsewhere",
            "IPv4 route to the uplink",
            "IPv4 route of another protocol",
            "IPv4 route not on the link",
            "IPv4 route of two ways",
            "IPv4 route added",
            "IPv4 unreachable deleted",
        ],
        [
            "IPv6 route deleted",
            "IPv6 route elsewhere",
            "IPv6 route to the uplink",
            "IPv6 route of another protocol",
            "IPv6 route not on the link",
            "IPv6 route of two ways",
            "IPv6 route added",
            "IPv6 unreachable deleted",
        ],
    ];
    let families = [
        (
            &peer.v4,
            "-4",
            "10.40.252.0",
            "192.0.2.2",
            "10.40.253.0/24",
            &[Routes4],
        ),
        (
            &peer.v6,
            "-6",
            "fd77:40:252::",
            "2001:db8:50::2",
            "fd77:40:253::/64",
            &[Routes6],
        ),
    ];
    for (names, (hop, family, elsewhere, uplink, other, concerns)) in names.iter().zip(families) {
        let Hop {
            subnet,
            gateway,
            metric,
        } = hop;
        let place = format!("ip {family} route replace {subnet} metric {metric}");
        let deleted = format!("ip {family} route del {subnet} metric {metric}");
        let ours = "dev weft1 onlink";
        let acts_on_it = [
            vec![deleted.clone()],
            vec![format!("{place} proto 77 via {elsewhere} {ours}")],
            // IPv6 has no gateway to which another device leads.
            vec![
                deleted.clone(),
                format!("{place} proto 77 via {uplink} dev eth0"),
            ],
            vec![format!("{place} proto static via {gateway} {ours}")],
            vec![deleted.clone(), format!("{place} proto 77 dev weft1")],
            vec![format!(
                "{place} proto 77 nexthop via {gateway} {ours} nexthop via {elsewhere} {ours}"
            )],
            vec![format!(
                "ip {family} route add {other} via {elsewhere} {ours} proto 77 metric 77"
            )],
            vec![format!("ip {family} route flush type unreachable proto 77")],
        ];
        for (name, lines) in names.iter().zip(acts_on_it) {
            acts.push(commands(name, &lines, concerns));
        }
    }
    let Hop {
        subnet,
        gateway,
        metric,
    } = &peer.v4;
    let beside = |verb: &str, rest: &str| {
        format!("ip route {verb} {subnet} {rest} dev weft1 onlink proto 77 metric {metric}")
    };
    let (right, wrong) = (format!("via {gateway}"), "via 10.40.252.0");
    let in_its_place = [
        ("IPv4 route before ours", beside("prepend", wrong)),
        ("IPv4 route behind ours", beside("append", wrong)),
        (
            "IPv4 route with an MTU",
            beside("replace", &right) + " mtu 600",
        ),
        (
            "IPv4 route with a source",
            beside("replace", &right) + " src 192.0.2.1",
        ),
    ];
    acts.extend(in_its_place.map(|(name, line)| command(name, line, &[Routes4])));
    let Hop { subnet, metric, .. } = &peer.v6;
    let line = format!("ip route append {subnet} via fd77:40:252:: dev weft1 onlink proto 77");
    let line = format!("{line} metric {metric}");
    acts.push(command("IPv6 route of a second way", line, &[Routes6]));
    acts
}

pub fn to_the_firewall() -> Vec<Act> {
    let nft = |name, what: &str| command(name, format!("nft {what}"), &[Firewall]);
    vec![
        nft("table deleted", "delete table inet weft"),
        nft("ruleset flushed", "flush ruleset"),
        nft("rules of a chain deleted", "flush chain inet weft known"),
        nft("rule deleted", "delete rule inet weft known handle {rule}"),
        nft("rule added", "insert rule inet weft known accept"),
        nft("chain added", "add chain inet weft other"),
        nft(
            "source deleted",
            "delete element inet weft peers4 { 192.0.2.2 }",
        ),
        nft(
            "source added",
            "add element inet weft peers4 { 203.0.113.9 }",
        ),
        nft(
            "IPv6 source added",
            "add element inet weft peers6 { 2001:db8::9 }",
        ),
    ]
}

pub fn to_settings() -> Vec<Act> {
    vec![
        setting("no IPv4 forwarding", "net/ipv4/ip_forward", "0"),
        setting("no IPv6 forwarding", "net/ipv6/conf/all/forwarding", "0"),
        Act {
            concerns: &[Settings, Addresses, Neighbours, Routes6],
            ..setting(
                "no IPv6 on the device",
                "net/ipv6/conf/weft1/disable_ipv6",
                "1",
            )
        },
    ]
}

/// In the namespace of this thread.
pub fn run(act: &Act, host: &Host) -> Result<()> {
    let lines = match &act.by {
        By::Setting(path, value) => return host.sysctl(path, value),
        By::Commands(lines) => lines,
    };
    for line in lines {
        let line = line.replace("{rule}", &rule()?);
        let mut words = line.split_whitespace();
        let output = Command::new(words.next().context("a program")?)
            .args(words)
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "{line}: {said}");
    }
    Ok(())
}

/// The number of some rule in the chain `known`.
fn rule() -> Result<String> {
    let listed = Command::new("nft")
        .args(["-j", "-a", "list", "chain", "inet", "weft", "known"])
        .output()?;
    let Ok(listed) = serde_json::from_slice::<Value>(&listed.stdout) else {
        return Ok(String::new());
    };
    let all = listed["nftables"].as_array().into_iter().flatten();
    let rule = all
        .map(|one| &one["rule"]["handle"])
        .find(|handle| handle.is_number());
    Ok(rule.map(Value::to_string).unwrap_or_default())
}
