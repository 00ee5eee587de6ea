//! Whatever an earlier life of a host left in its kernel, and whoever has been at it
//! since: an agent that starts makes it what a clean start makes, in at most two rounds
//! that change something.
//!
//! `WEFT_SEED` repeats a run.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use model::make::{self, Foreign, Part, Standing};
use overlay::{
    datapath::{
        device::Link,
        host::Host as Wanted,
        observed::{Hop, Observed, SeenRoute},
        uplink::Uplink,
    },
    feed::{Peer, Peers},
    network::{NetworkSpec, Vni},
    record::Mac,
    subnet::Subnet,
};
use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config, RngAlgorithm, TestRng, TestRunner},
};
use proto::v1;
use serde_json::Value;
use tests::{
    dice::Dice,
    lab::{Agent, Host, Lab, Picture},
    wait::patiently,
};

const POOLS: [&str; 2] = ["10.40.0.0/16", "fd77:40::/48"];
const STATES: usize = 24;
/// Rounds that changed something.
const ROUNDS: f64 = 2.0;

#[test]
fn whatever_is_left_there() -> Result<()> {
    let mut lab = Lab::new(1)?;
    lab.start_controller(&["--default-network", &POOLS.join(",")])?;
    let leases = lab.lease_to(6000..6006)?;
    let host = lab.host(1);
    let mut agent = lab.agent(1, &[])?;
    let clean = settled(&agent, host)?;
    let wanted = wanted(&lab, &leases)?;
    agent.kill()?;

    let seed = match env::var("WEFT_SEED") {
        Ok(seed) => seed.parse().context("WEFT_SEED is a number")?,
        Err(_) => Dice::seed(),
    };
    println!("WEFT_SEED={seed}");
    let mut dice = Dice::new(seed);
    let mut runner = runner(&mut dice);
    for number in 0..STATES {
        let leftovers = make::own_leftovers(&wanted).new_tree(&mut runner);
        let mut leftovers = leftovers.map_err(|why| anyhow::anyhow!("{why}"))?.current();
        if dice.below(2) == 0 {
            make::plant(Foreign::Flannel, &wanted, &mut leftovers);
            make::plant(Foreign::SameVni, &wanted, &mut leftovers);
        }
        wipe(host)?;
        let lines = build(host, &leftovers)?;
        // The last good state may be lost as well.
        if dice.below(3) == 0 {
            fs::remove_file(host.directory().join("state/state")).ok();
        }
        let began = Instant::now();
        agent.start()?;
        let took = began.elapsed();
        let right = right(&agent, host, &clean);
        let right = right.with_context(|| format!("state {number}: {lines}\n{leftovers:#?}"));
        let rounds = right?;
        println!(
            "state {number}: {} commands; ready after {took:?}, {rounds} rounds",
            lines.lines().count()
        );
        assert!(rounds <= ROUNDS, "state {number}: {rounds} rounds: {lines}");
        agent.kill()?;
    }
    Ok(())
}

/// As it is when nothing is to be done any more.
fn settled(agent: &Agent, host: &Host) -> Result<Picture> {
    patiently("it has settled", || {
        let before = rounds(agent)?;
        let picture = Picture::of(host, "weft1")?;
        let fdb = picture.part(tests::lab::Part::Fdb);
        ensure!(fdb.as_array().map(Vec::len) == Some(6), "{fdb}");
        std::thread::sleep(std::time::Duration::from_millis(50));
        ensure!(rounds(agent)? == before);
        Ok(picture)
    })
}

/// How many rounds changed something, until it was as after a clean start.
fn right(agent: &Agent, host: &Host, clean: &Picture) -> Result<f64> {
    settled(agent, host)?;
    // What somebody else has is there, and is in no picture of what is ours.
    let others = devices(host)?;
    let theirs = others.iter().filter(|name| *name != "weft1");
    let gone = theirs.map(|name| format!("link del {name}"));
    host.ip(&gone.collect::<Vec<String>>())?;
    Picture::of(host, "weft1")?.ensure_same(clean)?;
    rounds(agent)
}

fn rounds(agent: &Agent) -> Result<f64> {
    agent.metric("weft_agent_apply_seconds_count")
}

/// Chance as proptest wants it.
fn runner(dice: &mut Dice) -> TestRunner {
    let mut seed = [0; 32];
    for byte in &mut seed {
        *byte = u8::try_from(dice.below(256)).expect("a byte");
    }
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    TestRunner::new_with_rng(Config::default(), rng)
}

/// What the agent will want, as far as leftovers depend on it.
fn wanted(lab: &Lab, leases: &[v1::Lease]) -> Result<Wanted> {
    let host = lab.host(1);
    let pools: Vec<Subnet> = POOLS
        .iter()
        .map(|pool| pool.parse())
        .collect::<Result<_, _>>()?;
    let spec = NetworkSpec {
        vni: Some(Vni::FIRST),
        ..NetworkSpec::new("default".parse()?, pools)
    };
    let network = spec.network([].iter())?;
    let subnets = |listed: &Value| -> Result<Vec<Subnet>> {
        let listed = listed.as_array().into_iter().flatten();
        listed
            .map(|one| Ok(one.as_str().unwrap_or_default().parse()?))
            .collect()
    };
    let all = lab.weft(&["lease", "list"])?;
    let own = all
        .as_array()
        .into_iter()
        .flatten()
        .find(|lease| lease["node"] == host.node());
    let own = subnets(&own.context("the host's own lease")?["subnets"])?;
    let mut peers = Peers::default();
    for lease in leases {
        let peer = Peer {
            v4: Some(lease.subnets[0].parse()?),
            v6: Some(lease.subnets[1].parse()?),
            underlay: lease.underlay.parse()?,
            mac: lease.mac.parse()?,
        };
        peers.insert(lease.node.parse()?, peer);
    }
    let link = host.json(&["ip", "-j", "link", "show", host.uplink()])?;
    let index = link[0]["ifindex"].as_u64().context("an index")?;
    let part = Part {
        network,
        own,
        uplink: Uplink {
            index: u32::try_from(index)?,
            name: host.uplink().to_owned(),
            mtu: 1500,
            address: host.v4().into(),
            on_link: vec!["192.0.2.0/24".parse()?, "2001:db8:50::/64".parse()?],
            offload: true,
        },
        peers,
        standing: Standing::Synced,
    };
    let identity = fs::read(host.directory().join("state/identity.json"))?;
    let identity: Value = serde_json::from_slice(&identity)?;
    let mac: Mac = identity["mac"].as_str().context("a MAC")?.parse()?;
    Ok(make::host_of(mac, &[part]))
}

fn devices(host: &Host) -> Result<Vec<String>> {
    let links = host.json(&["ip", "-j", "link", "show"])?;
    let names = links.as_array().into_iter().flatten();
    let names = names.filter_map(|link| link["ifname"].as_str());
    Ok(names
        .filter(|name| !["lo", host.uplink()].contains(name))
        .map(str::to_owned)
        .collect())
}

/// As if nobody had ever been there.
fn wipe(host: &Host) -> Result<()> {
    let gone = devices(host)?
        .into_iter()
        .map(|name| format!("link del {name}"));
    host.ip(&gone.collect::<Vec<String>>())?;
    for family in ["-4", "-6"] {
        for which in [["proto", "77"], ["proto", "static"]] {
            host.run(
                &[
                    &["ip", family, "route", "flush", "table", "main"],
                    &which[..],
                ]
                .concat(),
            )?;
        }
    }
    host.nft("flush ruleset")?;
    for setting in [
        "net/ipv4/ip_forward",
        "net/ipv6/conf/all/forwarding",
        "net/ipv6/conf/default/disable_ipv6",
    ] {
        host.sysctl(setting, "0")?;
    }
    host.sysctl("net/ipv6/conf/eth0/disable_ipv6", "0")
}

/// Makes it so, as far as a kernel can be made so; what was asked of it.
fn build(host: &Host, seen: &Observed) -> Result<String> {
    let names: BTreeMap<u32, &str> = seen
        .links
        .iter()
        .map(|link| (link.index, link.name.as_str()))
        .collect();
    let name = |index: &u32| names.get(index).copied().unwrap_or("eth0");
    let mut ip: Vec<String> = Vec::new();
    let masters: BTreeSet<u32> = seen.links.iter().filter_map(|link| link.master).collect();
    ip.extend(
        masters
            .iter()
            .map(|master| format!("link add br{master} type bridge")),
    );
    for link in &seen.links {
        ip.extend(made(link));
    }
    for held in seen
        .addresses
        .iter()
        .filter(|held| names.contains_key(&held.index))
    {
        let nodad = if held.address.is_ipv6() { "nodad" } else { "" };
        let (address, length) = (held.address, held.length);
        ip.push(format!(
            "addr add {address}/{length} dev {} {nodad}",
            name(&held.index)
        ));
    }
    for neighbour in &seen.neighbours {
        let Some(mac) = neighbour.mac else { continue };
        let state = if neighbour.permanent {
            "permanent"
        } else {
            "stale"
        };
        let (address, device) = (neighbour.address, name(&neighbour.index));
        ip.push(format!(
            "neigh replace {address} lladdr {mac} dev {device} nud {state}"
        ));
    }
    ip.extend(seen.routes.iter().map(|route| route_line(route, name)));
    let mut bridge = Vec::new();
    for fdb in &seen.fdb {
        let Some(to) = fdb.to else { continue };
        let port = if fdb.plain { "" } else { "port 5000" };
        let (mac, device) = (fdb.mac, name(&fdb.index));
        bridge.push(format!(
            "fdb add {mac} dev {device} dst {to} {port} self permanent"
        ));
    }
    let nft = seen.firewall.as_ref().map(|firewall| {
        let (v4, v6): (Vec<_>, Vec<_>) = firewall.sources.iter().partition(|one| one.is_ipv4());
        let set = |name: &str, kind: &str, elements: Vec<String>| {
            let elements = elements.join(", ");
            let elements = if elements.is_empty() {
                String::new()
            } else {
                format!("elements = {{ {elements} }}")
            };
            format!("set {name} {{ type {kind}; {elements} }}\n")
        };
        let texts =
            |all: Vec<&std::net::IpAddr>| all.into_iter().map(ToString::to_string).collect();
        let sets = set("peers4", "ipv4_addr", texts(v4)) + &set("peers6", "ipv6_addr", texts(v6));
        format!("table inet weft {{\n{sets}chain ingress {{ }}\n}}\n")
    });
    for (path, value) in &seen.sysctls {
        // Those of devices that are not there yet are not there either.
        host.sysctl(&path.join("/"), value).ok();
    }
    // What this kernel cannot be, it is not.
    fed(host, &["ip", "-force", "-batch"], &ip)?;
    fed(host, &["bridge", "-force", "-batch"], &bridge)?;
    if let Some(script) = &nft {
        host.nft(script)?;
    }
    Ok([ip, bridge, nft.into_iter().collect()].concat().join("\n"))
}

fn fed(host: &Host, program: &[&str], lines: &[String]) -> Result<()> {
    let file = host.directory().join("batch");
    fs::write(&file, lines.join("\n") + "\n")?;
    host.run(&[program, &[file.to_str().context("a path")?]].concat())?;
    Ok(())
}

fn made(link: &Link) -> Vec<String> {
    let Link {
        name, mac, vxlan, ..
    } = link;
    let mut line = format!(
        "link add {name} address {mac} type vxlan id {} dstport {}",
        vxlan.vni, vxlan.port
    );
    if let Some(local) = vxlan.local {
        line += &format!(" local {local}");
    }
    if vxlan.lower.is_some() {
        line += " dev eth0";
    }
    line += if vxlan.learning {
        " learning"
    } else {
        " nolearning"
    };
    let mut lines = vec![line, format!("link set {name} mtu {}", link.mtu)];
    let mode = if link.makes_addresses {
        "eui64"
    } else {
        "none"
    };
    lines.push(format!("link set {name} addrgenmode {mode}"));
    if let Some(master) = link.master {
        lines.push(format!("link set {name} master br{master}"));
    }
    if link.up {
        lines.push(format!("link set {name} up"));
    }
    lines
}

fn route_line<'a>(route: &SeenRoute, name: impl Fn(&u32) -> &'a str) -> String {
    let SeenRoute {
        subnet,
        metric,
        protocol,
        ..
    } = route;
    let (kind, to) = match &route.hop {
        Hop::Gateway {
            gateway,
            device,
            onlink,
        } => {
            let onlink = if *onlink { "onlink" } else { "" };
            ("", format!("via {gateway} dev {} {onlink}", name(device)))
        }
        Hop::Device(device) => ("", format!("dev {}", name(device))),
        Hop::Unreachable => ("unreachable", String::new()),
        Hop::Other => ("blackhole", String::new()),
    };
    format!("route add {kind} {subnet} {to} proto {protocol} metric {metric}")
}
