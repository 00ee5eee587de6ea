//! The store: everything at a revision, transactions with comparisons, a watch
//! from a revision, and keys that vanish unless somebody keeps them alive.
//!
//! Two real ones keep this promise, and one test suite runs against both
//! (`controller/tests/store/`): [`embedded`], one crash-safe file, and [`etcd`].

pub mod embedded;
pub mod etcd;
pub mod whole;

use std::{fmt, time::Duration};

use overlay::txn::{Revision, Transaction, TtlId};
use thiserror::Error;
use tokio::sync::mpsc;
use tonic::async_trait;

/// One record as the store keeps it. The key is relative to the prefix and may be
/// anything: whoever shares the store may have written it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub key: String,
    pub value: Vec<u8>,
    pub revision: Revision,
}

/// Everything below the prefix at one revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// Names the store's history: revisions of different clusters cannot be compared.
    pub cluster: String,
    pub revision: Revision,
    /// In the order of their keys.
    pub entries: Vec<Entry>,
}

/// What one transaction changed, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    pub revision: Revision,
    /// In the order they were made; no value: deleted.
    pub changes: Vec<(String, Option<Vec<u8>>)>,
}

/// The end of a watch is the end of the channel; then load again and compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchEvent {
    /// In the order of revisions, none left out. Revisions that concern nothing
    /// below the prefix do not appear.
    Batch(Batch),
    /// The revisions asked for are no longer kept: load again.
    Compacted,
    /// The watch broke; it is over.
    Lost(StoreError),
}

/// What became of a group: whether each transaction's comparisons held, in order.
/// Those that held are applied at `revision`, the others changed nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    pub revision: Revision,
    pub held: Vec<bool>,
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StoreError {
    /// Nothing was applied, for a reason that lies in the request: a ttl that is
    /// gone, a key written twice, too many operations.
    #[error("the store refused {what}: {reason}")]
    Refused { what: &'static str, reason: String },
    /// The store cannot be reached or did not answer in time. A commit may or may
    /// not have been applied.
    #[error("the store did not answer {what}: {reason}")]
    Unavailable { what: &'static str, reason: String },
}

/// Whether a ttl still lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeptAlive {
    Alive,
    /// It expired, and its keys with it.
    Gone,
}

#[async_trait]
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// For people: "embedded /var/lib/weft/store.redb".
    fn describe(&self) -> String;

    /// How many operations one group may hold in all, nesting included.
    fn group_budget(&self) -> usize;

    /// How many groups are worth having under way at once.
    fn groups_in_flight(&self) -> usize;

    async fn load(&self) -> Result<Loaded, StoreError>;

    /// The newest revision there is, never from a stale view.
    async fn head(&self) -> Result<Revision, StoreError>;

    /// Judges and applies a group of independent transactions (see `overlay::flight`)
    /// that fits the budget. All are judged against the state before the group, and
    /// those that hold are one revision and one batch. A group that is refused may do
    /// when it is split.
    async fn commit(&self, group: Vec<Transaction>) -> Result<Committed, StoreError>;

    /// Everything that happens after `revision`. Dropping the receiver ends it.
    async fn watch(&self, after: Revision) -> Result<mpsc::Receiver<WatchEvent>, StoreError>;

    async fn grant(&self, ttl: Duration) -> Result<TtlId, StoreError>;

    async fn keep_alive(&self, ttl: TtlId) -> Result<KeptAlive, StoreError>;

    /// Ends a ttl now; its keys vanish with it.
    async fn revoke(&self, ttl: TtlId) -> Result<(), StoreError>;
}

/// How many transactions of this weight fit one group of this budget: the group
/// itself costs one operation for each of them.
pub fn group_fits(budget: usize, count: usize, heaviest: usize) -> bool {
    count + heaviest <= budget
}
