//! A store that is only a value, and means what etcd means: every comparison of a group
//! is read against the state before it, what holds is one revision, keys go with their
//! ttl, a watch tells every revision that is not compacted. `controller/tests/store`
//! asks of it what it asks of the real ones.

#[path = "store/state.rs"]
mod state;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use controller::store::{
    Batch, Committed, Entry, KeptAlive, Loaded, Store, StoreError, WatchEvent,
};
use overlay::txn::{Revision, Transaction, TtlId};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep},
};
use tonic::async_trait;

const GROUPS_IN_FLIGHT: usize = 4;
/// How often ttls are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// What a watch reads ahead.
const READ_AHEAD: usize = 16;

use state::{BUDGET, Change, Slot, State, Ttl};

/// Whoever holds a clone holds the same store.
#[derive(Debug, Clone)]
pub struct Value {
    state: Arc<Mutex<State>>,
    head: watch::Sender<Revision>,
}

impl Value {
    /// An empty store. A task of its own ends what nobody keeps alive.
    pub fn start() -> Self {
        let value = Self {
            state: Arc::new(Mutex::new(State::empty())),
            head: watch::Sender::new(1),
        };
        let clock = Arc::downgrade(&value.state);
        let head = value.head.clone();
        tokio::spawn(async move {
            while let Some(state) = clock.upgrade() {
                let value = Self {
                    state,
                    head: head.clone(),
                };
                value.change(State::expire);
                drop(value);
                sleep(LOOK_EVERY).await;
            }
        });
        value
    }

    pub fn loaded(&self) -> Loaded {
        let state = self.state();
        let entry = |(key, slot): (&String, &Slot)| Entry {
            key: key.clone(),
            value: slot.value.clone(),
            revision: slot.revision,
        };
        Loaded {
            cluster: "value".into(),
            revision: state.revision,
            entries: state.entries.iter().map(entry).collect(),
        }
    }

    pub fn revision(&self) -> Revision {
        self.state().revision
    }

    /// Wakes with every new revision.
    pub fn head(&self) -> watch::Receiver<Revision> {
        self.head.subscribe()
    }

    /// What happened after a revision, and when.
    pub fn past(&self, after: Revision) -> Vec<(Instant, Batch)> {
        let state = self.state();
        let first = state
            .past
            .partition_point(|(_, batch)| batch.revision <= after);
        state.past[first..].to_vec()
    }

    pub fn judge(&self, group: Vec<Transaction>) -> Result<Committed, StoreError> {
        self.change(|state| state.commit(group))
    }

    /// Writes without asking, as a hand on etcdctl does.
    pub fn write(&self, key: &str, value: Option<Vec<u8>>) -> Revision {
        self.change(|state| {
            let op = match value {
                Some(value) => Change::Put(key.into(), value, None),
                None => Change::Delete(key.into()),
            };
            state.apply(vec![op]);
            state.revision
        })
    }

    pub fn new_ttl(&self, length: Duration) -> TtlId {
        self.change(|state| {
            state.granted += 1;
            let ttl = TtlId(state.granted);
            let deadline = Instant::now() + length;
            state.ttls.insert(ttl, Ttl { length, deadline });
            ttl
        })
    }

    pub fn renew(&self, ttl: TtlId) -> KeptAlive {
        self.change(|state| {
            state.expire();
            let Some(life) = state.ttls.get_mut(&ttl) else {
                return KeptAlive::Gone;
            };
            life.deadline = Instant::now() + life.length;
            KeptAlive::Alive
        })
    }

    pub fn end(&self, ttl: TtlId) {
        self.change(|state| state.end(ttl));
    }

    /// Every ttl that lives.
    pub fn ttls(&self) -> Vec<TtlId> {
        self.state().ttls.keys().copied().collect()
    }

    /// Forgets the revisions before the newest.
    pub fn compact(&self) {
        let mut state = self.state();
        state.compacted = state.revision.saturating_sub(1);
    }

    /// Stops, or starts again: then every ttl has all of its time, as with a new leader.
    pub fn freeze(&self, frozen: bool) {
        let mut state = self.state();
        state.frozen = frozen;
        for ttl in state.ttls.values_mut() {
            ttl.deadline = Instant::now() + ttl.length;
        }
    }

    /// The next revision to tell a watch that is at this one. None: there is none yet.
    pub fn next(&self, after: Revision) -> Option<WatchEvent> {
        let state = self.state();
        if after < state.compacted {
            return Some(WatchEvent::Compacted);
        }
        let next = state
            .past
            .partition_point(|(_, batch)| batch.revision <= after);
        let (_, batch) = state.past.get(next)?;
        Some(WatchEvent::Batch(batch.clone()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let (done, revision) = {
            let mut state = self.state();
            (change(&mut state), state.revision)
        };
        self.head.send_if_modified(|head| {
            let is_new = *head != revision;
            *head = revision;
            is_new
        });
        done
    }
}

#[async_trait]
impl Store for Value {
    fn describe(&self) -> String {
        "a value".into()
    }

    fn group_budget(&self) -> usize {
        BUDGET
    }

    fn groups_in_flight(&self) -> usize {
        GROUPS_IN_FLIGHT
    }

    async fn load(&self) -> Result<Loaded, StoreError> {
        Ok(self.loaded())
    }

    async fn head(&self) -> Result<Revision, StoreError> {
        Ok(self.revision())
    }

    async fn commit(&self, group: Vec<Transaction>) -> Result<Committed, StoreError> {
        self.judge(group)
    }

    async fn watch(&self, after: Revision) -> Result<mpsc::Receiver<WatchEvent>, StoreError> {
        let (events, receiver) = mpsc::channel(READ_AHEAD);
        let (value, mut head, mut place) = (self.clone(), self.head.subscribe(), after);
        tokio::spawn(async move {
            loop {
                head.mark_unchanged();
                let Some(event) = value.next(place) else {
                    // Cancel-safe: a revision stays new until it is seen.
                    tokio::select! {
                        _ = head.changed() => continue,
                        () = events.closed() => return,
                    }
                };
                let over = match &event {
                    WatchEvent::Batch(batch) => {
                        place = batch.revision;
                        false
                    }
                    WatchEvent::Compacted | WatchEvent::Lost(_) => true,
                };
                if events.send(event).await.is_err() || over {
                    return;
                }
            }
        });
        Ok(receiver)
    }

    async fn grant(&self, ttl: Duration) -> Result<TtlId, StoreError> {
        Ok(self.new_ttl(ttl))
    }

    async fn keep_alive(&self, ttl: TtlId) -> Result<KeptAlive, StoreError> {
        Ok(self.renew(ttl))
    }

    async fn revoke(&self, ttl: TtlId) -> Result<(), StoreError> {
        self.end(ttl);
        Ok(())
    }
}
