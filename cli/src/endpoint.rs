//! `weft endpoint`: what is attached, on all nodes.

use std::time::Duration;

use clap::{Args, Subcommand};
use overlay::name::{NetworkName, NodeName};
use proto::v1;
use socket::words::Shown;

use crate::{
    agent,
    connect::{Connection, Reach},
    failure::Failure,
    output::Output,
    watch::Watch,
};

use here::HereRow;
pub use row::EndpointRow;

mod here;
mod row;
mod watch;

/// So many are named where one was meant.
const NAMED_MOST: usize = 10;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the containers of all nodes, or of this host
    #[command(after_help = "\
Examples:
  weft endpoint list --network blue
  weft endpoint list --node web-1 -o json
  weft endpoint list --here

With --here the agent of this host is asked, and no controller: what it has in its kernel.")]
    List(List),
    /// Show what has a name, an address or an id
    #[command(after_help = "\
Examples:
  weft endpoint show web
  weft endpoint show 10.32.1.2
  weft endpoint show 4f2a9d0c1b2e")]
    Show {
        /// A name, an alias, an address, an id, or the beginning of a container's id
        #[arg(value_name = "NAME|ADDRESS|ID")]
        which: String,
        /// Only in this network
        #[arg(long, value_name = "NAME")]
        network: Option<NetworkName>,
    },
    /// Print the endpoints and then every change to them, until interrupted
    #[command(after_help = "\
Examples:
  weft endpoint watch --network blue
  weft endpoint watch -o json --since 1234 --cluster 6f0e8a52-7f4e-4f0b-9a44-0c7a5a1f7f0d

A line begins with + for an endpoint that is new to this watch, ~ for one that has
changed, - for one that is gone, ! where the watch could not continue: everything
seen before is stale then, and all endpoints follow (event `reset`). In JSON every line is an object; its
`cluster` and `watch_revision` are what --cluster and --since continue after. A `bookmark` says that up to its
revision nothing else has happened.")]
    Watch(Watch),
}

#[derive(Debug, Args)]
pub struct List {
    /// Only of this network
    #[arg(long, value_name = "NAME")]
    network: Option<NetworkName>,
    /// Only of this node
    #[arg(long, value_name = "NAME", conflicts_with = "here")]
    node: Option<NodeName>,
    /// Ask the agent of this host
    #[arg(long)]
    here: bool,
    #[command(flatten)]
    at: agent::At,
}

pub async fn run(verb: Verb, reach: &Reach, output: &Output) -> Result<(), Failure> {
    match verb {
        Verb::List(ask) if ask.here => here(&ask, reach.timeout, output),
        Verb::List(ask) => list(ask, &Connection::open(reach).await?, output).await,
        Verb::Show { which, network } => {
            show(which, network, &Connection::open(reach).await?, output).await
        }
        Verb::Watch(watch) => watch::run(watch, &Connection::open(reach).await?, output).await,
    }
}

async fn list(ask: List, connection: &Connection, output: &Output) -> Result<(), Failure> {
    let of_node = ask.node.as_ref().map(|node| format!(" of {node}"));
    let none = format!(
        "no endpoints{}{}",
        of_node.unwrap_or_default(),
        in_network(ask.network.as_ref())
    );
    let request = v1::ListEndpointsRequest {
        network: ask.network.map(String::from).unwrap_or_default(),
        node: ask.node.map(String::from).unwrap_or_default(),
        which: String::new(),
    };
    let mut endpoints = connection.endpoints();
    let answer = connection.answer(endpoints.list(request)).await?;
    let rows: Vec<EndpointRow> = answer.endpoints.into_iter().map(Into::into).collect();
    output.list(&rows, &none)
}

async fn show(
    which: String,
    network: Option<NetworkName>,
    connection: &Connection,
    output: &Output,
) -> Result<(), Failure> {
    let place = in_network(network.as_ref());
    let request = v1::ListEndpointsRequest {
        network: network.map(String::from).unwrap_or_default(),
        node: String::new(),
        which: which.clone(),
    };
    let mut endpoints = connection.endpoints();
    let answer = connection.answer(endpoints.list(request)).await?;
    let rows: Vec<EndpointRow> = answer.endpoints.into_iter().map(Into::into).collect();
    match rows.as_slice() {
        [] => Err(Failure::Refused(format!(
            "there is no endpoint {which}{place}"
        ))),
        [one] => output.show(one),
        several => Err(Failure::Refused(ambiguous(&which, several))),
    }
}

/// A name need not be unique.
fn ambiguous(which: &str, several: &[EndpointRow]) -> String {
    let one = |row: &EndpointRow| format!("{} in {} on {}", row.id, row.network, row.node);
    let ids: Vec<String> = several.iter().take(NAMED_MOST).map(one).collect();
    let more = if several.len() > NAMED_MOST {
        ", ..."
    } else {
        ""
    };
    format!(
        "{} endpoints are called {which}; name one by its id or address: {}{more}",
        several.len(),
        ids.join(", ")
    )
}

fn here(ask: &List, within: Duration, output: &Output) -> Result<(), Failure> {
    let all: Vec<Shown> = ask.at.agent(within).get("GET", "/endpoints")?;
    let wanted = |shown: &Shown| {
        let network = ask.network.as_ref();
        network.is_none_or(|network| *network == shown.endpoint.network)
    };
    let rows = all.into_iter().filter(wanted).map(HereRow::from);
    let rows: Vec<HereRow> = rows.collect();
    let none = format!(
        "no endpoints on this host{}",
        in_network(ask.network.as_ref())
    );
    output.list(&rows, &none)
}

fn in_network(network: Option<&NetworkName>) -> String {
    network.map_or(String::new(), |network| format!(" in network {network}"))
}

#[cfg(test)]
mod tests;
