//! Why not. Each refusal is one sentence that says what is in the way and what to do.

use std::net::IpAddr;

use thiserror::Error;

use crate::{
    id::{Life, NodeId},
    key::Key,
    name::{NetworkName, NodeName},
    network::NetworkError,
    subnet::{Family, Subnet},
    time::WallMs,
};

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    #[error("{0}")]
    BadNetwork(#[from] NetworkError),
    #[error("{field}: {problem}")]
    BadField {
        field: &'static str,
        problem: String,
    },
    #[error("there is no network {network}; {}", known_networks(known))]
    NoNetwork {
        network: NetworkName,
        known: Vec<NetworkName>,
    },
    #[error("network {network} exists already")]
    NetworkExists { network: NetworkName },
    #[error("network {network} is being deleted")]
    NetworkDeleting { network: NetworkName },
    #[error(
        "network {network} still has {leases} leases and {reservations} reservations; release them or delete it with force"
    )]
    NetworkInUse {
        network: NetworkName,
        leases: usize,
        reservations: usize,
    },
    #[error("there is no node {node}")]
    NoNode { node: NodeName },
    #[error(
        "node name {node} belongs to machine {holder}, and this is machine {caller}; give this one another name, or remove the other with `weft node remove {node}`"
    )]
    NameTaken {
        node: NodeName,
        holder: NodeId,
        caller: NodeId,
    },
    #[error(
        "machine {id} was removed as node {node} at {at} ms Unix time; to let it join again, give it a new node id"
    )]
    Removed {
        node: NodeName,
        id: NodeId,
        at: WallMs,
    },
    #[error(
        "node {node} runs on two machines at once (a cloned disk?); give one of them a name and a node id of its own"
    )]
    Cloned { node: NodeName },
    #[error("node {node} has no session here: it was taken over or has ended")]
    SessionOver { node: NodeName },
    #[error("node {node} has no lease in network {network}")]
    NoLease {
        network: NetworkName,
        node: NodeName,
    },
    #[error("the lease of node {node} in network {network} lives its life {present}, not {asked}")]
    OtherLife {
        network: NetworkName,
        node: NodeName,
        asked: Life,
        present: Life,
    },
    #[error(
        "the lease of node {node} in network {network} is held by its agent, which keeps it alive by itself"
    )]
    HeldByAgent {
        network: NetworkName,
        node: NodeName,
    },
    #[error(
        "the agent of node {node} is connected; stop it first, or remove the node with `weft node remove {node}`"
    )]
    AgentConnected { node: NodeName },
    #[error("underlay address {address} belongs to node {holder} in network {network}")]
    UnderlayTaken {
        network: NetworkName,
        address: IpAddr,
        holder: NodeName,
    },
    #[error(
        "no {family} subnet is left in network {network}: of {total} in {pool}, {leased} are leased and {reserved} reserved; widen it with `weft network grow {network} --pool CIDR`"
    )]
    Exhausted {
        network: NetworkName,
        family: Family,
        pool: Subnet,
        total: u128,
        leased: u128,
        reserved: u128,
    },
    /// Every subnet left is just being taken by another request of this controller.
    #[error("the last free subnets of network {network} are being taken")]
    Busy { network: NetworkName },
    #[error("subnet {subnet} of network {network} is {how} node {holder}")]
    SubnetTaken {
        network: NetworkName,
        subnet: Subnet,
        holder: NodeName,
        how: &'static str,
    },
    #[error(
        "node {node} holds {held} in network {network}; reserve that, or release the lease first"
    )]
    HoldsAnother {
        network: NetworkName,
        node: NodeName,
        held: Subnet,
    },
    #[error(
        "node {node} has a reservation in network {network} already; take it back with `weft subnet unreserve --node {node}`"
    )]
    ReservationExists {
        network: NetworkName,
        node: NodeName,
    },
    #[error("node {node} has no reservation in network {network}")]
    NoReservation {
        network: NetworkName,
        node: NodeName,
    },
    #[error("node {node} has more than {most} endpoints in network {network}")]
    TooManyEndpoints {
        network: NetworkName,
        node: NodeName,
        most: usize,
    },
    #[error("the store's record {key} cannot be read; mend or delete it (`weft status` shows why)")]
    Unreadable { key: Key },
    /// There is nothing to do any more: somebody else did it, or it came back to life.
    #[error("nothing is left to do")]
    NothingToDo,
}

fn known_networks(known: &[NetworkName]) -> String {
    if known.is_empty() {
        return "there are none; make one with `weft network create`".into();
    }
    let names: Vec<&str> = known.iter().take(10).map(NetworkName::as_str).collect();
    format!("there are: {}", names.join(", "))
}
