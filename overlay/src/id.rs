//! Identities: 128 bits each, printed as UUIDs, and never mixed up with each other.
//! Whoever makes one brings the randomness.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use crate::time::WallMs;

#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is not an id; one is written as 6f3c1b52-8d0f-4c57-9a55-0a1b2c3d4e5f")]
pub struct IdError(String);

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;

            fn from_str(text: &str) -> Result<Self, IdError> {
                text.parse().map(Self).map_err(|_| IdError(text.into()))
            }
        }
    };
}

id!(
    /// A machine: its agent keeps this on disk. Names may move, this does not.
    NodeId
);
id!(
    /// One life of a lease, from its creation to its end. A release that names an
    /// older life ends nothing.
    Life
);
id!(
    /// One session of an agent: a new one for each stream.
    SessionId
);
id!(
    /// One run of one controller.
    ControllerId
);
id!(
    /// One certificate holder of an operator's name: who is made anew under it is another.
    OperatorId
);
id!(
    /// All that one store holds, from its first network on. A store that was wiped and
    /// made anew holds another fleet, whatever it calls its cluster.
    FleetId
);

impl FleetId {
    /// The fleet that begins now, by this controller.
    pub fn begun(by: ControllerId, now: WallMs) -> Self {
        Self(Uuid::from_u128(by.0.as_u128() ^ u128::from(now.0)))
    }
}

#[cfg(test)]
mod tests;
