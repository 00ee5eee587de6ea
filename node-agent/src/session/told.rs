//! The words of a controller.

use overlay::{
    feed::{PeerChanges, Peers},
    name::NetworkName,
    network::Network,
    subnet::Subnet,
    txn::Revision,
};

/// What a controller told, parsed.
#[derive(Debug, Clone, PartialEq)]
pub enum Told {
    /// A session is open; from now on its words come.
    Open {
        url: String,
        cluster: String,
    },
    Closed {
        reason: String,
    },
    Joined {
        network: Network,
        subnets: Vec<Subnet>,
    },
    /// All peers: what is not here is not there.
    Snapshot {
        network: NetworkName,
        revision: Revision,
        peers: Peers,
    },
    Changes {
        network: NetworkName,
        revision: Revision,
        changes: PeerChanges,
    },
    NetworkChanged {
        name: NetworkName,
        network: Option<Network>,
    },
    Refused {
        network: String,
        reason: String,
    },
}
