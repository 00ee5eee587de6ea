//! etcd is the judge: whatever a random group does there, it does in the file, and in
//! the value.

use std::time::Duration;

use anyhow::Result;
use controller::store::{Batch, Entry, Store, StoreError, WatchEvent};
use overlay::txn::{Revision, Transaction, TtlId};
use tokio::sync::mpsc::Receiver;

use crate::ground::{Ground, batch, key};

const GROUPS: usize = 400;
const KEYS: u64 = 6;

#[tokio::test(flavor = "multi_thread")]
async fn random_groups_have_one_outcome() -> Result<()> {
    for seed in [1, 2, 3] {
        same(seed).await?;
    }
    Ok(())
}

async fn same(seed: u64) -> Result<()> {
    let grounds = [Ground::etcd()?, Ground::embedded()?, Ground::value()?];
    let [server, file, value] = &grounds;
    let mut server = Side::new(server.store()).await?;
    let mut others = [
        Side::new(file.store()).await?,
        Side::new(value.store()).await?,
    ];
    let mut dice = Dice(seed);
    for round in 0..GROUPS {
        let place = format!("seed {seed}, group {round}");
        if dice.roll(20) == 0 {
            let which = dice.roll(3);
            server.revoke(which).await?;
            for other in &mut others {
                other.revoke(which).await?;
            }
        } else {
            let plan: Vec<Plan> = (0..=dice.roll(3)).map(|_| dice.plan()).collect();
            let outcome = server.commit(&plan).await?;
            for other in &others {
                assert_eq!(other.commit(&plan).await?, outcome, "{place}: {plan:?}");
            }
        }
        let known = server.look().await?;
        for other in &mut others {
            assert_eq!(other.look().await?, known, "{place}");
        }
    }
    Ok(())
}

/// A request before it is known what revision a key has on a side.
#[derive(Debug)]
struct Plan {
    compares: Vec<(u64, Guess)>,
    ops: Vec<(u64, Change)>,
}

#[derive(Debug, Clone, Copy)]
enum Guess {
    Right,
    Absent,
    Wrong,
}

#[derive(Debug, Clone, Copy)]
enum Change {
    Put(u8),
    PutWithTtl(u64),
    Delete,
}

#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Committed(Revision, Vec<bool>),
    Refused,
}

struct Side<'a> {
    store: &'a dyn Store,
    events: Receiver<WatchEvent>,
    seen: Revision,
    entries: Vec<Entry>,
    /// Some of them are dead.
    ttls: Vec<TtlId>,
}

impl<'a> Side<'a> {
    async fn new(store: &'a dyn Store) -> Result<Self> {
        let loaded = store.load().await?;
        let mut ttls = Vec::new();
        for _ in 0..3 {
            ttls.push(store.grant(Duration::from_secs(600)).await?);
        }
        Ok(Self {
            store,
            events: store.watch(loaded.revision).await?,
            seen: loaded.revision,
            entries: loaded.entries,
            ttls,
        })
    }

    async fn commit(&self, plan: &[Plan]) -> Result<Outcome> {
        let group = plan.iter().map(|plan| self.transaction(plan)).collect();
        match self.store.commit(group).await {
            Ok(committed) => Ok(Outcome::Committed(committed.revision, committed.held)),
            Err(StoreError::Refused { .. }) => Ok(Outcome::Refused),
            Err(error) => Err(error.into()),
        }
    }

    /// A ttl that was revoked is replaced every other time.
    async fn revoke(&mut self, which: u64) -> Result<()> {
        let ttl = &mut self.ttls[which as usize];
        self.store.revoke(*ttl).await?;
        if self.seen.is_multiple_of(2) {
            *ttl = self.store.grant(Duration::from_secs(600)).await?;
        }
        Ok(())
    }

    /// What there is, and what the watch told since the last look.
    async fn look(&mut self) -> Result<(Vec<Entry>, Vec<Batch>)> {
        let loaded = self.store.load().await?;
        let mut told = Vec::new();
        while self.seen < loaded.revision {
            let batch = batch(&mut self.events).await?;
            self.seen = batch.revision;
            told.push(batch);
        }
        assert_eq!(self.seen, loaded.revision);
        self.entries = loaded.entries;
        Ok((self.entries.clone(), told))
    }

    fn transaction(&self, plan: &Plan) -> Transaction {
        let mut txn = Transaction::default();
        for (number, guess) in &plan.compares {
            let name = name(*number);
            let found = self
                .entries
                .iter()
                .find(|e| e.key == format!("node/{name}"));
            let revision = found.map_or(0, |entry| entry.revision);
            txn.expect(
                key(&name),
                match guess {
                    Guess::Right => revision,
                    Guess::Absent => 0,
                    Guess::Wrong => revision + 1,
                },
            );
        }
        for (number, change) in &plan.ops {
            let key = key(&name(*number));
            match change {
                Change::Put(value) => txn.put(key, vec![*value]),
                Change::PutWithTtl(which) => {
                    txn.put_with_ttl(key, vec![0], self.ttls[*which as usize]);
                }
                Change::Delete => txn.delete(key),
            }
        }
        txn
    }
}

/// xorshift: the same groups on every machine.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 20) % sides
    }

    fn plan(&mut self) -> Plan {
        let compares = (0..self.roll(3)).map(|_| {
            let guess = match self.roll(6) {
                0 => Guess::Wrong,
                1 | 2 => Guess::Absent,
                _ => Guess::Right,
            };
            (self.roll(KEYS), guess)
        });
        let compares = compares.collect();
        let ops = (0..self.roll(3)).map(|_| {
            let change = match self.roll(5) {
                0 | 1 => Change::Delete,
                2 => Change::PutWithTtl(self.roll(3)),
                _ => Change::Put(self.roll(256) as u8),
            };
            (self.roll(KEYS), change)
        });
        let ops = ops.collect();
        Plan { compares, ops }
    }
}

fn name(number: u64) -> String {
    format!("n{number}")
}
