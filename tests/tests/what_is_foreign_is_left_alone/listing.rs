//! All that a host's kernel holds and is not ours, and that it is the same as before.

use std::{collections::BTreeMap, fs, process::Command};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::lab::Host;

use super::plants::{DEVICES, SETTINGS};

/// All that a host's kernel holds and is not ours, by where it was read.
pub fn foreign(host: &Host, device: &str) -> Result<BTreeMap<String, Value>> {
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

pub fn ensure_same(now: &BTreeMap<String, Value>, before: &BTreeMap<String, Value>) -> Result<()> {
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
