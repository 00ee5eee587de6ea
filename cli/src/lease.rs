//! `weft lease`: who holds which subnets.

use std::{net::IpAddr, time::Duration};

use clap::{Args, Subcommand};
use overlay::{
    id::{Life, NodeId},
    name::{NetworkName, NodeName},
    record::Mac,
};
use proto::v1;

use crate::{
    connect::Connection, failure::Failure, output::Output, seconds::parse_seconds, watch::Watch,
};

pub use row::{LeaseRow, lease_state};

mod row;
mod watch;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Lease subnets for a host without an agent; asking again gives the same ones
    #[command(after_help = "\
Example:
  weft lease acquire --node web-1 --underlay 192.0.2.10 --mac 02:00:5e:10:00:01 --ttl 8h

Renew it before the time is over; a host with an agent needs none of this.")]
    Acquire(Acquire),
    /// Keep a lease for longer
    #[command(after_help = "\
Example:
  weft lease renew --node web-1 --ttl 8h --life 0b5c3c1e-6d55-4be4-a5a4-6c4e2f5e9d11")]
    Renew {
        #[command(flatten)]
        held: Held,
        /// How long it then lasts [default: 1h]
        #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
        ttl: Option<Duration>,
    },
    /// Give the subnets of a lease back at once
    #[command(after_help = "\
Example:
  weft lease release --node web-1 --life 0b5c3c1e-6d55-4be4-a5a4-6c4e2f5e9d11")]
    Release {
        #[command(flatten)]
        held: Held,
    },
    /// List leases
    #[command(after_help = "\
Examples:
  weft lease list --network blue
  weft lease list --node web-1 -o json")]
    List {
        /// Only of this network
        #[arg(long, value_name = "NAME")]
        network: Option<NetworkName>,
        /// Only of this node
        #[arg(long, value_name = "NAME")]
        node: Option<NodeName>,
    },
    /// Show the lease of a node
    #[command(after_help = "Example:\n  weft lease show --node web-1")]
    Show {
        #[command(flatten)]
        whose: Whose,
    },
    /// Print the leases and then every change to them, until interrupted
    #[command(after_help = "\
Examples:
  weft lease watch --network blue
  weft lease watch -o json --since 1234 --cluster 6f0e8a52-7f4e-4f0b-9a44-0c7a5a1f7f0d

A line begins with + for a lease that is new to this watch, ~ for one that has
changed, - for one that is gone, ! where the watch could not continue: everything
seen before is stale then, and all leases follow (event `reset`). In JSON every line is an object; its `cluster`
and `watch_revision` are what --cluster and --since continue after.")]
    Watch(Watch),
}

#[derive(Debug, Args)]
pub struct Whose {
    /// The name of the node
    #[arg(long, value_name = "NAME")]
    node: NodeName,
    /// In which network
    #[arg(long, value_name = "NAME", default_value = "default")]
    network: NetworkName,
}

#[derive(Debug, Args)]
pub struct Acquire {
    #[command(flatten)]
    whose: Whose,
    /// The host's UUID [default: the one known for the node, or a new one]
    #[arg(long, value_name = "UUID")]
    node_id: Option<NodeId>,
    /// Where peers send the node's packets to
    #[arg(long, value_name = "IP")]
    underlay: Option<IpAddr>,
    /// The MAC address of its VXLAN device
    #[arg(long)]
    mac: Option<Mac>,
    /// How long the lease lasts unless it is renewed [default: 1h]
    #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
    ttl: Option<Duration>,
}

#[derive(Debug, Args)]
pub struct Held {
    #[command(flatten)]
    whose: Whose,
    /// Which life of the lease is meant: a newer one, of whoever got the subnets
    /// since, is then left alone [default: the present one]
    #[arg(long, value_name = "UUID")]
    life: Option<Life>,
}

pub async fn run(verb: Verb, connection: &Connection, output: &Output) -> Result<(), Failure> {
    let mut leases = connection.leases();
    match verb {
        Verb::Acquire(acquire) => {
            let lease = connection.answer(leases.acquire(acquire.request())).await?;
            output.show(&LeaseRow::from(lease))
        }
        Verb::Renew { held, ttl } => {
            let request = v1::RenewRequest {
                life: held.life(connection).await?,
                network: held.whose.network.to_string(),
                node: held.whose.node.to_string(),
                ttl_seconds: ttl_seconds(ttl),
            };
            let lease = connection.answer(leases.renew(request)).await?;
            output.show(&LeaseRow::from(lease))
        }
        Verb::Release { held } => release(held, connection, output).await,
        Verb::List { network, node } => list(network, node, connection, output).await,
        Verb::Show { whose } => {
            let lease = connection.answer(leases.get(whose.request())).await?;
            output.show(&LeaseRow::from(lease))
        }
        Verb::Watch(watch) => watch::run(watch, connection, output).await,
    }
}

async fn release(held: Held, connection: &Connection, output: &Output) -> Result<(), Failure> {
    let request = v1::ReleaseRequest {
        life: held.life(connection).await?,
        network: held.whose.network.to_string(),
        node: held.whose.node.to_string(),
    };
    connection
        .answer(connection.leases().release(request))
        .await?;
    let Whose { node, network } = held.whose;
    output.done(&format!("the lease of {node} in {network} is released"))
}

async fn list(
    network: Option<NetworkName>,
    node: Option<NodeName>,
    connection: &Connection,
    output: &Output,
) -> Result<(), Failure> {
    let of_node = node.as_ref().map(|node| format!(" of {node}"));
    let in_network = network
        .as_ref()
        .map(|network| format!(" in network {network}"));
    let none = format!(
        "no leases{}{}",
        of_node.unwrap_or_default(),
        in_network.unwrap_or_default()
    );
    let request = v1::ListLeasesRequest {
        network: network.map(String::from).unwrap_or_default(),
        node: node.map(String::from).unwrap_or_default(),
    };
    let answer = connection.answer(connection.leases().list(request)).await?;
    let rows: Vec<LeaseRow> = answer.leases.into_iter().map(Into::into).collect();
    output.list(&rows, &none)
}

impl Whose {
    fn request(&self) -> v1::GetLeaseRequest {
        v1::GetLeaseRequest {
            network: self.network.to_string(),
            node: self.node.to_string(),
        }
    }
}

impl Acquire {
    fn request(self) -> v1::AcquireRequest {
        v1::AcquireRequest {
            network: self.whose.network.to_string(),
            node: self.whose.node.to_string(),
            node_id: self.node_id.map(|id| id.to_string()).unwrap_or_default(),
            underlay: self.underlay.map(|ip| ip.to_string()).unwrap_or_default(),
            mac: self.mac.map(|mac| mac.to_string()).unwrap_or_default(),
            ttl_seconds: ttl_seconds(self.ttl),
        }
    }
}

impl Held {
    async fn life(&self, connection: &Connection) -> Result<String, Failure> {
        if let Some(life) = self.life {
            return Ok(life.to_string());
        }
        let get = self.whose.request();
        let lease = connection.answer(connection.leases().get(get)).await?;
        Ok(lease.life)
    }
}

/// To the API 0 is an hour; what is asked for is a second at least.
fn ttl_seconds(ttl: Option<Duration>) -> u64 {
    ttl.map_or(0, |ttl| ttl.as_secs())
}
