//! All that a store keeps, as it is carried from one to another or to a backup: byte by
//! byte, also what cannot be read. What vanishes with its controller is not of it.

use std::fmt;

use overlay::{key::Key, txn::Revision};
use serde::{Deserialize, Serialize};

/// A record as its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Below the prefix.
    pub key: Vec<u8>,
    pub value: Vec<u8>,
    pub revision: Revision,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whole {
    /// The history that it was read from.
    pub cluster: String,
    pub revision: Revision,
    records: Vec<Record>,
}

impl Whole {
    pub fn new(cluster: String, revision: Revision, mut records: Vec<Record>) -> Self {
        records.sort_by(|a, b| a.place().cmp(&b.place()));
        Self {
            cluster,
            revision,
            records,
        }
    }

    /// In the order in which they were written.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The same keys with the same values, written in the same order?
    pub fn is_like(&self, other: &Self) -> bool {
        let bytes = |whole: &Self| {
            let mut all: Vec<(Vec<u8>, Vec<u8>)> = whole
                .records
                .iter()
                .map(|record| (record.key.clone(), record.value.clone()))
                .collect();
            all.sort();
            all
        };
        let queue = |whole: &Self| -> Vec<Vec<u8>> {
            let returned = whole.records.iter().filter(|record| record.is_queued());
            returned.map(|record| record.key.clone()).collect()
        };
        bytes(self) == bytes(other) && queue(self) == queue(other)
    }
}

impl Record {
    /// Its revision is its place in the queue of returned subnets: no two of different
    /// revisions may become one.
    pub fn is_queued(&self) -> bool {
        self.key.starts_with(b"free/")
    }

    /// Of one revision, subnets wait in the order of their numbers, not of their names.
    fn place(&self) -> (Revision, Option<Key>, &[u8]) {
        let key = str::from_utf8(&self.key).ok();
        let queued = key.filter(|_| self.is_queued());
        let key = queued.and_then(|key| key.parse().ok());
        (self.revision, key, &self.key)
    }
}

/// Whether controllers may use what a store holds. Each store keeps it among its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// It is being filled with the records of this history.
    Arriving(String),
    /// Its records are being carried there.
    Leaving(String),
    /// Its records are there now.
    Moved(String),
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arriving(from) => write!(
                f,
                "it was being filled with the records of {from}, and that did not end: give the same command again, or remove all it holds"
            ),
            Self::Leaving(to) => write!(
                f,
                "its records were being moved to {to}, and that did not end: give the same command again"
            ),
            Self::Moved(to) => write!(
                f,
                "its records were moved to {to}: start the controller with that store"
            ),
        }
    }
}

#[cfg(test)]
mod tests;
