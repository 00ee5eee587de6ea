//! What is asked of an agent about endpoints, and what it answers: JSON over HTTP.
//!
//! | request | words | answer |
//! |---|---|---|
//! | `POST /endpoints` | [`Attach`] | [`Attached`] |
//! | `DELETE /endpoints` | [`Detach`] | nothing: it is gone, or never was |
//! | `GET /endpoints` | | a list of [`Shown`] |
//! | `POST /endpoints/check` | [`Check`] | a list of sentences: what is wrong |
//! | `POST /holds` | [`Hold`] | [`Held`] |
//! | `DELETE /holds` | [`Unhold`] | nothing |
//! | `GET /ipam` | | a list of [`Use`] |
//! | `POST /ipam/check`, `POST /ipam/repair` | | a list of [`Finding`] |
//! | `GET /networks` | | a list of [`Ground`] |
//! | `GET /probes` | | a list of [`Probe`] |
//! | `GET /events?`[`Wish`] | | a list of [`Event`], in the order in which they happened |
//! | `GET /traffic?peers=N` | | [`Traffic`] |
//!
//! Whatever cannot be done is a [`Refusal`].
//!
//! [`Wish`]: overlay::event::Wish
//! [`Event`]: overlay::event::Event

use std::net::IpAddr;

use overlay::{
    endpoint::{Bandwidth, Endpoint, Form, Key, Publish, Who, link::OnLink},
    name::{NetworkName, NodeName},
    probe::window::Verdict,
    record::Mac,
    subnet::{Family, Subnet},
};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Attach a container to a network. The same again is answered the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attach {
    pub network: NetworkName,
    pub key: Key,
    /// The path of the container's network namespace.
    pub netns: String,
    /// The name of its end of the link.
    pub interface: String,
    /// Addresses that it is to have, at most one of a family.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<IpAddr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    #[serde(default)]
    pub who: Who,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub publish: Vec<Publish>,
    #[serde(default)]
    pub bandwidth: Bandwidth,
    /// The container's end stays in the agent's own namespace, with the name that
    /// [`Attached::handed`] tells: the engine moves, names and addresses it.
    ///
    /// Nobody makes neighbours in that container: where it is routed, its gateways are
    /// the address after the first of each subnet, which the host's end has as a whole
    /// address and answers for. It has the addresses that are asked for and no other.
    /// Docker makes the namespace only after it has asked: `netns` may lead nowhere yet.
    #[serde(default)]
    pub hand: bool,
    /// Answer only when the controllers know of it, and with them the fleet.
    #[serde(default)]
    pub told: bool,
}

/// How a container is on the network now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attached {
    pub endpoint: Endpoint,
    /// The host's end of the link.
    pub device: String,
    pub mtu: u32,
    /// What the container sends everything else to, one of each family.
    pub gateways: Vec<IpAddr>,
    /// What the container's addresses are on its interface: whole addresses where it
    /// is routed, with the subnet's length behind a bridge.
    pub on_link: Vec<OnLink>,
    /// All addresses of the network.
    pub pools: Vec<Subnet>,
    /// Where the container's end waits for the engine to fetch it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handed: Option<String>,
    /// It was like this already.
    #[serde(default)]
    pub again: bool,
}

/// End an attachment. One that is not there is gone already.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detach {
    pub network: NetworkName,
    pub key: Key,
    /// Only this attachment, and no later one of the same key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
}

/// Is this attachment as it should be, in the kernel too?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    pub network: NetworkName,
    pub key: Key,
}

/// Set an address aside for whoever attaches with it later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    pub network: NetworkName,
    /// Which; none: any that is free, of `family`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<IpAddr>,
    pub family: Family,
    /// Whose it is, in the words of whoever holds it.
    pub by: Key,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    pub address: IpAddr,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unhold {
    pub network: NetworkName,
    pub address: IpAddr,
}

/// An endpoint, as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    #[serde(flatten)]
    pub endpoint: Endpoint,
    pub id: overlay::endpoint::EndpointId,
    pub device: String,
    pub state: State,
    /// Why it is not ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Ready,
    Failing,
    /// Its namespace was not found; it ends unless it is found next time.
    Vanished,
}

/// How much of a subnet is given out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Use {
    pub network: NetworkName,
    pub subnet: Subnet,
    pub used: u64,
    pub held: u64,
    /// Given back, and not given out again yet.
    pub cooling: u64,
    pub free: u64,
}

/// What an audit found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub problem: String,
    /// What a repair does about it; none: that is for a person to decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// A network on this host, for whoever attaches containers to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ground {
    pub network: NetworkName,
    pub vni: overlay::network::Vni,
    pub form: Form,
    /// This node's own.
    pub subnets: Vec<Subnet>,
    pub pools: Vec<Subnet>,
    pub mtu: u32,
    pub masquerade: bool,
    /// Containers can come: its device is in the kernel.
    pub ready: bool,
}

/// Why something cannot be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Error)]
#[error("{message}")]
pub struct Refusal {
    pub reason: Reason,
    /// One sentence.
    pub message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// What is asked for makes no sense.
    Bad,
    /// This host has not joined that network.
    NotJoined,
    /// Not now; it may work in a moment.
    NotReady,
    /// Somebody else has that address, MAC or port.
    Taken,
    /// That address is not this node's to give.
    NotOurs,
    /// There is no address left.
    Exhausted,
    /// There is no such network namespace.
    NoSandbox,
    /// The container has an interface of that name already.
    InterfaceTaken,
    /// The release means an attachment that has ended; a later one is there.
    Stale,
    /// The kernel refused.
    Kernel,
    /// The disk refused: nothing is promised that could be forgotten.
    Disk,
}

impl Refusal {
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { reason, message }
    }
}

impl Reason {
    /// The status of the answer.
    pub fn code(self) -> u16 {
        match self {
            Self::Bad => 400,
            Self::NotJoined | Self::NoSandbox => 404,
            Self::Taken | Self::NotOurs | Self::InterfaceTaken | Self::Stale => 409,
            Self::Kernel | Self::Disk => 500,
            Self::NotReady | Self::Exhausted => 503,
        }
    }
}

/// What the last probes of one address of a peer show.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    pub from: NodeName,
    pub to: NodeName,
    pub network: NetworkName,
    pub family: Family,
    pub verdict: Verdict,
    /// From 0 to 1, of so many probes.
    pub loss: f64,
    pub probes: usize,
    /// There and back, in the middle and at worst.
    pub rtt_us: Option<u32>,
    pub worst_us: Option<u32>,
}

/// What this host's kernel has counted, each since it was last set up anew.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    pub node: NodeName,
    /// By a clock of the host that is never set.
    pub at_ms: u64,
    /// Containers that are attached.
    pub containers: usize,
    pub networks: Vec<NetworkTraffic>,
    /// Those of whom most came, as many as were asked for.
    pub peers: Vec<PeerTraffic>,
}

/// Of the device of a network: what came out of the tunnel, and went in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkTraffic {
    pub network: NetworkName,
    pub device: String,
    pub rx_bytes: u64,
    pub rx_packets: u64,
    pub rx_dropped: u64,
    pub tx_bytes: u64,
    pub tx_packets: u64,
    pub tx_dropped: u64,
}

/// What came from a peer's tunnel in all networks, with the tunnel's headers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerTraffic {
    pub node: NodeName,
    pub underlay: IpAddr,
    pub rx_bytes: u64,
    pub rx_packets: u64,
}
