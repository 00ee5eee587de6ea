//! All that is Weft's in a host's kernel, and the routes beside it, as the system's own
//! tools show it: two pictures are equal when everything is as it was.

use std::{collections::BTreeMap, fmt, fs, process::Command};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::Namespace;

/// What one command shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Device,
    Addresses,
    Fdb,
    Neighbours,
    Routes4,
    Routes6,
    Firewall,
    Settings,
}

impl Part {
    pub const ALL: [Self; 8] = [
        Self::Device,
        Self::Addresses,
        Self::Fdb,
        Self::Neighbours,
        Self::Routes4,
        Self::Routes6,
        Self::Firewall,
        Self::Settings,
    ];

    /// In the namespace of this thread.
    pub fn seen(self, device: &str) -> Result<Value> {
        match self {
            Self::Device => link(device),
            Self::Addresses => {
                let shown = shown("ip", &["-j", "addr", "show", "dev", device])?;
                let fields = ["family", "local", "prefixlen", "peer"];
                let mut all = sorted(&shown[0]["addr_info"], &fields);
                drop_kernels_own(&mut all, "local");
                Ok(all)
            }
            Self::Fdb => {
                let shown = shown("bridge", &["-j", "fdb", "show", "dev", device])?;
                Ok(sorted(
                    &shown,
                    &["mac", "dst", "state", "flags", "port", "vni", "master"],
                ))
            }
            Self::Neighbours => {
                let which = ["-j", "neigh", "show", "dev", device, "nud", "permanent"];
                let shown = shown("ip", &which)?;
                Ok(sorted(&shown, &["dst", "lladdr", "state"]))
            }
            Self::Routes4 => routes("-4"),
            Self::Routes6 => routes("-6"),
            Self::Firewall => {
                let table = shown("nft", &["-j", "list", "table", "inet", "weft"])?;
                Ok(plain(&table["nftables"]))
            }
            Self::Settings => {
                let mine = format!("net/ipv6/conf/{device}/disable_ipv6");
                let settings = ["net/ipv4/ip_forward", "net/ipv6/conf/all/forwarding", &mine];
                let values = settings.map(|setting| {
                    // That of a device that is not there is not there either.
                    fs::read_to_string(format!("/proc/sys/{setting}")).ok()
                });
                Ok(json!(values))
            }
        }
    }
}

#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    parts: BTreeMap<Part, Value>,
}

impl Picture {
    pub fn of(host: &Namespace, device: &str) -> Result<Self> {
        host.inside(|| Self::taken(device))
    }

    /// In the namespace of this thread.
    pub fn taken(device: &str) -> Result<Self> {
        let parts = Part::ALL.map(|part| Ok((part, part.seen(device)?)));
        let parts = parts.into_iter().collect::<Result<_>>()?;
        Ok(Self { parts })
    }

    pub fn part(&self, part: Part) -> &Value {
        &self.parts[&part]
    }

    /// What is not as it was, for a person; empty if everything is.
    pub fn since(&self, before: &Self) -> String {
        let mut said = String::new();
        for (part, now) in &self.parts {
            let before = before.part(*part);
            if now == before {
                continue;
            }
            said += &format!("{part:?}:\n");
            let (was, is) = (lines(before), lines(now));
            for line in was.iter().filter(|line| !is.contains(line)) {
                said += &format!("  - {line}\n");
            }
            for line in is.iter().filter(|line| !was.contains(line)) {
                said += &format!("  + {line}\n");
            }
        }
        said
    }

    pub fn ensure_same(&self, before: &Self) -> Result<()> {
        ensure!(self == before, "{}", self.since(before));
        Ok(())
    }
}

impl fmt::Debug for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (part, value) in &self.parts {
            writeln!(f, "{part:?}:")?;
            for line in lines(value) {
                writeln!(f, "  {line}")?;
            }
        }
        Ok(())
    }
}

/// What a tool shows; null, of what is not there.
fn shown(tool: &str, arguments: &[&str]) -> Result<Value> {
    let output = Command::new(tool).args(arguments).output();
    let output = output.with_context(|| format!("run {tool}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    if !output.status.success() || text.trim().is_empty() {
        return Ok(Value::Null);
    }
    serde_json::from_str(&text).with_context(|| format!("{tool} {arguments:?} printed {text}"))
}

/// The fields that somebody set.
fn link(device: &str) -> Result<Value> {
    let shown = shown("ip", &["-j", "-d", "link", "show", device])?;
    let link = &shown[0];
    let flags = link["flags"].as_array();
    let up = flags.is_some_and(|flags| flags.iter().any(|flag| flag == "UP"));
    let set = ["ifname", "address", "mtu", "master", "inet6_addr_gen_mode"];
    let data = &link["linkinfo"]["info_data"];
    let vxlan = [
        "id", "local", "local6", "link", "port", "learning", "group", "remote",
    ];
    Ok(json!([picked(link, &set), { "up": up }, picked(data, &vxlan)]))
}

/// Of everybody: a route of somebody else's must stay, too.
fn routes(family: &str) -> Result<Value> {
    let shown = shown("ip", &["-j", family, "route", "show", "table", "main"])?;
    let mut all = order(shown);
    drop_kernels_own(&mut all, "dst");
    Ok(all)
}

/// A device that comes into the range of IPv6 is given an address by the kernel before
/// anybody can say that it needs none.
fn drop_kernels_own(entries: &mut Value, field: &str) {
    if let Value::Array(entries) = entries {
        entries.retain(|entry| {
            !entry[field]
                .as_str()
                .is_some_and(|it| it.starts_with("fe80:"))
        });
    }
}

fn sorted(list: &Value, fields: &[&str]) -> Value {
    let entries = list.as_array().into_iter().flatten();
    order(entries.map(|entry| picked(entry, fields)).collect())
}

fn picked(object: &Value, fields: &[&str]) -> Value {
    let fields = fields.iter().filter_map(|field| {
        let value = object.get(field)?;
        Some(((*field).to_owned(), value.clone()))
    });
    Value::Object(fields.collect())
}

/// By how its entries print.
fn order(list: Value) -> Value {
    let Value::Array(mut entries) = list else {
        return list;
    };
    entries.sort_by_cached_key(Value::to_string);
    Value::Array(entries)
}

/// Without what counts or is numbered anew, and with sets in one order.
fn plain(ruleset: &Value) -> Value {
    match ruleset {
        Value::Array(all) => {
            let all = all.iter().filter(|one| one.get("metainfo").is_none());
            Value::Array(all.map(plain).collect())
        }
        Value::Object(fields) => {
            let kept = fields
                .iter()
                .filter(|(name, _)| !["handle", "packets", "bytes"].contains(&name.as_str()));
            let kept = kept.map(|(name, value)| {
                let value = plain(value);
                let unordered = ["elem", "set"].contains(&name.as_str());
                (name.clone(), if unordered { order(value) } else { value })
            });
            Value::Object(kept.collect())
        }
        other => other.clone(),
    }
}

fn lines(value: &Value) -> Vec<String> {
    match value {
        Value::Array(entries) => entries.iter().map(Value::to_string).collect(),
        other => vec![other.to_string()],
    }
}
