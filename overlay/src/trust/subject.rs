//! Whom a certificate names, as the URI in it says: `weft://node/web-1/ID`.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::{
    id::{NodeId, OperatorId as Id},
    name::{NodeName, OperatorName},
};

pub use crate::id::OperatorId;

const SCHEME: &str = "weft://";
/// The name that every controller's certificate holds, whatever its host is called: who
/// believes the authority believes it of each.
pub const CONTROLLER: &str = "controller.weft";

/// What an operator may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// See everything but tokens.
    Reader,
    /// Do everything.
    Admin,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    Node(NodeName, NodeId),
    Operator(OperatorName, Id),
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} names nobody of a fleet")]
pub struct SubjectError(String);

#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is no role; there are reader and admin")]
pub struct RoleError(String);

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Reader => "reader",
            Self::Admin => "admin",
        })
    }
}

impl FromStr for Role {
    type Err = RoleError;

    fn from_str(text: &str) -> Result<Self, RoleError> {
        match text {
            "reader" => Ok(Self::Reader),
            "admin" => Ok(Self::Admin),
            other => Err(RoleError(other.into())),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(name, id) => write!(f, "{SCHEME}node/{name}/{id}"),
            Self::Operator(name, id) => write!(f, "{SCHEME}operator/{name}/{id}"),
        }
    }
}

impl FromStr for Subject {
    type Err = SubjectError;

    fn from_str(text: &str) -> Result<Self, SubjectError> {
        let error = || SubjectError(text.into());
        let rest = text.strip_prefix(SCHEME).ok_or_else(error)?;
        let parts: Vec<&str> = rest.split('/').collect();
        let subject = match parts.as_slice() {
            ["node", name, id] => Self::Node(
                name.parse().map_err(|_| error())?,
                id.parse().map_err(|_| error())?,
            ),
            ["operator", name, id] => Self::Operator(
                name.parse().map_err(|_| error())?,
                id.parse().map_err(|_| error())?,
            ),
            _ => return Err(error()),
        };
        Ok(subject)
    }
}
