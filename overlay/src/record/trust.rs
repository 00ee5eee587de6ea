//! The records of trust: the authority, tokens, operators.

use serde::{Deserialize, Serialize};

use super::V1;
use crate::{
    id::{NodeId, OperatorId},
    name::{NodeName, OperatorName},
    time::WallMs,
    trust::Role,
};

/// The fleet's certificate authority.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authority {
    pub v: V1,
    /// PEM.
    pub certificate: String,
    /// Its key; none where that is kept outside the store.
    pub key: Option<Sealed>,
}

/// What only who has the seal can read. All in hex.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealed {
    pub salt: String,
    pub nonce: String,
    pub text: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    pub v: V1,
    /// The SHA-256 of its secret, in hex.
    pub digest: String,
    pub grant: Grant,
    pub made_at: WallMs,
    pub expires_at: WallMs,
    pub revoked_at: Option<WallMs>,
    /// How many may use it.
    pub uses: u32,
    pub used: Vec<Use>,
}

/// What a token is good for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Grant {
    /// To join as this node, or as one of any name.
    Node {
        name: Option<NodeName>,
    },
    Operator {
        name: OperatorName,
        role: Role,
    },
}

/// Who used a token, for which key. With that very key it may be used again: the answer may
/// not have been heard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Use {
    pub by: User,
    /// The SHA-256 of the public key, in hex.
    pub key: String,
    pub at: WallMs,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum User {
    Node { name: NodeName, id: NodeId },
    Operator { id: OperatorId },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Operator {
    pub v: V1,
    pub id: OperatorId,
    pub role: Role,
    pub made_at: WallMs,
}
