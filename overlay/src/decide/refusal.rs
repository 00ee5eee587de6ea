//! Why not. Each refusal is one sentence that says what is in the way and what to do.

use std::{fmt, net::IpAddr};

use thiserror::Error;

use crate::{
    id::{Life, NodeId},
    key::Key,
    name::{NetworkName, NodeName, OperatorName},
    network::NetworkError,
    record::{Mac, Removed},
    registry::Registry,
    subnet::{Family, Subnet},
    time::{Span, WallMs},
    trust::TokenId,
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
        "node name {node} belongs to machine {holder} ({seen}), and this is machine {caller}; give this one another name, or remove the other with `weft node remove {node}`"
    )]
    NameTaken {
        node: NodeName,
        holder: NodeId,
        caller: NodeId,
        seen: LastSeen,
    },
    #[error(
        "machine {id} was removed as node {node} at {at} ms Unix time; to let it join again, give it a new node id with `weft-agent cleanup --forget`"
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
    #[error(
        "MAC {mac} belongs to node {holder} in network {network} (a cloned disk?); give this machine an identity of its own with `weft-agent cleanup --forget`"
    )]
    MacTaken {
        network: NetworkName,
        mac: Mac,
        holder: NodeName,
    },
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
    #[error(
        "the names and labels of node {node}'s endpoints in network {network} are more than {most_mb} MB: give its containers fewer labels"
    )]
    EndpointsTooLarge {
        network: NetworkName,
        node: NodeName,
        most_mb: usize,
    },
    #[error("node {node} has more than {most} endpoints in network {network}")]
    TooManyEndpoints {
        network: NetworkName,
        node: NodeName,
        most: usize,
    },
    #[error(
        "node {node} has not joined this fleet; make a token with `weft token create` and say `weft-agent join --token TOKEN` on the host"
    )]
    NotJoined { node: NodeName },
    #[error(
        "token {id} is not known here: it is mistyped, of another fleet, or too old; make one with `weft token create`"
    )]
    NoToken { id: TokenId },
    #[error(
        "token {id} expired {ago} ago, by this controller's clock; make one with `weft token create`"
    )]
    TokenExpired { id: TokenId, ago: Span },
    #[error("token {id} was revoked {ago} ago; make one with `weft token create`")]
    TokenRevoked { id: TokenId, ago: Span },
    #[error(
        "token {id} was used already, by {by} (it was good for {uses}); make one with `weft token create`"
    )]
    TokenUsed { id: TokenId, uses: u32, by: String },
    #[error(
        "token {token} is for node {of}, and this is node {node}; start with `--node {of}`, or make one for {node}"
    )]
    TokenOfAnother {
        token: TokenId,
        of: NodeName,
        node: NodeName,
    },
    #[error(
        "node {node} has had a certificate already: another one takes a token made for it, `weft token create --node {node}`"
    )]
    HasCertificate { node: NodeName },
    #[error("token {token} is an operator's: use it with `weft login --token`")]
    TokenOfOperator { token: TokenId },
    #[error("token {token} is for a host: use it with `weft-agent join --token`")]
    TokenOfNode { token: TokenId },
    #[error(
        "there is an operator {name} already; remove it first with `weft operator remove {name}`"
    )]
    OperatorExists { name: OperatorName },
    #[error(
        "there is no operator {name} with this certificate (any more); an admin makes one with `weft operator create`"
    )]
    NoOperator { name: OperatorName },
    #[error("the store's record {key} cannot be read; mend or delete it (`weft status` shows why)")]
    Unreadable { key: Key },
    /// There is nothing to do any more: somebody else did it, or it came back to life.
    #[error("nothing is left to do")]
    NothingToDo,
}

/// When there was last a sign of life of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LastSeen {
    Connected,
    /// Its agent may be back any moment.
    Leaving,
    Gone(Span),
    Joined(Span),
    Never,
}

impl fmt::Display for LastSeen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected => f.write_str("connected now"),
            Self::Leaving => f.write_str("connected until a moment ago"),
            Self::Gone(ago) => write!(f, "last seen {ago} ago"),
            Self::Joined(ago) => write!(f, "joined {ago} ago, no lease now"),
            Self::Never => f.write_str("never seen"),
        }
    }
}

impl Refusal {
    /// The name belongs to another machine.
    pub(super) fn name_taken(
        registry: &Registry,
        now: WallMs,
        name: &NodeName,
        (holder, caller): (NodeId, NodeId),
    ) -> Self {
        let ago = |at| Span(now.since(at));
        let gone = registry
            .leases_of(name)
            .filter_map(|(_, lease)| lease.value.gone_at);
        let seen = match (gone.max(), registry.nodes().get(name)) {
            _ if registry.sessions().contains_key(name) => LastSeen::Connected,
            _ if registry
                .leases_of(name)
                .any(|(_, lease)| lease.value.gone_at.is_none()) =>
            {
                LastSeen::Leaving
            }
            (Some(at), _) => LastSeen::Gone(ago(at)),
            (None, Some(node)) => LastSeen::Joined(ago(node.value.joined_at)),
            (None, None) => LastSeen::Never,
        };
        Self::NameTaken {
            node: name.clone(),
            holder,
            caller,
            seen,
        }
    }

    pub(super) fn removed(id: NodeId, removed: &Removed) -> Self {
        Self::Removed {
            node: removed.name.clone(),
            id,
            at: removed.at,
        }
    }
}

fn known_networks(known: &[NetworkName]) -> String {
    if known.is_empty() {
        return "there are none; make one with `weft network create`".into();
    }
    let names: Vec<&str> = known.iter().take(10).map(NetworkName::as_str).collect();
    format!("there are: {}", names.join(", "))
}
