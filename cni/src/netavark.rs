//! Podman's own plugins, which netavark starts: a verb, and JSON by standard input.

use std::{net::IpAddr, path::PathBuf};

use overlay::{
    endpoint::{Key, Protocol, Publish, Who, link::OnLink},
    name::NetworkName,
};
use serde_json::{Map, Value, json};
use socket::words::{Attach, Attached, Detach};

use crate::{
    conf::{NETWORK, SOCKET},
    failure::Failure,
    loose::{self, Loose},
    runtime::{address, host_address, in_rows},
};

/// Of the plugins' interface, not of Weft.
pub const API_VERSION: &str = "1.0.0";
pub const KEY_PREFIX: &str = "netavark/";
/// What may be said by `podman network create -o`.
const OPTIONS: [&str; 2] = ["network", "socket"];

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setup {
    pub attach: Attach,
    pub socket: PathBuf,
    /// What was said at `podman network create --dns`.
    pub dns: Vec<IpAddr>,
}

pub fn read(bytes: &[u8]) -> Result<Map<String, Value>, Failure> {
    loose::read(bytes, "standard input is not what netavark writes")
}

pub fn info() -> Value {
    json!({ "version": env!("CARGO_PKG_VERSION"), "api_version": API_VERSION })
}

/// The network as Podman shall keep it: its addresses are not Podman's to give, which
/// knows only those of its own host.
pub fn create(mut network: Map<String, Value>) -> Result<Map<String, Value>, Failure> {
    let said = Loose::new(&network);
    place(&said)?;
    let options = said.object("options")?;
    if let Some((unknown, _)) = options.pairs().find(|(key, _)| !OPTIONS.contains(key)) {
        let known = OPTIONS.join(" and ");
        return Err(Failure::config(format!(
            "-o {unknown} is not known; there are {known}"
        )));
    }
    let not_ours = [
        (
            "subnets",
            "the addresses of a network are its controller's: leave --subnet, --gateway and --ip-range out",
        ),
        ("routes", "routes are the agent's: leave --route out"),
    ];
    for (key, sentence) in not_ours {
        if !said.list(key)?.is_empty() {
            return Err(Failure::config(sentence));
        }
    }
    if said.flag("internal")? {
        let sentence = "whether containers reach the world is the network's to say, for all hosts: leave --internal out";
        return Err(Failure::config(sentence));
    }
    let ipam = said.object("ipam_options")?;
    if let Some(driver) = ipam.text("driver")?.filter(|driver| *driver != "none") {
        let sentence = format!("addresses come from the agent: leave --ipam-driver {driver} out");
        return Err(Failure::config(sentence));
    }
    network.insert("ipam_options".into(), json!({ "driver": "none" }));
    network.insert("dns_enabled".into(), json!(false));
    Ok(network)
}

impl Setup {
    pub fn read(words: &Map<String, Value>, netns: &str) -> Result<Self, Failure> {
        let said = Loose::new(words);
        let of_network = said.object("network")?;
        let of_container = said.object("network_options")?;
        let (network, socket) = place(&of_network)?;
        let (key, interface) = key(&said)?;
        let mac = match of_container.text("static_mac")? {
            None => None,
            Some(mac) => Some(mac.parse().map_err(|error| {
                Failure::config(format!("{}: {error}", of_container.path("static_mac")))
            })?),
        };
        let who = Who {
            container: said.text("container_id")?.map(str::to_owned),
            name: said.text("container_name")?.map(str::to_owned),
            aliases: of_container.texts("aliases")?,
            labels: Default::default(),
        };
        who.check()
            .map_err(|error| Failure::config(error.to_string()))?;
        Ok(Self {
            attach: Attach {
                network,
                key,
                netns: netns.into(),
                interface,
                addresses: addresses(&of_container, "static_ips")?,
                mac,
                who,
                publish: publish(&said)?,
                bandwidth: Default::default(),
                hand: false,
                told: false,
            },
            socket,
            dns: addresses(&of_network, "network_dns_servers")?,
        })
    }

    pub fn answer(&self, attached: &Attached) -> Value {
        let subnet = |on_link: &OnLink| {
            let of_family = |gateway: &&IpAddr| gateway.is_ipv4() == on_link.address.is_ipv4();
            let mut subnet = json!({ "ipnet": on_link.to_string() });
            if let Some(gateway) = attached.gateways.iter().find(of_family) {
                subnet["gateway"] = json!(gateway);
            }
            subnet
        };
        let subnets: Vec<Value> = attached.on_link.iter().map(subnet).collect();
        let interface = attached.endpoint.sandbox.interface.as_str();
        json!({
            "dns_search_domains": [],
            "dns_server_ips": self.dns,
            "interfaces": {
                interface: { "mac_address": attached.endpoint.mac, "subnets": subnets },
            },
        })
    }
}

/// What ends, and where it is asked for.
pub fn teardown(words: &Map<String, Value>) -> Result<(Detach, PathBuf), Failure> {
    let said = Loose::new(words);
    let (network, socket) = place(&said.object("network")?)?;
    let (key, _) = key(&said)?;
    let detach = Detach {
        network,
        key,
        seq: None,
    };
    Ok((detach, socket))
}

fn place(network: &Loose<'_>) -> Result<(NetworkName, PathBuf), Failure> {
    let options = network.object("options")?;
    let name = options.text("network")?.unwrap_or(NETWORK);
    let name = name
        .parse()
        .map_err(|error| Failure::config(format!("-o network={name}: {error}")))?;
    Ok((name, options.text("socket")?.unwrap_or(SOCKET).into()))
}

fn key(said: &Loose<'_>) -> Result<(Key, String), Failure> {
    let needed = |object: &Loose<'_>, key: &str| {
        let text = object.text(key)?;
        let missing = || Failure::config(format!("{}: not said", object.path(key)));
        text.map(str::to_owned).ok_or_else(missing)
    };
    let container = needed(said, "container_id")?;
    let interface = needed(&said.object("network_options")?, "interface_name")?;
    let key = format!("{KEY_PREFIX}{container}/{interface}");
    let key = key
        .parse()
        .map_err(|error| Failure::config(format!("container_id: {error}")))?;
    Ok((key, interface))
}

fn addresses(object: &Loose<'_>, key: &str) -> Result<Vec<IpAddr>, Failure> {
    let texts = object.texts(key)?;
    let one = |text: &String| {
        address(text).ok_or_else(|| object.wrong(key, "no list of addresses", &json!(text)))
    };
    texts.iter().map(one).collect()
}

fn publish(said: &Loose<'_>) -> Result<Vec<Publish>, Failure> {
    let mut all = Vec::new();
    for mapping in said.objects("port_mappings")? {
        let at = mapping.text("host_ip")?;
        let at = host_address(at).ok_or_else(|| {
            mapping.wrong("host_ip", "no address", &json!(at.unwrap_or_default()))
        })?;
        for protocol in mapping.text("protocol")?.unwrap_or("tcp").split(',') {
            let protocol: Protocol = protocol.parse().map_err(|error| {
                Failure::config(format!("{}: {error}", mapping.path("protocol")))
            })?;
            let publish = Publish {
                protocol,
                at,
                host_port: mapping.port("host_port")?,
                port: mapping.port("container_port")?,
                count: mapping.port("range")?.max(1),
            };
            publish.check().map_err(|error| {
                Failure::config(format!("{}: {error}", mapping.path("host_port")))
            })?;
            all.push(publish);
        }
    }
    Ok(in_rows(all))
}

#[cfg(test)]
mod tests;
