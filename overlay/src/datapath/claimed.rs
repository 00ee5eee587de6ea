//! A map whose keys may be claimed by several: one value counts, and when its claim is
//! given up the next one does.

use std::collections::BTreeMap;

/// Which value counts depends on the claims alone, and not on the order in which they
/// came: the least. So what grew by changes equals what was made at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed<K, V> {
    counts: BTreeMap<K, V>,
    /// The other claims on a key, sorted. Nearly always there are none.
    rivals: BTreeMap<K, Vec<V>>,
}

impl<K, V> Default for Claimed<K, V> {
    fn default() -> Self {
        Self {
            counts: BTreeMap::new(),
            rivals: BTreeMap::new(),
        }
    }
}

impl<K: Ord + Copy, V: Ord + Copy> Claimed<K, V> {
    pub fn claim(&mut self, key: K, value: V) {
        let Some(counts) = self.counts.get_mut(&key) else {
            self.counts.insert(key, value);
            return;
        };
        let rival = if value < *counts {
            std::mem::replace(counts, value)
        } else {
            value
        };
        let rivals = self.rivals.entry(key).or_default();
        let place = rivals.partition_point(|other| *other <= rival);
        rivals.insert(place, rival);
    }

    /// Gives up one claim of this value.
    pub fn give_up(&mut self, key: K, value: V) {
        let Some(rivals) = self.rivals.get_mut(&key) else {
            if self.counts.get(&key) == Some(&value) {
                self.counts.remove(&key);
            }
            return;
        };
        if self.counts.get(&key) == Some(&value) {
            self.counts.insert(key, rivals.remove(0));
        } else if let Ok(place) = rivals.binary_search(&value) {
            rivals.remove(place);
        }
        if rivals.is_empty() {
            self.rivals.remove(&key);
        }
    }

    /// The value that counts.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.counts.get(key)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.counts.iter()
    }

    pub fn len(&self) -> usize {
        self.counts.len()
    }

    pub fn is_empty(&self) -> bool {
        self.counts.is_empty()
    }

    /// Claimed by more than one.
    pub fn is_contested(&self, key: &K) -> bool {
        self.rivals.contains_key(key)
    }
}

#[cfg(test)]
mod tests;
