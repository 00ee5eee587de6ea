//! What all simulated agents share, and what is counted of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use proto::v1::Changes;
use tokio::sync::{Semaphore, SemaphorePermit};
use tonic::Status;

use super::lag::Lags;
use crate::simulated::AT_ONCE;

/// More than there are changes in all.
const MOST_CHANGES: usize = 100_000;

pub struct Fleet {
    pub urls: Vec<String>,
    pub cluster: String,
    /// The first sessions of all are opened by turns. Later nobody paces anybody.
    gate: Semaphore,
    began: Instant,
    /// When each change happened, in microseconds after the beginning.
    happened: Vec<AtomicU64>,
    /// The same of the removal of the node that joined by a change.
    removed: Vec<AtomicU64>,
    pub lags: Lags,
    /// Messages with changes that witnesses were sent.
    pub messages: AtomicU64,
    /// Snapshots that witnesses were sent, who need none.
    pub snapshots: AtomicUsize,
    /// Of witnesses.
    pub sessions: AtomicUsize,
    /// When they opened.
    openings: Mutex<Vec<Instant>>,
    /// Why sessions did not open, and how often.
    failures: Mutex<BTreeMap<String, usize>>,
    /// Nodes that joined, by the change with which they did, and may leave.
    newcomers: Mutex<BTreeSet<usize>>,
    /// Witnesses that saw the newest mark.
    pub marked: AtomicUsize,
}

impl Fleet {
    pub fn new(urls: Vec<String>, cluster: String) -> Self {
        Self {
            urls,
            cluster,
            gate: Semaphore::new(AT_ONCE),
            began: Instant::now(),
            happened: times(),
            removed: times(),
            lags: Lags::new(),
            messages: AtomicU64::new(0),
            snapshots: AtomicUsize::new(0),
            sessions: AtomicUsize::new(0),
            openings: Mutex::default(),
            failures: Mutex::default(),
            newcomers: Mutex::default(),
            marked: AtomicUsize::new(0),
        }
    }

    pub async fn permit(&self) -> SemaphorePermit<'_> {
        self.gate.acquire().await.expect("it is never closed")
    }

    /// From now on all may come at once.
    pub fn open_the_gate(&self) {
        self.gate.add_permits(Semaphore::MAX_PERMITS / 2);
    }

    /// A node joins now, or is elsewhere.
    pub fn happens(&self, change: usize) {
        self.now(&self.happened[change]);
    }

    /// The node that joined by a change is removed now.
    pub fn removes(&self, change: usize) {
        self.now(&self.removed[change]);
    }

    pub fn opened(&self) {
        self.sessions.fetch_add(1, Ordering::Relaxed);
        self.openings.lock().expect("no panic").push(Instant::now());
    }

    /// With every session of it anew.
    pub fn joined(&self, newcomer: usize) {
        if self.removed[newcomer].load(Ordering::Relaxed) > 0 {
            return;
        }
        let mut newcomers = self.newcomers.lock().expect("no panic");
        newcomers.insert(newcomer);
    }

    /// The one that has been there for the longest leaves.
    pub fn leaver(&self) -> Option<usize> {
        self.newcomers.lock().expect("no panic").pop_first()
    }

    /// Since a time, how long after it.
    pub fn openings(&self, since: Instant) -> Vec<Duration> {
        let openings = self.openings.lock().expect("no panic");
        let mut later: Vec<Duration> = openings
            .iter()
            .filter_map(|at| at.checked_duration_since(since))
            .collect();
        later.sort_unstable();
        later
    }

    pub fn failed(&self, status: &Status) {
        let what = format!("{:?}: {}", status.code(), status.message());
        let mut failures = self.failures.lock().expect("no panic");
        *failures.entry(what).or_default() += 1;
    }

    pub fn take_failures(&self) -> BTreeMap<String, usize> {
        std::mem::take(&mut *self.failures.lock().expect("no panic"))
    }

    /// A witness is told of changes.
    pub fn told(&self, changes: &Changes) {
        let now = self.began.elapsed();
        self.messages.fetch_add(1, Ordering::Relaxed);
        for peer in &changes.set {
            if let Some(change) = change_of_mac(&peer.mac) {
                self.time(&self.happened[change], now);
            }
            if peer.node.starts_with(MARK) {
                self.marked.fetch_add(1, Ordering::Relaxed);
            }
        }
        for node in &changes.gone {
            if let Some(change) = change_of_name(node) {
                self.time(&self.removed[change], now);
            }
        }
    }

    fn now(&self, time: &AtomicU64) {
        let now = self.began.elapsed().as_micros() as u64;
        time.store(now, Ordering::Relaxed);
    }

    fn time(&self, happened: &AtomicU64, now: Duration) {
        let happened = Duration::from_micros(happened.load(Ordering::Relaxed));
        self.lags.add(now.saturating_sub(happened));
    }
}

/// The name of what all are to see before a phase is over begins so.
pub const MARK: &str = "mark-";

/// The node that joins by a change.
pub fn name(change: usize) -> String {
    format!("churn-{change}")
}

/// The MAC that a node has by a change.
pub fn mac(change: usize) -> String {
    let [a, b, c, d] = (change as u32).to_be_bytes();
    format!("02:cc:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
}

fn change_of_name(name: &str) -> Option<usize> {
    name.strip_prefix("churn-")?.parse().ok()
}

fn change_of_mac(mac: &str) -> Option<usize> {
    let digits = mac.strip_prefix("02:cc:")?.replace(':', "");
    usize::from_str_radix(&digits, 16).ok()
}

fn times() -> Vec<AtomicU64> {
    (0..MOST_CHANGES).map(|_| AtomicU64::new(0)).collect()
}
