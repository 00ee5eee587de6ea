//! `weft subnet`: subnets promised to a node, whether or not it exists yet.

use clap::{Args, Subcommand};
use overlay::{
    name::{NetworkName, NodeName},
    subnet::Subnet,
};
use proto::v1;
use serde::Serialize;

use crate::{
    connect::Connection,
    failure::Failure,
    output::{Output, Row, joined},
};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Promise a subnet to a node
    #[command(after_help = "\
Example:
  weft subnet reserve --node db-1 --subnet 10.32.7.0/24

The subnet must have the network's subnet length. The node need not exist yet.")]
    Reserve(Reserve),
    /// Take the promise back
    #[command(after_help = "Example:\n  weft subnet unreserve --node db-1")]
    Unreserve {
        #[command(flatten)]
        whose: Whose,
    },
    /// List what is promised to whom
    #[command(after_help = "Example:\n  weft subnet list -o json")]
    List {
        /// Only of this network
        #[arg(long, value_name = "NAME")]
        network: Option<NetworkName>,
    },
}

#[derive(Debug, Args)]
pub struct Reserve {
    #[command(flatten)]
    whose: Whose,
    /// The subnet, at most one of each family
    #[arg(
        long = "subnet",
        value_name = "CIDR",
        value_delimiter = ',',
        required = true
    )]
    subnets: Vec<Subnet>,
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

#[derive(Debug, Serialize)]
pub struct ReservationRow {
    network: String,
    node: String,
    subnets: Vec<String>,
    revision: u64,
}

impl From<v1::Reservation> for ReservationRow {
    fn from(reservation: v1::Reservation) -> Self {
        Self {
            network: reservation.network,
            node: reservation.node,
            subnets: reservation.subnets,
            revision: reservation.revision,
        }
    }
}

impl Row for ReservationRow {
    const COLUMNS: &'static [&'static str] = &["NETWORK", "NODE", "SUBNETS"];
    const SPARE: &'static [&'static str] = &[];

    fn cells(&self, _now_ms: u64) -> Vec<String> {
        vec![
            self.network.clone(),
            self.node.clone(),
            joined(&self.subnets),
        ]
    }
}

pub async fn run(verb: Verb, connection: &Connection, output: &Output) -> Result<(), Failure> {
    let mut leases = connection.leases();
    match verb {
        Verb::Reserve(Reserve { whose, subnets }) => {
            let request = v1::ReserveRequest {
                network: whose.network.to_string(),
                node: whose.node.to_string(),
                subnets: subnets.iter().map(ToString::to_string).collect(),
            };
            let reservation = connection.answer(leases.reserve(request)).await?;
            output.show(&ReservationRow::from(reservation))
        }
        Verb::Unreserve {
            whose: Whose { node, network },
        } => {
            let request = v1::UnreserveRequest {
                network: network.to_string(),
                node: node.to_string(),
            };
            connection.answer(leases.unreserve(request)).await?;
            output.done(&format!(
                "nothing is reserved for {node} in {network} any more"
            ))
        }
        Verb::List { network } => {
            let request = v1::ListReservationsRequest {
                network: network.map(String::from).unwrap_or_default(),
            };
            let answer = connection.answer(leases.list_reservations(request)).await?;
            let rows: Vec<ReservationRow> =
                answer.reservations.into_iter().map(Into::into).collect();
            output.list(&rows, "no reservations")
        }
    }
}
