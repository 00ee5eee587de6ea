//! The store, as etcd judges: every comparison of a group is read against the state
//! before the group, and what holds is applied at one revision.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash, Hasher},
    rc::Rc,
};

use overlay::{
    registry::Registry,
    txn::{Op, Revision, Transaction, TtlId},
};

/// The store at one revision, with what a controller knows that has followed it so far.
/// A controller's view is one of these: its registry is a function of the revision.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    pub entries: BTreeMap<Rc<str>, Entry>,
    pub registry: Registry,
    pub dead_ttls: BTreeSet<TtlId>,
}

#[derive(Debug, Clone)]
pub struct Entry {
    pub value: Rc<[u8]>,
    pub revision: Revision,
    pub ttl: Option<TtlId>,
    /// Of key, value and ttl; not of the revision.
    pub digest: u64,
}

/// Nothing at all of the group was applied: a key is put twice, or a ttl is dead.
#[derive(Debug)]
pub struct Refused;

/// What became of a group: who held, and the store after it.
#[derive(Debug)]
pub struct Judged {
    pub held: Vec<bool>,
    pub after: Rc<Snapshot>,
}

impl Snapshot {
    pub fn revision(&self) -> Revision {
        self.registry.revision()
    }

    pub fn judge(self: &Rc<Self>, group: &[&Transaction]) -> Result<Judged, Refused> {
        let mut put = BTreeSet::new();
        for op in group.iter().flat_map(|txn| &txn.ops) {
            if matches!(op, Op::Put { .. }) && !put.insert(op.key()) {
                return Err(Refused);
            }
        }
        let held: Vec<bool> = group.iter().map(|txn| self.holds(txn)).collect();
        let winners: Vec<&Transaction> = std::iter::zip(group, &held)
            .filter_map(|(txn, held)| held.then_some(*txn))
            .collect();
        let dead = |txn: &&Transaction| txn.ttl().is_some_and(|ttl| self.dead_ttls.contains(&ttl));
        if winners.iter().any(dead) {
            return Err(Refused);
        }
        let after = if winners.is_empty() {
            Rc::clone(self)
        } else {
            let ops = winners.iter().flat_map(|txn| &txn.ops);
            Rc::new(self.applied(ops.map(change)))
        };
        Ok(Judged { held, after })
    }

    /// One of the store's own leases runs out: its keys vanish at one revision.
    pub fn expire(&self, ttl: TtlId) -> Self {
        let attached = |(_, entry): &(&Rc<str>, &Entry)| entry.ttl == Some(ttl);
        let gone: Vec<Change> = self
            .entries
            .iter()
            .filter(attached)
            .map(|(key, _)| (Rc::clone(key), None))
            .collect();
        let mut after = if gone.is_empty() {
            self.clone()
        } else {
            self.applied(gone.into_iter())
        };
        after.dead_ttls.insert(ttl);
        after
    }

    /// What a controller knows that loads everything now, instead of having followed.
    pub fn loaded(&self) -> Registry {
        let entries = self
            .entries
            .iter()
            .map(|(key, entry)| (&**key, &*entry.value, entry.revision));
        Registry::load(self.revision(), entries, None)
    }

    pub fn present(&self, key: &str) -> Revision {
        self.entries.get(key).map_or(0, |entry| entry.revision)
    }

    fn holds(&self, txn: &Transaction) -> bool {
        txn.compares
            .iter()
            .all(|compare| self.present(&compare.key.to_string()) == compare.revision)
    }

    fn applied(&self, changes: impl Iterator<Item = Change>) -> Self {
        let mut after = self.clone();
        let revision = self.revision() + 1;
        let changes: Vec<Change> = changes.collect();
        for (key, put) in &changes {
            match put {
                Some((value, ttl)) => {
                    let mut hasher = DefaultHasher::new();
                    (key, value, ttl).hash(&mut hasher);
                    let entry = Entry {
                        value: Rc::clone(value),
                        revision,
                        ttl: *ttl,
                        digest: hasher.finish(),
                    };
                    after.entries.insert(Rc::clone(key), entry);
                }
                None => {
                    after.entries.remove(key);
                }
            }
        }
        let told = changes
            .iter()
            .map(|(key, put)| (&**key, put.as_ref().map(|(value, _)| &**value)));
        after.registry.apply(revision, told);
        after
    }
}

type Change = (Rc<str>, Option<(Rc<[u8]>, Option<TtlId>)>);

fn change(op: &Op) -> Change {
    let key = op.key().to_string().into();
    match op {
        Op::Put { value, ttl, .. } => (key, Some((value.as_slice().into(), *ttl))),
        Op::Delete { .. } => (key, None),
    }
}
