//! The records of the store: JSON that an operator can read with etcdctl, each
//! with its schema version. Unknown fields are ignored, an unknown version is not.

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned};
use thiserror::Error;

use crate::{
    id::{ControllerId, FleetId, Life, NodeId, SessionId},
    name::NodeName,
    subnet::{Family, Subnet},
    time::WallMs,
};

pub use endpoint::Endpoint;
pub use trust::{Authority, Grant, Operator, Sealed, Token, Use, User};

mod endpoint;
mod trust;

/// The schema version, `"v":1`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct V1;

#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct RecordError(String);

impl RecordError {
    pub fn other_subject(subject: &impl fmt::Display) -> Self {
        Self(format!("is about {subject}"))
    }

    pub fn bad_length(family: Family, len: u8) -> Self {
        Self(format!("its {family} pool has no subnets of length /{len}"))
    }
}

/// Counts the changes to the set of networks, and names the fleet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Networks {
    pub v: V1,
    pub fleet: FleetId,
    pub generation: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Node {
    pub v: V1,
    pub id: NodeId,
    pub joined_at: WallMs,
    /// It has had a certificate: another one takes more than any token.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub certified: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    pub v: V1,
    pub name: NodeName,
    pub at: WallMs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LeaseKind {
    /// Lives as long as its node's agent holds a session.
    Agent,
    /// Lives until `expires_at`, renewed by request.
    Api,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    pub v: V1,
    pub node_id: NodeId,
    pub life: Life,
    pub kind: LeaseKind,
    #[serde(default, deserialize_with = "v4")]
    pub v4: Option<Subnet>,
    #[serde(default, deserialize_with = "v6")]
    pub v6: Option<Subnet>,
    pub underlay: Option<IpAddr>,
    pub mac: Option<Mac>,
    /// When it lapsed.
    pub gone_at: Option<WallMs>,
    /// When it may be reclaimed; none while its session lives.
    pub expires_at: Option<WallMs>,
    /// Who wrote it last.
    pub by: ControllerId,
}

impl Lease {
    pub fn subnets(&self) -> impl Iterator<Item = Subnet> + use<> {
        self.v4.into_iter().chain(self.v6)
    }

    pub fn subnet(&self, family: Family) -> Option<Subnet> {
        match family {
            Family::V4 => self.v4,
            Family::V6 => self.v6,
        }
    }

    /// Gone, or past its time: the node has no right to be asked about it any more.
    pub fn lapsed(&self, now: WallMs) -> bool {
        self.gone_at.is_some() || self.expires_at.is_some_and(|at| at <= now)
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    pub v: V1,
    pub node: NodeName,
    /// The life that uses it; none while it is only promised.
    pub life: Option<Life>,
    pub reserved: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Free {
    pub v: V1,
    pub freed_at: WallMs,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reservation {
    pub v: V1,
    #[serde(default, deserialize_with = "v4")]
    pub v4: Option<Subnet>,
    #[serde(default, deserialize_with = "v6")]
    pub v6: Option<Subnet>,
}

impl Reservation {
    pub fn subnets(&self) -> impl Iterator<Item = Subnet> + use<> {
        self.v4.into_iter().chain(self.v6)
    }

    pub fn subnet(&self, family: Family) -> Option<Subnet> {
        match family {
            Family::V4 => self.v4,
            Family::V6 => self.v6,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Underlay {
    pub v: V1,
    pub node: NodeName,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    pub v: V1,
    pub node_id: NodeId,
    pub sid: SessionId,
    pub ctl: ControllerId,
    /// When another machine's session was last taken over by this node's.
    pub taken_over_at: Option<WallMs>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Controller {
    pub v: V1,
    pub listen: String,
    pub version: String,
    pub started: WallMs,
    /// Its clock when it wrote this.
    pub wall_ms: WallMs,
}

/// An Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac(pub [u8; 6]);

/// The bytes of a record, as the store keeps them.
pub fn encode(record: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(record).expect("records hold only strings, numbers and options")
}

/// The record these bytes hold.
pub fn read<T: DeserializeOwned>(value: &[u8]) -> Result<T, RecordError> {
    serde_json::from_slice(value).map_err(|error| RecordError(error.to_string()))
}

pub(crate) fn v4<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Subnet>, D::Error> {
    of_family(Family::V4, deserializer)
}

pub(crate) fn v6<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Subnet>, D::Error> {
    of_family(Family::V6, deserializer)
}

/// A subnet of the family that its field is named after, or none.
fn of_family<'de, D: Deserializer<'de>>(
    family: Family,
    deserializer: D,
) -> Result<Option<Subnet>, D::Error> {
    match Option::<Subnet>::deserialize(deserializer)? {
        Some(subnet) if subnet.family() != family => Err(serde::de::Error::custom(format!(
            "{subnet} is not {family}"
        ))),
        subnet => Ok(subnet),
    }
}

impl Serialize for V1 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(1)
    }
}

impl<'de> Deserialize<'de> for V1 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u32::deserialize(deserializer)? {
            1 => Ok(Self),
            other => Err(serde::de::Error::custom(format!(
                "written by another version of Weft (v{other}, this one reads v1)"
            ))),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is not the MAC address of a host; write it as 02:00:5e:10:00:01")]
pub struct MacError(String);

impl FromStr for Mac {
    type Err = MacError;

    fn from_str(text: &str) -> Result<Self, MacError> {
        let error = || MacError(text.into());
        let mut bytes = [0; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts
                .next()
                .filter(|part| part.len() == 2 && part.bytes().all(|c| c.is_ascii_hexdigit()))
                .ok_or_else(error)?;
            *byte = u8::from_str_radix(part, 16).map_err(|_| error())?;
        }
        // A group address, or none at all, is nobody's.
        let somebody = bytes[0] & 1 == 0 && bytes != [0; 6];
        if parts.next().is_none() && somebody {
            Ok(Self(bytes))
        } else {
            Err(error())
        }
    }
}

impl TryFrom<String> for Mac {
    type Error = MacError;

    fn try_from(text: String) -> Result<Self, MacError> {
        text.parse()
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> Self {
        mac.to_string()
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests;
