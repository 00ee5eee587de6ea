//! `weft attach`: a network namespace joins a network, whoever made it.

use std::{net::IpAddr, time::Duration};

use clap::Args;
use overlay::{
    endpoint::{Bandwidth, Publish, Who},
    record::Mac,
};
use serde::Serialize;
use socket::words;

use crate::{
    agent,
    failure::Failure,
    output::{Output, described, joined},
};
use sandbox::Place;

pub mod engine;
pub mod sandbox;

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  weft attach --netns blue --name web --publish 8080:80
  weft attach --pid \"$(lxc-info -pHn web)\" --ip 10.32.1.7 --bandwidth 100M/50M
  weft attach --container 4f2a7c --interface eth1 --network backend --label tier=db

The same again is answered the same. Undo it with `weft detach`; an endpoint whose
namespace is gone ends by itself.")]
pub struct Attach {
    #[command(flatten)]
    place: Place,
    /// An address that it is to have, once for each family [default: any free one]
    #[arg(long = "ip", value_name = "IP", value_delimiter = ',')]
    addresses: Vec<IpAddr>,
    /// The MAC address that it is to have [default: one made of its address]
    #[arg(long)]
    mac: Option<Mac>,
    /// What people call it [default: what the engine calls --container]
    #[arg(long)]
    name: Option<String>,
    /// Another name for it; may be repeated
    #[arg(long = "alias", value_name = "NAME", value_delimiter = ',')]
    aliases: Vec<String>,
    /// A label; may be repeated
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = label)]
    labels: Vec<(String, String)>,
    /// A port of this host that leads to one of the container: `[IP:]HOST:PORT[/udp]`, also
    /// 8000-8009:9000-9009; may be repeated
    #[arg(long, value_name = "PORTS")]
    publish: Vec<Publish>,
    /// Bits a second towards and from the container: 100M, 1G/200M, -/50M [default: no bound]
    #[arg(long, value_name = "RATE", allow_hyphen_values = true)]
    bandwidth: Option<Bandwidth>,
    /// Return only when the controllers know of it, too
    #[arg(long)]
    told: bool,
    #[command(flatten)]
    at: agent::At,
}

/// What a person is told of an attachment.
#[derive(Debug, Serialize)]
struct Brief {
    network: String,
    addresses: String,
    gateways: String,
    interface: String,
    mac: String,
    mtu: u32,
    device: String,
    publishes: Option<String>,
    bandwidth: Option<String>,
}

pub fn run(attach: Attach, within: Duration, output: &Output) -> Result<(), Failure> {
    let agent = attach.at.agent(within);
    let words = attach.words(within)?;
    let attached: words::Attached = agent.ask("POST", "/endpoints", &words)?;
    output.print(&attached, || described(&Brief::of(&attached)))
}

impl Attach {
    fn words(self, within: Duration) -> Result<words::Attach, Failure> {
        let found = self.place.find(within)?;
        let who = Who {
            container: found.container,
            name: self.name.or(found.name),
            aliases: self.aliases,
            labels: self.labels.into_iter().collect(),
        };
        who.check()
            .map_err(|error| Failure::BadRequest(error.to_string()))?;
        Ok(words::Attach {
            key: found.sandbox.key(&self.place.interface),
            netns: found.sandbox.path,
            network: self.place.network,
            interface: self.place.interface.into(),
            addresses: self.addresses,
            mac: self.mac,
            who,
            publish: self.publish,
            bandwidth: self.bandwidth.unwrap_or_default(),
            hand: false,
            told: self.told,
        })
    }
}

impl Brief {
    fn of(attached: &words::Attached) -> Self {
        let endpoint = &attached.endpoint;
        let all = |texts: Vec<String>| (!texts.is_empty()).then(|| joined(&texts));
        let on_link = attached.on_link.iter();
        let bandwidth = endpoint.bandwidth;
        Self {
            network: endpoint.network.to_string(),
            addresses: joined(&on_link.map(ToString::to_string).collect::<Vec<_>>()),
            gateways: joined(&texts(&attached.gateways)),
            interface: endpoint.sandbox.interface.clone(),
            mac: endpoint.mac.to_string(),
            mtu: attached.mtu,
            device: attached.device.clone(),
            publishes: all(texts(&endpoint.publish)),
            bandwidth: (!bandwidth.is_unbound()).then(|| bandwidth.to_string()),
        }
    }
}

fn texts<T: ToString>(values: &[T]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

fn label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.into(), value.into())),
        _ => Err("write it as KEY=VALUE".into()),
    }
}

#[cfg(test)]
mod tests;
