//! What an engine asks for one container: `runtimeConfig`, and older places for the same.

use std::net::IpAddr;

use overlay::{
    endpoint::{Bandwidth, Protocol, Publish, Who, rate},
    record::Mac,
};
use serde_json::{Map, Value, json};

use crate::{call::Arguments, failure::Failure, loose::Loose};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Runtime {
    pub publish: Vec<Publish>,
    pub bandwidth: Bandwidth,
    pub addresses: Vec<IpAddr>,
    pub mac: Option<Mac>,
    pub aliases: Vec<String>,
    /// None: what the configuration has.
    pub dns: Option<Map<String, Value>>,
}

/// Engines that know no burst say the most that they can write.
const ANY_BURST: u64 = u32::MAX as u64;
/// What Kubernetes tells by `CNI_ARGS`, and the labels its own tools know it by.
const LABELS: [(&str, &str); 3] = [
    ("K8S_POD_NAME", "io.kubernetes.pod.name"),
    ("K8S_POD_NAMESPACE", "io.kubernetes.pod.namespace"),
    ("K8S_POD_UID", "io.kubernetes.pod.uid"),
];

impl Runtime {
    /// `network` is the engine's name of it.
    pub fn read(conf: &Loose<'_>, network: &str) -> Result<Self, Failure> {
        let runtime = conf.object("runtimeConfig")?;
        let older = conf.object("args")?.object("cni")?;
        let addresses = match addresses(&runtime, "ips")? {
            none if none.is_empty() => addresses(&older, "ips")?,
            some => some,
        };
        let mac = match mac(&runtime)? {
            None => mac(&older)?,
            some => some,
        };
        Ok(Self {
            publish: publish(&runtime)?,
            bandwidth: bandwidth(&runtime)?,
            addresses,
            mac,
            aliases: aliases(&runtime, network)?,
            dns: dns(&runtime)?,
        })
    }

    /// With what the environment asks for beside it; the configuration wins.
    pub fn beside(mut self, arguments: &Arguments) -> Result<Self, Failure> {
        if self.addresses.is_empty() {
            let said = arguments.get("IP").unwrap_or_default();
            let parts = said.split(',').filter(|part| !part.is_empty());
            let address = |part| {
                address(part).ok_or_else(|| {
                    let said = format!("CNI_ARGS has IP={said}, which is no address");
                    Failure::environment(said)
                })
            };
            self.addresses = parts.map(address).collect::<Result<_, _>>()?;
        }
        if self.mac.is_none() {
            let parse = |said: &str| {
                said.parse().map_err(|error| {
                    Failure::environment(format!("CNI_ARGS has MAC={said}: {error}"))
                })
            };
            self.mac = arguments.get("MAC").map(parse).transpose()?;
        }
        Ok(self)
    }

    /// What people call it. With a namespace it is a pod; without one the engine means
    /// the container by its name all the same.
    pub fn who(&self, container: &str, arguments: &Arguments) -> Who {
        let is_pod = arguments.get("K8S_POD_NAMESPACE").is_some();
        let label = |(key, label): (&str, &str)| {
            let value = arguments.get(key).filter(|_| is_pod)?;
            Some((label.to_owned(), value.to_owned()))
        };
        Who {
            container: Some(container.into()),
            name: arguments.get("K8S_POD_NAME").map(str::to_owned),
            aliases: self.aliases.clone(),
            labels: LABELS.into_iter().filter_map(label).collect(),
        }
    }
}

/// With or without the length of a prefix, which is the network's to know.
pub fn address(text: &str) -> Option<IpAddr> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, length.parse().ok()?),
        None => (text, 0u8),
    };
    let address: IpAddr = address.trim().parse().ok()?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    (length <= bits).then_some(address)
}

fn addresses(object: &Loose<'_>, key: &str) -> Result<Vec<IpAddr>, Failure> {
    let texts = object.texts(key)?;
    let one = |text: &String| {
        address(text).ok_or_else(|| object.wrong(key, "no list of addresses", &json!(text)))
    };
    texts.iter().map(one).collect()
}

fn mac(object: &Loose<'_>) -> Result<Option<Mac>, Failure> {
    let parse = |text: &str| {
        text.parse::<Mac>()
            .map_err(|error| Failure::config(format!("{}: {error}", object.path("mac"))))
    };
    object.text("mac")?.map(parse).transpose()
}

fn publish(runtime: &Loose<'_>) -> Result<Vec<Publish>, Failure> {
    let mut all = Vec::new();
    for mapping in runtime.objects("portMappings")? {
        let (host_port, port) = (mapping.port("hostPort")?, mapping.port("containerPort")?);
        // Engines hand over ports that are only named, too.
        if host_port == 0 {
            continue;
        }
        let protocol = match mapping.text("protocol")? {
            None => Protocol::Tcp,
            Some(text) => text.parse().map_err(|error| {
                Failure::config(format!("{}: {error}", mapping.path("protocol")))
            })?,
        };
        let at = mapping.text("hostIP")?;
        let at = host_address(at)
            .ok_or_else(|| mapping.wrong("hostIP", "no address", &json!(at.unwrap_or_default())))?;
        let publish = Publish {
            protocol,
            at,
            host_port,
            port,
            count: 1,
        };
        publish.check().map_err(|error| {
            Failure::config(format!("{}: {error}", mapping.path("containerPort")))
        })?;
        all.push(publish);
    }
    Ok(in_rows(all))
}

/// One address of the host, or all of them: unspecified, or not said.
pub fn host_address(text: Option<&str>) -> Option<Option<IpAddr>> {
    let Some(text) = text else {
        return Some(None);
    };
    let bare = text
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let address: IpAddr = bare.unwrap_or(text).parse().ok()?;
    Some(Some(address).filter(|address| !address.is_unspecified()))
}

/// Engines name each port of a range; we keep the range.
pub fn in_rows(mut all: Vec<Publish>) -> Vec<Publish> {
    all.sort_unstable_by_key(|publish| (publish.protocol, publish.at, publish.host_port));
    let mut rows: Vec<Publish> = Vec::with_capacity(all.len());
    for publish in all {
        match rows.last_mut() {
            Some(row) if follows(row, &publish) => row.count += publish.count,
            _ => rows.push(publish),
        }
    }
    rows
}

fn follows(row: &Publish, next: &Publish) -> bool {
    let after = |first: u16| u32::from(first) + u32::from(row.count);
    (row.protocol, row.at) == (next.protocol, next.at)
        && after(row.host_port) == u32::from(next.host_port)
        && after(row.port) == u32::from(next.port)
}

fn bandwidth(runtime: &Loose<'_>) -> Result<Bandwidth, Failure> {
    let bandwidth = runtime.object("bandwidth")?;
    let way = |rate, burst| {
        let path = bandwidth.path(rate);
        let (rate, burst) = (bandwidth.number(rate)?, bandwidth.number(burst)?);
        if rate == 0 {
            return Ok(None);
        }
        if rate < rate::LEAST {
            let least = rate::LEAST;
            let sentence = format!("{path} is {rate}; no packet comes through below {least} bit/s");
            return Err(Failure::config(sentence));
        }
        let burst = Some(burst).filter(|burst| (1..ANY_BURST).contains(burst));
        Ok(Some(rate::Rate { rate, burst }))
    };
    Ok(Bandwidth {
        ingress: way("ingressRate", "ingressBurst")?,
        egress: way("egressRate", "egressBurst")?,
    })
}

/// A list, or lists by the name of a network.
fn aliases(runtime: &Loose<'_>, network: &str) -> Result<Vec<String>, Failure> {
    match runtime.get("aliases") {
        Some(Value::Object(_)) => runtime.object("aliases")?.texts(network),
        _ => runtime.texts("aliases"),
    }
}

fn dns(runtime: &Loose<'_>) -> Result<Option<Map<String, Value>>, Failure> {
    let dns = runtime.object("dns")?;
    let (servers, searches) = (dns.texts("servers")?, dns.texts("searches")?);
    let options = dns.texts("options")?;
    let all = [
        ("nameservers", servers),
        ("search", searches),
        ("options", options),
    ];
    let said = all.into_iter().filter(|(_, texts)| !texts.is_empty());
    let said: Map<_, _> = said
        .map(|(key, texts)| (key.to_owned(), json!(texts)))
        .collect();
    Ok(Some(said).filter(|said| !said.is_empty()))
}

#[cfg(test)]
mod tests;
