//! What an ADD made: in the words of the newest version, said in any.

use std::net::IpAddr;

use overlay::endpoint::link::{HOST_MAC, OnLink};
use serde_json::{Map, Value, json};
use socket::words::Attached;

use crate::{failure::Failure, loose::Loose, version::Version};

/// Interfaces, addresses and routes are kept as they were said: of another plugin's only
/// what is known here could be read.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outcome {
    interfaces: Vec<Map<String, Value>>,
    ips: Vec<Map<String, Value>>,
    routes: Vec<Map<String, Value>>,
    dns: Map<String, Value>,
}

/// What only the newest version knows.
const NEWEST_OF_INTERFACES: [&str; 3] = ["mtu", "socketPath", "pciID"];
const NEWEST_OF_ROUTES: [&str; 5] = ["mtu", "advmss", "priority", "table", "scope"];

impl Outcome {
    /// Of a plugin before this one, or of an earlier ADD.
    pub fn read(said: &Loose<'_>) -> Result<Self, Failure> {
        let objects = |key: &str| {
            let list = said.list(key)?.iter();
            list.map(|value| match value {
                Value::Object(map) => Ok(map.clone()),
                other => Err(said.wrong(key, "no part of a result", other)),
            })
            .collect::<Result<Vec<_>, _>>()
        };
        let dns = said.object("dns")?;
        let dns = dns.pairs().map(|(key, value)| (key.into(), value.clone()));
        Ok(Self {
            interfaces: objects("interfaces")?,
            ips: objects("ips")?,
            routes: objects("routes")?,
            dns: dns.collect(),
        })
    }

    /// The host's end of the link, the container's, and what leads to and from it.
    pub fn of(attached: &Attached, netns: &str, dns: &Map<String, Value>) -> Self {
        let endpoint = &attached.endpoint;
        let gateway_to = |address: IpAddr| {
            let mut gateways = attached.gateways.iter();
            gateways.find(|gateway| gateway.is_ipv4() == address.is_ipv4())
        };
        let ip = |on_link: &OnLink| {
            let address = on_link.to_string();
            let mut ip = object(json!({ "address": address, "interface": 1 }));
            if let Some(gateway) = gateway_to(on_link.address) {
                ip.insert("gateway".into(), json!(gateway));
            }
            ip
        };
        let routes = attached.gateways.iter().flat_map(|gateway| {
            let everything = if gateway.is_ipv4() {
                "0.0.0.0/0"
            } else {
                "::/0"
            };
            let pools = attached.pools.iter();
            let pools = pools.filter(|pool| pool.address().is_ipv4() == gateway.is_ipv4());
            let pools = pools.map(ToString::to_string);
            let all = std::iter::once(everything.to_owned()).chain(pools);
            all.map(move |dst| object(json!({ "dst": dst, "gw": gateway })))
        });
        Self {
            interfaces: vec![
                object(json!({
                    "name": attached.device,
                    "mac": HOST_MAC,
                    "mtu": attached.mtu,
                })),
                object(json!({
                    "name": endpoint.sandbox.interface,
                    "mac": endpoint.mac,
                    "mtu": attached.mtu,
                    "sandbox": netns,
                })),
            ],
            ips: attached.on_link.iter().map(ip).collect(),
            routes: routes.collect(),
            dns: dns.clone(),
        }
    }

    /// What another plugin made before, and then this one.
    pub fn after(mut self, previous: Self) -> Self {
        let before = previous.interfaces.len();
        for ip in &mut self.ips {
            let index = ip.get("interface").and_then(Value::as_u64).unwrap_or(0);
            ip.insert("interface".into(), json!(index + before as u64));
        }
        let join = |mut first: Vec<_>, then| {
            first.extend(then);
            first
        };
        Self {
            interfaces: join(previous.interfaces, self.interfaces),
            ips: join(previous.ips, self.ips),
            routes: join(previous.routes, self.routes),
            dns: if self.dns.is_empty() {
                previous.dns
            } else {
                self.dns
            },
        }
    }

    /// Without what that version does not know, and with what it wants.
    pub fn json(mut self, version: Version) -> Value {
        let leave_out = |maps: &mut Vec<Map<String, Value>>, keys: &[&str]| {
            for map in maps {
                map.retain(|key, _| !keys.contains(&key.as_str()));
            }
        };
        if version < Version::V1_1_0 {
            leave_out(&mut self.interfaces, &NEWEST_OF_INTERFACES);
            leave_out(&mut self.routes, &NEWEST_OF_ROUTES);
        }
        leave_out(&mut self.ips, &["version"]);
        if version < Version::V1_0_0 {
            for ip in &mut self.ips {
                let v6 = ip.get("address").and_then(Value::as_str);
                let v6 = v6.is_some_and(|address| address.contains(':'));
                ip.insert("version".into(), json!(if v6 { "6" } else { "4" }));
            }
        }
        let mut said = object(json!({
            "cniVersion": version.as_str(),
            "interfaces": self.interfaces,
            "ips": self.ips,
            "routes": self.routes,
        }));
        if !self.dns.is_empty() {
            said.insert("dns".into(), Value::Object(self.dns));
        }
        Value::Object(said)
    }

    /// What is not as the agent says it is, in sentences.
    pub fn differs(&self, interface: &str, netns: &str, mac: &str, ips: &[IpAddr]) -> Vec<String> {
        let text = |map: &Map<String, Value>, key: &str| {
            let value = map.get(key).and_then(Value::as_str);
            value.unwrap_or_default().to_owned()
        };
        let mut wrong = Vec::new();
        let ours = |map: &&Map<String, Value>| {
            text(map, "name") == interface && text(map, "sandbox") == netns
        };
        match self.interfaces.iter().find(ours) {
            None => wrong.push(format!(
                "prevResult has no interface {interface} in {netns}"
            )),
            Some(map) => {
                let said = text(map, "mac");
                if !said.eq_ignore_ascii_case(mac) {
                    wrong.push(format!("prevResult has MAC {said}; the agent knows {mac}"));
                }
            }
        }
        let said = self.ips.iter().filter_map(|map| {
            let address = text(map, "address");
            let (address, _) = address.split_once('/')?;
            address.parse::<IpAddr>().ok()
        });
        let said: Vec<IpAddr> = said.collect();
        let missing = ips.iter().filter(|address| !said.contains(address));
        wrong.extend(missing.map(|address| {
            format!("{address} is the container's, and prevResult does not have it")
        }));
        wrong
    }
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => unreachable!("only objects are handed in here"),
    }
}

#[cfg(test)]
mod tests;
