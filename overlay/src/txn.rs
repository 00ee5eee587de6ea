//! Transactions: what a decision asks of the store, as a value.

use crate::key::Key;

/// The store's version number. 0 stands for "absent" in a comparison.
pub type Revision = u64;

/// One of the store's own leases: the keys attached to it vanish together when
/// nobody keeps it alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TtlId(pub i64);

/// All comparisons hold and all operations are applied at one revision, or nothing is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transaction {
    pub compares: Vec<Compare>,
    pub ops: Vec<Op>,
}

/// The key was last changed at this revision; 0: it does not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Compare {
    pub key: Key,
    pub revision: Revision,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    Put {
        key: Key,
        value: Vec<u8>,
        ttl: Option<TtlId>,
    },
    Delete {
        key: Key,
    },
}

impl Op {
    pub fn key(&self) -> &Key {
        match self {
            Self::Put { key, .. } | Self::Delete { key } => key,
        }
    }
}

impl Transaction {
    pub fn expect(&mut self, key: Key, revision: Revision) {
        self.compares.push(Compare { key, revision });
    }

    pub fn expect_absent(&mut self, key: Key) {
        self.expect(key, 0);
    }

    pub fn put(&mut self, key: Key, value: Vec<u8>) {
        self.ops.push(Op::Put {
            key,
            value,
            ttl: None,
        });
    }

    pub fn put_with_ttl(&mut self, key: Key, value: Vec<u8>, ttl: TtlId) {
        self.ops.push(Op::Put {
            key,
            value,
            ttl: Some(ttl),
        });
    }

    pub fn delete(&mut self, key: Key) {
        self.ops.push(Op::Delete { key });
    }

    /// The ttl its writes are attached to; a transaction uses at most one.
    pub fn ttl(&self) -> Option<TtlId> {
        self.ops.iter().find_map(|op| match op {
            Op::Put { ttl, .. } => *ttl,
            Op::Delete { .. } => None,
        })
    }

    /// What counts against etcd's limit of operations beside the nesting itself.
    pub fn weight(&self) -> usize {
        self.compares.len().max(self.ops.len())
    }
}
