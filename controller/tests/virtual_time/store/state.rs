//! What the store holds, and how a group of transactions changes it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use controller::store::{Batch, Committed, StoreError, group_fits};
use overlay::txn::{Op, Revision, Transaction, TtlId};
use tokio::time::Instant;

/// As etcd comes: 128 operations.
pub const BUDGET: usize = 128;

/// All that a store is.
#[derive(Debug)]
pub struct State {
    pub revision: Revision,
    pub entries: BTreeMap<String, Slot>,
    /// Everything that ever happened, also what is compacted: a judge may ask.
    pub past: Vec<(Instant, Batch)>,
    /// A watch may begin after this revision, and after no older one.
    pub compacted: Revision,
    pub ttls: BTreeMap<TtlId, Ttl>,
    pub granted: i64,
    /// Nothing expires while the store is away.
    pub frozen: bool,
}

#[derive(Debug, Clone)]
pub struct Slot {
    pub value: Vec<u8>,
    pub revision: Revision,
    ttl: Option<TtlId>,
}

#[derive(Debug)]
pub struct Ttl {
    pub length: Duration,
    pub deadline: Instant,
}

/// One thing that becomes different.
pub enum Change {
    Put(String, Vec<u8>, Option<TtlId>),
    Delete(String),
}

impl State {
    pub fn empty() -> Self {
        Self {
            revision: 1,
            entries: BTreeMap::new(),
            past: Vec::new(),
            compacted: 0,
            ttls: BTreeMap::new(),
            granted: 0,
            frozen: false,
        }
    }

    pub fn commit(&mut self, group: Vec<Transaction>) -> Result<Committed, StoreError> {
        self.expire();
        check(&group)?;
        let held: Vec<bool> = group.iter().map(|txn| self.holds(txn)).collect();
        let winners = group.into_iter().zip(&held);
        let winners = winners.filter_map(|(txn, held)| held.then_some(txn));
        let ops: Vec<Op> = winners.flat_map(|txn| txn.ops).collect();
        for op in &ops {
            if let Op::Put { ttl: Some(ttl), .. } = op
                && !self.ttls.contains_key(ttl)
            {
                return Err(refused("a ttl is gone"));
            }
        }
        let change = |op: Op| match op {
            Op::Put { key, value, ttl } => Change::Put(key.to_string(), value, ttl),
            Op::Delete { key } => Change::Delete(key.to_string()),
        };
        self.apply(ops.into_iter().map(change).collect());
        Ok(Committed {
            revision: self.revision,
            held,
        })
    }

    fn holds(&self, txn: &Transaction) -> bool {
        txn.compares.iter().all(|compare| {
            let slot = self.entries.get(&compare.key.to_string());
            slot.map_or(0, |slot| slot.revision) == compare.revision
        })
    }

    pub fn apply(&mut self, ops: Vec<Change>) {
        let revision = self.revision + 1;
        let mut changes = Vec::new();
        for op in ops {
            match op {
                Change::Put(key, value, ttl) => {
                    let slot = Slot {
                        value: value.clone(),
                        revision,
                        ttl,
                    };
                    self.entries.insert(key.clone(), slot);
                    changes.push((key, Some(value)));
                }
                Change::Delete(key) => {
                    if self.entries.remove(&key).is_some() {
                        changes.push((key, None));
                    }
                }
            }
        }
        if !changes.is_empty() {
            self.revision = revision;
            let batch = Batch { revision, changes };
            self.past.push((Instant::now(), batch));
        }
    }

    pub fn expire(&mut self) {
        let now = Instant::now();
        if self.frozen {
            return;
        }
        let over = self.ttls.iter().filter(|(_, ttl)| ttl.deadline <= now);
        let over: Vec<TtlId> = over.map(|(id, _)| *id).collect();
        over.into_iter().for_each(|ttl| self.end(ttl));
    }

    pub fn end(&mut self, ttl: TtlId) {
        self.ttls.remove(&ttl);
        let attached = |(_, slot): &(&String, &Slot)| slot.ttl == Some(ttl);
        let gone = self.entries.iter().filter(attached);
        let gone = gone.map(|(key, _)| Change::Delete(key.clone())).collect();
        self.apply(gone);
    }
}

/// What etcd refuses whatever the comparisons say: a key that is put twice, or put
/// where the same request or an earlier one deletes it.
fn check(group: &[Transaction]) -> Result<(), StoreError> {
    let heaviest = group.iter().map(Transaction::weight).max().unwrap_or(0);
    if !group_fits(BUDGET, group.len(), heaviest) {
        return Err(refused("too many operations"));
    }
    let (mut puts, mut deletes) = (BTreeSet::new(), BTreeSet::new());
    for txn in group {
        let deleted = |op: &&Op| matches!(op, Op::Delete { .. });
        deletes.extend(txn.ops.iter().filter(deleted).map(Op::key));
        for op in txn.ops.iter().filter(|op| !deleted(op)) {
            if deletes.contains(op.key()) || !puts.insert(op.key()) {
                return Err(refused("a key is written twice"));
            }
        }
    }
    Ok(())
}

fn refused(reason: &str) -> StoreError {
    StoreError::Refused {
        what: "a commit",
        reason: reason.into(),
    }
}
