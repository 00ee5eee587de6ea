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
        /// The controller's own, when the session began.
        revision: Revision,
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
    /// Everything up to this revision was told.
    Bookmark {
        network: NetworkName,
        revision: Revision,
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
