//! The names of networks, nodes and operators, parsed once at the edge.

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};
use thiserror::Error;

#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{what} name {name:?} {problem}")]
pub struct NameError {
    what: &'static str,
    name: String,
    problem: &'static str,
}

/// The name of a network: 1 to 32 of `a-z 0-9 -`, beginning with a letter or digit.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NetworkName(Arc<str>);

/// The name of a node: 1 to 128 of `A-Z a-z 0-9 . _ -`, beginning and ending with a
/// letter or digit. Usually the host's name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeName(Arc<str>);

/// The name of an operator, by the rules of a node's.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OperatorName(Arc<str>);

impl NetworkName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl NodeName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for NetworkName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        let allowed = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        let problem = if name.is_empty() {
            "is empty"
        } else if name.len() > 32 {
            "is longer than 32 characters"
        } else if !name.bytes().all(allowed) {
            "may hold only a-z, 0-9 and -"
        } else if name.starts_with('-') {
            "must begin with a letter or digit"
        } else {
            return Ok(Self(name.into()));
        };
        Err(NameError {
            what: "network",
            name: name.into(),
            problem,
        })
    }
}

impl FromStr for NodeName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        somebody("node", name).map(Self)
    }
}

impl FromStr for OperatorName {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        somebody("operator", name).map(Self)
    }
}

fn somebody(what: &'static str, name: &str) -> Result<Arc<str>, NameError> {
    let allowed = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'_' | b'-');
    let edge = |c: Option<&u8>| c.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = name.as_bytes();
    let problem = if name.is_empty() {
        "is empty"
    } else if name.len() > 128 {
        "is longer than 128 characters"
    } else if !name.bytes().all(allowed) {
        "may hold only letters, digits, '.', '_' and '-'"
    } else if !edge(bytes.first()) || !edge(bytes.last()) {
        "must begin and end with a letter or digit"
    } else {
        return Ok(name.into());
    };
    Err(NameError {
        what,
        name: name.into(),
        problem,
    })
}

macro_rules! text {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(name: String) -> Result<Self, NameError> {
                name.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().into()
            }
        }
    };
}

text!(NetworkName);
text!(NodeName);
text!(OperatorName);

#[cfg(test)]
mod tests;
