//! What the fleet knows of an endpoint: what names, policies and people ask for. What
//! only its node needs (its namespace, its bandwidth) is not told.

use std::{net::IpAddr, sync::Arc};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Endpoint, Key, Publish, Who, WordError, port::PublishError};
use crate::{record::Mac, subnet::Family, time::WallMs};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Public {
    pub key: Key,
    /// One, or one of each family.
    pub addresses: Vec<IpAddr>,
    pub mac: Mac,
    #[serde(default)]
    pub who: Who,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub publish: Vec<Publish>,
    pub since: WallMs,
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PublicError {
    #[error("an endpoint has one address, or one of each family; this one has {0}")]
    Addresses(usize),
    #[error("there are more than {PUBLISH_MOST} published ports")]
    Ports,
    #[error(transparent)]
    Word(#[from] WordError),
    #[error(transparent)]
    Port(#[from] PublishError),
}

const PUBLISH_MOST: usize = 256;

impl Public {
    /// Nothing that would not fit into a record.
    pub fn check(&self) -> Result<(), PublicError> {
        let families = self.addresses.iter().map(|address| Family::of(*address));
        let families: Vec<Family> = families.collect();
        match families.as_slice() {
            [_] => {}
            [one, other] if one != other => {}
            _ => return Err(PublicError::Addresses(families.len())),
        }
        if self.publish.len() > PUBLISH_MOST {
            return Err(PublicError::Ports);
        }
        self.who.check()?;
        Ok(self.publish.iter().try_for_each(Publish::check)?)
    }

    /// About the bytes that its words take.
    pub fn size(&self) -> usize {
        let Who {
            container,
            name,
            aliases,
            labels,
        } = &self.who;
        let texts = container.iter().chain(name).chain(aliases);
        let texts = texts.chain(labels.keys()).chain(labels.values());
        texts.map(String::len).sum::<usize>() + self.publish.len() * size_of::<Publish>()
    }

    /// Is it what somebody means who says this: a name, an alias, an address, or the
    /// beginning of the container's id?
    pub fn is_called(&self, what: &str) -> bool {
        let name = self.who.name.iter().chain(&self.who.aliases);
        let is_container = |id: &String| what.len() >= ID_LEAST && id.starts_with(what);
        name.into_iter().any(|name| name == what)
            || self.key.as_str() == what
            || self.who.container.as_ref().is_some_and(is_container)
            || what
                .parse()
                .is_ok_and(|address: IpAddr| self.addresses.contains(&address))
    }
}

/// Of a container's id, engines show so many characters.
const ID_LEAST: usize = 12;

impl From<&Endpoint> for Public {
    fn from(endpoint: &Endpoint) -> Self {
        Self {
            key: endpoint.key.clone(),
            addresses: endpoint.addresses.clone(),
            mac: endpoint.mac,
            who: endpoint.who.clone(),
            publish: endpoint.publish.clone(),
            since: endpoint.since,
        }
    }
}

impl Endpoint {
    pub fn public(&self) -> Arc<Public> {
        Arc::new(self.into())
    }
}

#[cfg(test)]
mod tests;
