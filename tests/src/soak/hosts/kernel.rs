//! What a host's kernel must hold of Weft, as it follows from the leases, and what it
//! does hold, as the system's own tools show it. This is not the agent's reasoning: it
//! is written anew here, from the outside.

use std::{
    collections::BTreeSet,
    net::{IpAddr, Ipv6Addr},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use super::lease::{Lease, base};
use crate::lab::{Host, UPLINK};

/// The protocol number of Weft's routes.
const PROTOCOL: &str = "77";

/// The network under test.
#[derive(Debug, Clone)]
pub struct Overlay {
    pub network: String,
    pub device: String,
    pub vni: u32,
    pub port: u16,
    pub mtu: u32,
}

/// Lines, one for each object.
pub type Objects = BTreeSet<String>;

/// What a host that runs an agent must hold, with the devices of its containers.
pub fn wanted(overlay: &Overlay, leases: &[Lease], node: &str, ends: &[String]) -> Result<Objects> {
    let Overlay {
        device,
        vni,
        port,
        mtu,
        ..
    } = overlay;
    let own = leases.iter().find(|lease| lease.node == node);
    let own = own.with_context(|| format!("{node} has no lease"))?;
    let (local, mac) = (own.underlay, &own.mac);
    let mut objects = plain(ends);
    objects.extend([
        format!("device {device}"),
        format!(
            "{device}: vni {vni} port {port} local {local} mac {mac} mtu {mtu} learning false up true"
        ),
        "setting net/ipv4/ip_forward 1".to_owned(),
        "setting net/ipv6/conf/all/forwarding 1".to_owned(),
    ]);
    let chains = [
        "guard", "ingress", "inside", "known", "masq", "nested", "outraw", "vx",
    ];
    objects.extend(chains.map(|chain| format!("chain {chain}")));
    for subnet in &own.subnets {
        let base = base(subnet)?;
        let bits = if base.is_ipv4() { 32 } else { 128 };
        objects.insert(format!("address {base}/{bits}"));
        objects.insert(format!("route {subnet} unreachable"));
    }
    for peer in leases.iter().filter(|lease| lease.node != node) {
        objects.extend(of_peer(overlay, peer)?);
    }
    Ok(objects)
}

/// What every other host must hold for one.
pub fn of_peer(overlay: &Overlay, peer: &Lease) -> Result<Objects> {
    let device = &overlay.device;
    let (mac, underlay) = (&peer.mac, peer.underlay);
    let mut objects = Objects::new();
    objects.insert(format!("fdb {mac} to {underlay} permanent"));
    objects.insert(format!("admitted {underlay}"));
    for subnet in &peer.subnets {
        // A link-local gateway is on the link without a word.
        let (gateway, onlink) = match base(subnet)? {
            IpAddr::V4(base) => (IpAddr::V4(base), "onlink"),
            IpAddr::V6(_) => (IpAddr::V6(link_local(mac)?), ""),
        };
        objects.insert(format!("neighbour {gateway} is {mac}"));
        objects.insert(format!(
            "route {subnet} via {gateway} dev {device} {onlink}"
        ));
    }
    Ok(objects)
}

/// What a host without an agent and without a past must hold.
pub fn plain(ends: &[String]) -> Objects {
    let mut objects = Objects::new();
    objects.extend(["lo", UPLINK].map(|device| format!("device {device}")));
    objects.extend(ends.iter().map(|device| format!("device {device}")));
    objects
}

/// What there is.
pub fn seen(host: &Host, device: &str) -> Result<Objects> {
    let mut objects = Objects::new();
    links(host, device, &mut objects)?;
    routes(host, &mut objects)?;
    firewall(host, &mut objects)?;
    if !objects.contains(&format!("device {device}")) {
        return Ok(objects);
    }
    of_device(host, device, &mut objects)?;
    for setting in ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding"] {
        let path = format!("/proc/sys/{setting}");
        let value = host.inside(|| std::fs::read_to_string(&path).with_context(|| path.clone()))?;
        objects.insert(format!("setting {setting} {}", value.trim()));
    }
    Ok(objects)
}

/// What is missing and what is too much, for a person; empty: it is as it should be.
pub fn differences(wanted: &Objects, seen: &Objects) -> Vec<String> {
    let missing = wanted
        .difference(seen)
        .map(|line| format!("missing: {line}"));
    let stale = seen.difference(wanted).map(|line| format!("stale: {line}"));
    missing.chain(stale).collect()
}

/// To which underlay address a host sends what is for this MAC.
pub fn leads_to(host: &Host, device: &str, mac: &str) -> Result<Option<IpAddr>> {
    let shown = host.run(&["bridge", "-j", "fdb", "show", "dev", device])?;
    let entries: Value = serde_json::from_str(&shown.stdout).unwrap_or(Value::Null);
    let mut entries = entries.as_array().into_iter().flatten();
    let entry = entries.find(|entry| entry["mac"] == mac);
    let address = entry.and_then(|entry| entry["dst"].as_str());
    Ok(address.map(str::parse).transpose()?)
}

fn links(host: &Host, device: &str, objects: &mut Objects) -> Result<()> {
    let shown = host.json(&["ip", "-j", "-d", "link", "show"])?;
    for link in shown.as_array().into_iter().flatten() {
        let name = text(&link["ifname"]);
        objects.insert(format!("device {name}"));
        if name != device {
            continue;
        }
        let data = &link["linkinfo"]["info_data"];
        let local = [&data["local"], &data["local6"]]
            .into_iter()
            .find(|local| local.is_string());
        let flags = link["flags"].as_array().into_iter().flatten();
        objects.insert(format!(
            "{device}: vni {} port {} local {} mac {} mtu {} learning {} up {}",
            data["id"],
            data["port"],
            text(local.unwrap_or(&Value::Null)),
            text(&link["address"]),
            link["mtu"],
            data["learning"],
            flags.clone().any(|flag| flag == "UP"),
        ));
    }
    Ok(())
}

fn routes(host: &Host, objects: &mut Objects) -> Result<()> {
    for family in ["-4", "-6"] {
        let all = [
            "ip", "-N", "-j", family, "route", "show", "table", "all", "proto", PROTOCOL,
        ];
        let shown = host.json(&all)?;
        for route in shown.as_array().into_iter().flatten() {
            let to = text(&route["dst"]);
            let unreachable = ["unreachable", "7"].contains(&text(&route["type"]).as_str());
            objects.insert(if unreachable {
                format!("route {to} unreachable")
            } else {
                let (gateway, device) = (text(&route["gateway"]), text(&route["dev"]));
                let flags = route["flags"].as_array().into_iter().flatten();
                let flags: Vec<String> = flags.map(text).collect();
                format!("route {to} via {gateway} dev {device} {}", flags.join(" "))
            });
        }
    }
    Ok(())
}

fn firewall(host: &Host, objects: &mut Objects) -> Result<()> {
    let table = host.run(&["nft", "-j", "list", "table", "inet", "weft"])?;
    if table.code != 0 {
        return Ok(());
    }
    let table: Value = serde_json::from_str(&table.stdout)?;
    for part in table["nftables"].as_array().into_iter().flatten() {
        if let Some(name) = part["chain"]["name"].as_str() {
            objects.insert(format!("chain {name}"));
        }
        let set = &part["set"];
        if text(&set["name"]).starts_with("peers") {
            let elements = set["elem"].as_array().into_iter().flatten();
            let address = |element: &Value| format!("admitted {}", text(&element["elem"]["val"]));
            objects.extend(elements.map(address));
        }
    }
    Ok(())
}

fn of_device(host: &Host, device: &str, objects: &mut Objects) -> Result<()> {
    let shown = host.json(&["ip", "-j", "addr", "show", "dev", device])?;
    for address in shown[0]["addr_info"].as_array().into_iter().flatten() {
        let (local, bits) = (text(&address["local"]), &address["prefixlen"]);
        // The kernel gives itself one before anybody can say that none is needed.
        if !local.starts_with("fe80:") {
            objects.insert(format!("address {local}/{bits}"));
        }
    }
    let shown = host.json(&["bridge", "-j", "fdb", "show", "dev", device])?;
    for entry in shown.as_array().into_iter().flatten() {
        let (mac, to, state) = (
            text(&entry["mac"]),
            text(&entry["dst"]),
            text(&entry["state"]),
        );
        objects.insert(format!("fdb {mac} to {to} {state}"));
    }
    let which = [
        "ip",
        "-j",
        "neigh",
        "show",
        "dev",
        device,
        "nud",
        "permanent",
    ];
    let shown = host.json(&which)?;
    for entry in shown.as_array().into_iter().flatten() {
        objects.insert(format!(
            "neighbour {} is {}",
            text(&entry["dst"]),
            text(&entry["lladdr"])
        ));
    }
    Ok(())
}

/// The address that the rule of EUI-64 makes of a MAC.
fn link_local(mac: &str) -> Result<Ipv6Addr> {
    let bytes = mac.split(':').map(|byte| u8::from_str_radix(byte, 16));
    let bytes: Vec<u8> = bytes.collect::<Result<_, _>>()?;
    let [a, b, c, d, e, f] = bytes[..] else {
        bail!("{mac} is no MAC");
    };
    let mut octets = [0; 16];
    octets[..2].copy_from_slice(&[0xfe, 0x80]);
    octets[8..].copy_from_slice(&[a ^ 2, b, c, 0xff, 0xfe, d, e, f]);
    Ok(octets.into())
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
