//! What a controller may do, one function a transaction.
//!
//! A decision reads a [`View`] and returns a [`Decision`]: the transaction to commit
//! and what to answer once it is. It compares everything it decided on, so a view
//! that was stale costs a retry and never a wrong lease: the store judges.
//! `overlay/tests/protocol.rs` searches what these functions can do to each other;
//! `docs/decisions/0002-lease-protocol.md` argues each comparison.

pub mod controller;
pub mod decay;
pub mod endpoint;
mod grant;
pub mod lease;
pub mod network;
pub mod node;
pub mod refusal;
pub mod reserve;
pub mod session;
mod stray;
pub mod trust;

pub use refusal::Refusal;

use crate::{
    flight::Flight,
    id::ControllerId,
    key::Key,
    name::{NetworkName, NodeName},
    network::{Network, NetworkState},
    record::Lease,
    registry::{Registry, Space, Stored},
    time::WallMs,
    txn::{Op, Transaction},
};

/// What a decision may look at.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    pub registry: &'a Registry,
    /// What this controller has under way.
    pub flight: &'a Flight,
    /// Who decides.
    pub ctl: ControllerId,
    pub now: WallMs,
    /// Where in the pool to look for a never-used subnet first. 0 gives readable
    /// leases; after a conflict, random numbers keep controllers apart.
    pub spread: u128,
}

/// A transaction, and the answer that is true once it is committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision<T> {
    pub txn: Transaction,
    pub answer: T,
}

impl<'a> View<'a> {
    /// The last step of every decision: nothing is built on a record that cannot be read.
    fn decided<T>(&self, txn: Transaction, answer: T) -> Result<Decision<T>, Refusal> {
        // Whoever writes an endpoint knows by himself what it is.
        let told = |key: &&Key| matches!(key, Key::Endpoint(..));
        let compared = txn.compares.iter().map(|compare| &compare.key);
        let compared = compared.filter(|key| !told(key));
        // What a free record says is its place in the queue, and that is being replaced.
        let replaceable = |key: &&Key| matches!(key, Key::Free(..)) || told(key);
        let written = txn.ops.iter().map(Op::key).filter(|key| !replaceable(key));
        match compared
            .chain(written)
            .find(|key| self.registry.is_set_aside(key))
        {
            Some(key) => Err(Refusal::Unreadable { key: key.clone() }),
            None => Ok(Decision { txn, answer }),
        }
    }

    fn network(&self, name: &NetworkName) -> Result<(&'a Space, &'a Stored<Network>), Refusal> {
        let space = self.registry.space(name);
        if let Some((space, network)) = space.and_then(|space| Some((space, space.network()?))) {
            return Ok((space, network));
        }
        let key = Key::Network(name.clone());
        if self.registry.is_set_aside(&key) {
            return Err(Refusal::Unreadable { key });
        }
        Err(Refusal::NoNetwork {
            network: name.clone(),
            known: self
                .registry
                .networks()
                .filter_map(|space| Some(space.network()?.value.name.clone()))
                .collect(),
        })
    }

    fn lease(&self, network: &NetworkName, node: &NodeName) -> Result<&'a Stored<Lease>, Refusal> {
        let held = self.registry.lease(network, node);
        held.ok_or_else(|| Refusal::NoLease {
            network: network.clone(),
            node: node.clone(),
        })
    }

    /// A network that gives something out.
    fn active(&self, name: &NetworkName) -> Result<(&'a Space, &'a Stored<Network>), Refusal> {
        let (space, network) = self.network(name)?;
        match network.value.state {
            NetworkState::Active => Ok((space, network)),
            NetworkState::Deleting => Err(Refusal::NetworkDeleting {
                network: name.clone(),
            }),
        }
    }
}

#[cfg(test)]
mod tests;
