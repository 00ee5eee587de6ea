//! Endpoints: one container's attachment to one network.
//!
//! - [`Endpoint`] is what a node keeps of it, and what its words mean.
//! - [`Public`] is what the fleet knows of it.
//! - [`port`], [`rate`]: what is published of it, and how fast it may be.
//! - [`book`]: all endpoints of a node, and which address the next one is given.
//! - [`link`]: what one needs in its host's kernel, and inside its container.
//! - [`plan`]: what differs from what the host's kernel holds, as [`step`]s.

use std::{collections::BTreeMap, fmt, net::IpAddr, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{hash::fnv1a, name::NetworkName, record::Mac, time::WallMs};

pub use link::Form;
pub use port::{Protocol, Publish};
pub use public::Public;
pub use rate::{Bandwidth, Rate};

pub mod book;
pub mod link;
pub mod plan;
pub mod port;
pub mod public;
pub mod rate;
pub mod step;

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WordError {
    #[error("{what} is empty")]
    Empty { what: &'static str },
    #[error("{what} is longer than {most} characters")]
    Long { what: &'static str, most: usize },
    #[error("{what} {text:?} holds what is no printable character")]
    Unprintable { what: &'static str, text: String },
    #[error("there are more than {most} {what}")]
    Many { what: &'static str, most: usize },
}

/// How whoever attached it names an attachment: `cni/4f2a.../eth0`. With the network it
/// is unique on its node.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Key(Arc<str>);

/// What a kernel and the fleet name an endpoint by: made of its network and key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EndpointId(u64);

/// What people call it. Engines tell some of it, operators the rest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Who {
    /// The engine's id of the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aliases: Vec<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// The network namespace of a container, and its end of the link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sandbox {
    /// Where the namespace is found.
    pub path: String,
    /// Which namespace it is: a path may come to lead to another one. 0: its engine
    /// has not made it yet.
    pub inode: u64,
    /// When it was put at its path, in nanoseconds, where that keeps it: the number of
    /// one that is gone is soon another's. 0 where that cannot be told.
    #[serde(default)]
    pub born: u64,
    pub interface: String,
    /// The engine moves, names and addresses the container's end by itself.
    #[serde(default)]
    pub handed: bool,
}

/// What a node keeps of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    pub network: NetworkName,
    pub key: Key,
    /// Grows with every attachment on this node: a release names the one it means.
    pub seq: u64,
    /// One of each family that the network has.
    pub addresses: Vec<IpAddr>,
    pub mac: Mac,
    /// As it was attached: it stays so for as long as it lives.
    pub form: Form,
    pub sandbox: Sandbox,
    #[serde(default)]
    pub who: Who,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub publish: Vec<Publish>,
    #[serde(default)]
    pub bandwidth: Bandwidth,
    pub since: WallMs,
}

const KEY_MOST: usize = 256;
const NAME_MOST: usize = 253;
const LABEL_MOST: usize = 1024;
const NAMES_MOST: usize = 64;

impl Key {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl EndpointId {
    pub fn of(network: &NetworkName, key: &Key) -> Self {
        let text = format!("{network} {key}");
        Self(fnv1a(text.as_bytes()) >> 12)
    }

    /// The host's end of its link: a device's name has 15 characters.
    pub fn device(self) -> String {
        format!("wv{self}")
    }

    /// The endpoint whose device has this name.
    pub fn of_device(name: &str) -> Option<Self> {
        name.strip_prefix("wv")?.parse().ok()
    }
}

impl Sandbox {
    /// Is that the same namespace, as far as can be told?
    pub fn is_same(&self, other: &Self) -> bool {
        let untold = self.born == 0 || other.born == 0;
        self.inode == other.inode && (untold || self.born == other.born)
    }
}

impl Who {
    /// Nothing that would not fit on a screen or into a record.
    pub fn check(&self) -> Result<(), WordError> {
        if self.aliases.len() > NAMES_MOST {
            return Err(WordError::Many {
                what: "aliases",
                most: NAMES_MOST,
            });
        }
        if self.labels.len() > NAMES_MOST {
            return Err(WordError::Many {
                what: "labels",
                most: NAMES_MOST,
            });
        }
        if let Some(container) = &self.container {
            check("the container's id", container, KEY_MOST)?;
        }
        for name in self.name.iter().chain(&self.aliases) {
            check("a name", name, NAME_MOST)?;
        }
        for (label, value) in &self.labels {
            check("a label", label, NAME_MOST)?;
            if !value.is_empty() {
                check("a label's value", value, LABEL_MOST)?;
            }
        }
        Ok(())
    }
}

impl Endpoint {
    pub fn id(&self) -> EndpointId {
        EndpointId::of(&self.network, &self.key)
    }
}

fn check(what: &'static str, text: &str, most: usize) -> Result<(), WordError> {
    if text.is_empty() {
        Err(WordError::Empty { what })
    } else if text.len() > most {
        Err(WordError::Long { what, most })
    } else if text.chars().any(char::is_control) {
        let text = text.to_owned();
        Err(WordError::Unprintable { what, text })
    } else {
        Ok(())
    }
}

impl FromStr for Key {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Self, WordError> {
        check("the key", text, KEY_MOST)?;
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for Key {
    type Error = WordError;

    fn try_from(text: String) -> Result<Self, WordError> {
        text.parse()
    }
}

impl From<Key> for String {
    fn from(key: Key) -> Self {
        key.0.as_ref().into()
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is no endpoint's id: that is 13 of 0-9 and a-f")]
pub struct IdError(String);

impl fmt::Display for EndpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{:013x}", self.0))
    }
}

impl FromStr for EndpointId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let plain = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
        if text.len() != 13 || !text.bytes().all(plain) {
            return Err(IdError(text.into()));
        }
        u64::from_str_radix(text, 16)
            .map(Self)
            .map_err(|_| IdError(text.into()))
    }
}

impl TryFrom<String> for EndpointId {
    type Error = IdError;

    fn try_from(text: String) -> Result<Self, IdError> {
        text.parse()
    }
}

impl From<EndpointId> for String {
    fn from(id: EndpointId) -> Self {
        id.to_string()
    }
}

#[cfg(test)]
mod tests;
