//! Which ttls live until when, and which keys go with each.

use std::{
    collections::{BTreeSet, HashMap},
    time::{Duration, Instant},
};

use overlay::txn::TtlId;

use crate::store::KeptAlive;

/// Longer than anybody means, and short enough to be added to any clock.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

#[derive(Debug, Default)]
pub struct Ttls {
    lives: HashMap<TtlId, Life>,
    deadlines: BTreeSet<(Instant, TtlId)>,
}

#[derive(Debug)]
struct Life {
    ttl: Duration,
    deadline: Instant,
    keys: BTreeSet<Box<str>>,
}

impl Ttls {
    pub fn grant(&mut self, id: TtlId, ttl: Duration, now: Instant) {
        let ttl = ttl.min(LONGEST);
        let deadline = now + ttl;
        self.deadlines.insert((deadline, id));
        let keys = BTreeSet::new();
        let life = Life {
            ttl,
            deadline,
            keys,
        };
        self.lives.insert(id, life);
    }

    pub fn lives(&self, id: TtlId) -> bool {
        self.lives.contains_key(&id)
    }

    pub fn renew(&mut self, id: TtlId, now: Instant) -> KeptAlive {
        let Some(life) = self.lives.get_mut(&id) else {
            return KeptAlive::Gone;
        };
        self.deadlines.remove(&(life.deadline, id));
        life.deadline = now + life.ttl;
        self.deadlines.insert((life.deadline, id));
        KeptAlive::Alive
    }

    pub fn attach(&mut self, id: TtlId, key: &str) {
        if let Some(life) = self.lives.get_mut(&id) {
            life.keys.insert(key.into());
        }
    }

    pub fn detach(&mut self, id: TtlId, key: &str) {
        if let Some(life) = self.lives.get_mut(&id) {
            life.keys.remove(key);
        }
    }

    /// Forgets it and tells which keys went with it.
    pub fn end(&mut self, id: TtlId) -> BTreeSet<Box<str>> {
        let Some(life) = self.lives.remove(&id) else {
            return BTreeSet::new();
        };
        self.deadlines.remove(&(life.deadline, id));
        life.keys
    }

    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// The one that is overdue the longest.
    pub fn overdue(&self, now: Instant) -> Option<TtlId> {
        let (deadline, id) = self.deadlines.first()?;
        (*deadline <= now).then_some(*id)
    }
}
