//! The keys of the store, below the prefix. The key alone tells what a record is
//! about, so a record that cannot be read still says whose it is.

use std::{fmt, net::IpAddr, str::FromStr};

use thiserror::Error;

use crate::{
    endpoint::EndpointId,
    id::{ControllerId, NodeId},
    name::{NetworkName, NodeName, OperatorName},
    subnet::{Family, Subnet},
    trust::TokenId,
};

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// Serialises create, grow and delete of networks.
    Networks,
    Network(NetworkName),
    Node(NodeName),
    /// The tombstone of a removed machine.
    Removed(NodeId),
    Lease(NetworkName, NodeName),
    /// One for each allocated subnet of each family: uniqueness is this key.
    Claim(NetworkName, Subnet),
    /// A subnet that was returned; its revision is its place in the queue.
    Free(NetworkName, Subnet),
    Reservation(NetworkName, NodeName),
    /// One underlay address, one node.
    Underlay(NetworkName, IpAddr),
    /// One of the endpoints of a node.
    Endpoint(NetworkName, NodeName, EndpointId),
    Session(NodeName),
    Controller(ControllerId),
    /// The fleet's certificate authority.
    Authority,
    Token(TokenId),
    Operator(OperatorName),
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("not a key that this version of Weft knows")]
pub struct UnknownKey;

impl Key {
    /// The kind of record, as the first part of the key says it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Networks => "nets",
            Self::Network(_) => "net",
            Self::Node(_) => "node",
            Self::Removed(_) => "removed",
            Self::Lease(..) => "lease",
            Self::Claim(..) => "claim",
            Self::Free(..) => "free",
            Self::Reservation(..) => "resv",
            Self::Underlay(..) => "under",
            Self::Endpoint(..) => "endpoint",
            Self::Session(_) => "sess",
            Self::Controller(_) => "ctl",
            Self::Authority => "ca",
            Self::Token(_) => "token",
            Self::Operator(_) => "operator",
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = self.kind();
        match self {
            Self::Networks | Self::Authority => f.write_str(kind),
            Self::Network(network) => write!(f, "{kind}/{network}"),
            Self::Node(node) | Self::Session(node) => write!(f, "{kind}/{node}"),
            Self::Removed(id) => write!(f, "{kind}/{id}"),
            Self::Lease(network, node) | Self::Reservation(network, node) => {
                write!(f, "{kind}/{network}/{node}")
            }
            Self::Claim(network, subnet) | Self::Free(network, subnet) => {
                let family = match subnet.family() {
                    Family::V4 => 4,
                    Family::V6 => 6,
                };
                write!(f, "{kind}/{network}/{family}/{}", subnet.key_form())
            }
            Self::Underlay(network, address) => write!(f, "{kind}/{network}/{address}"),
            Self::Endpoint(network, node, id) => write!(f, "{kind}/{network}/{node}/{id}"),
            Self::Controller(id) => write!(f, "{kind}/{id}"),
            Self::Token(id) => write!(f, "{kind}/{id}"),
            Self::Operator(name) => write!(f, "{kind}/{name}"),
        }
    }
}

impl FromStr for Key {
    type Err = UnknownKey;

    fn from_str(text: &str) -> Result<Self, UnknownKey> {
        let key = parse(text).ok_or(UnknownKey)?;
        // One record, one key: another spelling of it would be a second record.
        if key.to_string() == text {
            Ok(key)
        } else {
            Err(UnknownKey)
        }
    }
}

fn parse(text: &str) -> Option<Key> {
    let parts: Vec<&str> = text.split('/').collect();
    let key = match parts.as_slice() {
        ["nets"] => Key::Networks,
        ["net", network] => Key::Network(network.parse().ok()?),
        ["node", node] => Key::Node(node.parse().ok()?),
        ["removed", id] => Key::Removed(id.parse().ok()?),
        ["lease", network, node] => Key::Lease(network.parse().ok()?, node.parse().ok()?),
        ["claim", network, _, subnet] => {
            Key::Claim(network.parse().ok()?, Subnet::from_key_form(subnet)?)
        }
        ["free", network, _, subnet] => {
            Key::Free(network.parse().ok()?, Subnet::from_key_form(subnet)?)
        }
        ["resv", network, node] => Key::Reservation(network.parse().ok()?, node.parse().ok()?),
        ["under", network, address] => Key::Underlay(network.parse().ok()?, address.parse().ok()?),
        ["endpoint", network, node, id] => {
            Key::Endpoint(network.parse().ok()?, node.parse().ok()?, id.parse().ok()?)
        }
        ["sess", node] => Key::Session(node.parse().ok()?),
        ["ctl", id] => Key::Controller(id.parse().ok()?),
        ["ca"] => Key::Authority,
        ["token", id] => Key::Token(id.parse().ok()?),
        ["operator", name] => Key::Operator(name.parse().ok()?),
        _ => return None,
    };
    Some(key)
}

#[cfg(test)]
mod tests;
