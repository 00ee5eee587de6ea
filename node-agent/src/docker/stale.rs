//! What Docker forgot: a dockerd that is killed in the middle of something gives back
//! nothing of it, and one whose disk is new knows of nothing that it had.

use std::{collections::BTreeSet, io};

use socket::words::{Detach, Hold, Unhold};
use tracing::{info, warn};

use super::{
    key,
    notes::{Change, Notes},
};
use crate::endpoints::Door;

/// What the containers have that Docker knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    pub endpoints: BTreeSet<String>,
    pub macs: BTreeSet<String>,
}

/// What is kept for Docker.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kept {
    endpoints: BTreeSet<String>,
    holds: Vec<Hold>,
}

impl Kept {
    /// Everything that is there now.
    pub async fn read(door: &Door, notes: &Notes) -> io::Result<Self> {
        let endpoints = notes.endpoints().await.map_err(io::Error::other)?;
        let holds = door.holds().await.map_err(io::Error::other)?;
        Ok(Self {
            endpoints: endpoints.into_keys().collect(),
            holds,
        })
    }

    /// What of it no container has. An address that Docker is to give to nobody is no
    /// container's, and stays.
    pub fn without(mut self, known: &Known) -> Self {
        self.endpoints.retain(|id| !known.endpoints.contains(id));
        self.holds
            .retain(|hold| key::mac(&hold.by).is_some_and(|mac| !known.macs.contains(mac)));
        self
    }

    /// What of it is in both: a container that started meanwhile is only in one.
    pub fn still(mut self, now: &Self) -> Self {
        self.endpoints.retain(|id| now.endpoints.contains(id));
        self.holds.retain(|hold| now.holds.contains(hold));
        self
    }

    /// As if Docker had given it back.
    pub async fn forget(self, door: &Door, notes: &Notes) -> io::Result<()> {
        for id in self.endpoints {
            let noted = notes.endpoint(&id).await.map_err(io::Error::other)?;
            let (Some(noted), Ok(key)) = (noted, key::of(&id)) else {
                continue;
            };
            info!(%key, network = %noted.network, "Docker knows no container of it any more");
            let detach = Detach {
                network: noted.network,
                key,
                seq: None,
            };
            if let Err(refusal) = door.detach(detach).await {
                warn!(%refusal, endpoint = id, "what Docker forgot stays");
                continue;
            }
            let gone = Change::Endpoint(id, None);
            notes.change(gone).await.map_err(io::Error::other)?;
        }
        for hold in self.holds {
            let Some(address) = hold.address else {
                continue;
            };
            let network = hold.network;
            info!(%network, %address, "Docker gives this address to no container any more");
            let unhold = Unhold { network, address };
            if let Err(refusal) = door.unhold(unhold).await {
                warn!(%refusal, "an address that Docker forgot stays held");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
