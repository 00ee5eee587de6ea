//! Which transactions may be under way at the same time.
//!
//! etcd evaluates every comparison of a group against the state before the group,
//! so two requests may share one only if neither writes a key that the other
//! compares or writes. Holding to that for everything that is under way (grouped
//! or not) also means that a controller never races with itself.

use std::collections::BTreeMap;

use crate::{key::Key, txn::Transaction};

#[derive(Debug, Default)]
pub struct Flight {
    touched: BTreeMap<Key, Touch>,
}

#[derive(Debug, Default)]
struct Touch {
    readers: usize,
    written: bool,
}

impl Flight {
    /// Is this transaction independent of all that are under way?
    pub fn admits(&self, txn: &Transaction) -> bool {
        let reads_clean = txn
            .compares
            .iter()
            .all(|compare| !self.writes(&compare.key));
        let writes_clean = txn
            .ops
            .iter()
            .all(|op| !self.touched.contains_key(op.key()));
        reads_clean && writes_clean
    }

    pub fn enter(&mut self, txn: &Transaction) {
        for compare in &txn.compares {
            self.touched.entry(compare.key.clone()).or_default().readers += 1;
        }
        for op in &txn.ops {
            self.touched.entry(op.key().clone()).or_default().written = true;
        }
    }

    pub fn leave(&mut self, txn: &Transaction) {
        for compare in &txn.compares {
            if let Some(touch) = self.touched.get_mut(&compare.key) {
                touch.readers = touch.readers.saturating_sub(1);
                if touch.readers == 0 && !touch.written {
                    self.touched.remove(&compare.key);
                }
            }
        }
        for op in &txn.ops {
            if let Some(touch) = self.touched.get_mut(op.key()) {
                touch.written = false;
                if touch.readers == 0 {
                    self.touched.remove(op.key());
                }
            }
        }
    }

    /// Is something under way that writes this key?
    pub fn writes(&self, key: &Key) -> bool {
        self.touched.get(key).is_some_and(|touch| touch.written)
    }
}

#[cfg(test)]
mod tests;
