//! What the file holds, in memory without the values: enough to judge comparisons
//! without touching the disk.

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

use overlay::txn::{Op, Revision, Transaction, TtlId};

use super::{file::Contents, ttl::Ttls};
use crate::store::Batch;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    pub revision: Revision,
    pub ttl: Option<TtlId>,
}

/// A transaction with its keys spelled out, which the writer need not do.
#[derive(Debug)]
pub struct Request {
    compares: Vec<(String, Revision)>,
    writes: Vec<Write>,
}

#[derive(Debug)]
struct Write {
    key: String,
    /// None: delete.
    value: Option<Vec<u8>>,
    ttl: Option<TtlId>,
}

#[derive(Debug)]
pub struct State {
    revision: Revision,
    slots: HashMap<Box<str>, Slot>,
    ttls: Ttls,
    last_ttl: TtlId,
}

/// What etcd refuses whatever the state is: too much, or one key written twice.
pub fn prepare(group: Vec<Transaction>, budget: usize) -> Result<Vec<Request>, String> {
    let heaviest = group.iter().map(Transaction::weight).max().unwrap_or(0);
    if !crate::store::group_fits(budget, group.len(), heaviest) {
        return Err(format!(
            "too many operations: {} transactions of up to {heaviest} in a group of {budget}",
            group.len()
        ));
    }
    let requests: Vec<Request> = group.into_iter().map(Request::from).collect();
    let mut put = HashSet::new();
    let mut deleted = HashSet::new();
    for request in &requests {
        let (puts, deletes): (Vec<_>, Vec<_>) = request
            .writes
            .iter()
            .partition(|write| write.value.is_some());
        deleted.extend(deletes.iter().map(|write| &write.key));
        // A delete after the put, in a later request, is the one mixture etcd takes.
        if let Some(twice) = puts
            .iter()
            .find(|write| deleted.contains(&write.key) || !put.insert(&write.key))
        {
            return Err(format!("it writes {} twice", twice.key));
        }
    }
    Ok(requests)
}

impl State {
    /// Every ttl starts again in full: while nobody ran the store, nobody could keep
    /// it alive.
    pub fn new(contents: Contents, now: Instant) -> Self {
        let mut ttls = Ttls::default();
        for (id, ttl) in contents.ttls {
            ttls.grant(id, ttl, now);
        }
        for (key, slot) in &contents.slots {
            if let Some(ttl) = slot.ttl {
                ttls.attach(ttl, key);
            }
        }
        Self {
            revision: contents.revision,
            slots: contents.slots,
            ttls,
            last_ttl: contents.last_ttl,
        }
    }

    pub fn revision(&self) -> Revision {
        self.revision
    }

    pub fn slot(&self, key: &str) -> Option<Slot> {
        self.slots.get(key).copied()
    }

    pub fn ttls(&self) -> &Ttls {
        &self.ttls
    }

    pub fn ttls_mut(&mut self) -> &mut Ttls {
        &mut self.ttls
    }

    /// Which requests hold against the state before any of them; an error refuses
    /// the group whole, as etcd does for a lease that is gone.
    pub fn judge(&self, group: &[Request]) -> Result<Vec<bool>, String> {
        let held: Vec<bool> = group.iter().map(|request| self.holds(request)).collect();
        let applied = group.iter().zip(&held).filter(|(_, held)| **held);
        for write in applied.flat_map(|(request, _)| &request.writes) {
            if let Some(ttl) = write.ttl.filter(|ttl| !self.ttls.lives(*ttl)) {
                return Err(format!("ttl {:x} of {} is gone", ttl.0, write.key));
            }
        }
        Ok(held)
    }

    /// Applies what held as one revision; None: nothing changed.
    pub fn apply(&mut self, group: Vec<Request>, held: &[bool]) -> Option<Batch> {
        let revision = self.revision + 1;
        let mut changes = Vec::new();
        let applied = group.into_iter().zip(held).filter(|(_, held)| **held);
        for write in applied.flat_map(|(request, _)| request.writes) {
            if write.value.is_some() {
                self.put(&write.key, revision, write.ttl);
            } else if !self.delete(&write.key) {
                continue;
            }
            changes.push((write.key, write.value));
        }
        self.advance(revision, changes)
    }

    pub fn grant(&mut self, ttl: Duration, now: Instant) -> TtlId {
        self.last_ttl = TtlId(self.last_ttl.0 + 1);
        self.ttls.grant(self.last_ttl, ttl, now);
        self.last_ttl
    }

    /// Ends a ttl and deletes its keys as one revision; None: it had none.
    pub fn end(&mut self, ttl: TtlId) -> Option<Batch> {
        let mut changes = Vec::new();
        for key in self.ttls.end(ttl) {
            self.slots.remove(&key);
            changes.push((key.into_string(), None));
        }
        self.advance(self.revision + 1, changes)
    }

    fn holds(&self, request: &Request) -> bool {
        request.compares.iter().all(|(key, revision)| {
            let found = self.slots.get(key.as_str()).map_or(0, |slot| slot.revision);
            found == *revision
        })
    }

    fn put(&mut self, key: &str, revision: Revision, ttl: Option<TtlId>) {
        let slot = Slot { revision, ttl };
        let before = match self.slots.get_mut(key) {
            Some(known) => std::mem::replace(known, slot).ttl,
            None => {
                self.slots.insert(key.into(), slot);
                None
            }
        };
        if before == ttl {
            return;
        }
        if let Some(before) = before {
            self.ttls.detach(before, key);
        }
        if let Some(ttl) = ttl {
            self.ttls.attach(ttl, key);
        }
    }

    fn delete(&mut self, key: &str) -> bool {
        let Some(slot) = self.slots.remove(key) else {
            return false;
        };
        if let Some(ttl) = slot.ttl {
            self.ttls.detach(ttl, key);
        }
        true
    }

    fn advance(
        &mut self,
        revision: Revision,
        changes: Vec<(String, Option<Vec<u8>>)>,
    ) -> Option<Batch> {
        if changes.is_empty() {
            return None;
        }
        self.revision = revision;
        Some(Batch { revision, changes })
    }
}

impl From<Transaction> for Request {
    fn from(txn: Transaction) -> Self {
        let compares = txn.compares.into_iter();
        Self {
            compares: compares
                .map(|compare| (compare.key.to_string(), compare.revision))
                .collect(),
            writes: txn.ops.into_iter().map(Write::from).collect(),
        }
    }
}

impl From<Op> for Write {
    fn from(op: Op) -> Self {
        match op {
            Op::Put { key, value, ttl } => Self {
                key: key.to_string(),
                value: Some(value),
                ttl,
            },
            Op::Delete { key } => Self {
                key: key.to_string(),
                value: None,
                ttl: None,
            },
        }
    }
}
