//! What an agent brings to a session.

use std::collections::BTreeMap;

use axum::Router;
use overlay::{
    decide::lease::Vtep,
    name::{NetworkName, NodeName},
};
use proto::v1;
use tokio::sync::watch;

use super::{Endpoints, Known};

/// What is joined.
pub type Joins = BTreeMap<NetworkName, Joining>;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Joining {
    /// One without an address joins to learn what underlay the network has.
    pub vtep: Vtep,
    /// Another one: the network was left meanwhile, however quickly.
    pub turn: u64,
}

/// What an agent brings to a session.
#[derive(Debug, Clone)]
pub struct Member {
    pub node: NodeName,
    pub version: String,
    pub joins: watch::Receiver<Joins>,
    /// The agent's word about its kernel.
    pub report: watch::Receiver<v1::Report>,
    /// What is attached on this host.
    pub endpoints: watch::Receiver<Endpoints>,
    /// What the fleet knows of it.
    pub known: watch::Sender<Known>,
    /// What may be asked of it; from afar only what [`overlay::afar`] names.
    pub doors: Router,
}
