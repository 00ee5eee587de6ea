//! `weft network`: overlay networks.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum, value_parser};
use overlay::{
    name::NetworkName,
    subnet::{Family, Subnet},
};
use proto::v1;

use crate::{
    connect::Connection,
    failure::Failure,
    output::{Output, counted},
    seconds::parse_seconds,
};

pub use row::NetworkRow;

mod row;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Create a network
    #[command(after_help = "\
Examples:
  weft network create blue --pool 10.64.0.0/16
  weft network create dual --pool 10.65.0.0/16 --pool fd00:65::/48 --lapse 7d

Every subnet of a pool can be leased. Agents join with --networks blue.")]
    Create(Create),
    /// List the networks and how full they are
    #[command(after_help = "\
Example:
  weft network list -o json

Counts are subnets; with two pools, those of the pool with fewer free ones.")]
    List,
    /// Show one network
    #[command(after_help = "Example:\n  weft network show default -o yaml")]
    Show { name: NetworkName },
    /// Widen the pools of a network; every lease stays as it is
    #[command(after_help = "\
Example:
  weft network grow blue --pool 10.64.0.0/15

Each pool given must contain today's pool of its family.")]
    Grow {
        name: NetworkName,
        /// The wider pool, once for each family
        #[arg(
            long = "pool",
            value_name = "CIDR",
            value_delimiter = ',',
            required = true
        )]
        pools: Vec<Subnet>,
    },
    /// Delete a network
    #[command(after_help = "\
Example:
  weft network delete blue --force")]
    Delete {
        name: NetworkName,
        /// Even if it has leases: they are released, and its agents take it down
        #[arg(long)]
        force: bool,
    },
}

#[derive(Debug, Args)]
pub struct Create {
    /// Lower-case letters, digits and dashes
    name: NetworkName,
    /// What subnets are leased from, once for each family
    #[arg(
        long = "pool",
        value_name = "CIDR",
        value_delimiter = ',',
        required = true
    )]
    pools: Vec<Subnet>,
    /// The VXLAN network identifier [default: the lowest unused]
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..1 << 24))]
    vni: Option<u32>,
    /// The UDP port between hosts [default: 4789]
    #[arg(long, value_name = "PORT", value_parser = value_parser!(u16).range(1..))]
    port: Option<u16>,
    /// The length of a node's IPv4 subnet [default: 24]
    #[arg(long, value_name = "BITS", value_parser = value_parser!(u8).range(1..=32))]
    subnet_len: Option<u8>,
    /// The length of a node's IPv6 subnet [default: 64]
    #[arg(long, value_name = "BITS", value_parser = value_parser!(u8).range(1..=128))]
    subnet_len6: Option<u8>,
    /// The family of the hosts' own addresses [default: v4]
    #[arg(long, value_name = "FAMILY")]
    underlay: Option<Underlay>,
    /// How packets travel between hosts [default: vxlan]
    #[arg(long, value_name = "HOW")]
    encap: Option<Encap>,
    /// Whether containers reach the outside under their host's address [default: on]
    #[arg(long, value_name = "on|off")]
    masquerade: Option<Switch>,
    /// How long the subnets of a node that is gone stay its own [default: 24h]
    #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
    lapse: Option<Duration>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Underlay {
    V4,
    V6,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Encap {
    /// Every packet in VXLAN
    Vxlan,
    /// Hosts on one link are routed directly
    Auto,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Switch {
    On,
    Off,
}

pub async fn run(verb: Verb, connection: &Connection, output: &Output) -> Result<(), Failure> {
    let mut networks = connection.networks();
    match verb {
        Verb::Create(create) => {
            let network = connection
                .answer(networks.create(create.request()?))
                .await?;
            output.show(&NetworkRow::from(network))
        }
        Verb::List => {
            let request = v1::ListNetworksRequest {};
            let answer = connection.answer(networks.list(request)).await?;
            let rows: Vec<NetworkRow> = answer.networks.into_iter().map(Into::into).collect();
            output.list(&rows, "no networks; make one with `weft network create`")
        }
        Verb::Show { name } => {
            let name = name.to_string();
            let request = v1::GetNetworkRequest { name };
            let network = connection.answer(networks.get(request)).await?;
            output.show(&NetworkRow::from(network))
        }
        Verb::Grow { name, pools } => {
            let request = v1::GrowNetworkRequest {
                name: name.to_string(),
                pools: texts(&pools),
            };
            let network = connection.answer(networks.grow(request)).await?;
            output.show(&NetworkRow::from(network))
        }
        Verb::Delete { name, force } => {
            let request = v1::DeleteNetworkRequest {
                name: name.to_string(),
                force,
            };
            let answer = connection.answer(networks.delete(request)).await?;
            let released = counted(answer.released_leases, "lease");
            output.done(&format!("network {name} is deleted, {released} released"))
        }
    }
}

impl Create {
    fn request(self) -> Result<v1::CreateNetworkRequest, Failure> {
        let lengths = [
            ("--subnet-len", self.subnet_len, Family::V4, "10.64.0.0/16"),
            (
                "--subnet-len6",
                self.subnet_len6,
                Family::V6,
                "fd00:64::/48",
            ),
        ];
        for (flag, len, family, example) in lengths {
            if len.is_some() && !self.pools.iter().any(|pool| pool.family() == family) {
                return Err(Failure::BadRequest(format!(
                    "{flag} needs a pool of its family, such as --pool {example}"
                )));
            }
        }
        Ok(v1::CreateNetworkRequest {
            name: self.name.to_string(),
            pools: texts(&self.pools),
            vni: self.vni.unwrap_or_default(),
            port: self.port.map_or(0, u32::from),
            subnet_len4: self.subnet_len.map_or(0, u32::from),
            subnet_len6: self.subnet_len6.map_or(0, u32::from),
            underlay: match self.underlay {
                None => String::new(),
                Some(Underlay::V4) => "v4".into(),
                Some(Underlay::V6) => "v6".into(),
            },
            encap: match self.encap {
                None => String::new(),
                Some(Encap::Vxlan) => "vxlan".into(),
                Some(Encap::Auto) => "auto".into(),
            },
            masquerade: self.masquerade.map(|switch| match switch {
                Switch::On => true,
                Switch::Off => false,
            }),
            lapse_seconds: self.lapse.map(|time| time.as_secs()),
        })
    }
}

fn texts(subnets: &[Subnet]) -> Vec<String> {
    subnets.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests;
