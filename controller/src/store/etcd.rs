//! The store in etcd, which any number of controllers may share.
//!
//! The keys live below a prefix and stay readable with etcdctl. Nothing here waits
//! for ever: a call is answered within `connection::CALL`, and a server that went
//! silent is noticed by HTTP/2 pings, so a watch on it ends.

mod carry;
mod connection;
mod error;
mod group;
mod prefix;
mod watch;

use std::{
    fmt,
    path::PathBuf,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use etcd_client::{GetOptions, GetResponse, KeyValue, ResponseHeader};
use overlay::txn::{Revision, Transaction, TtlId};
use tokio::sync::mpsc;
use tonic::async_trait;

use super::{Committed, Entry, KeptAlive, Loaded, Store, StoreError, WatchEvent};
use connection::Connection;
use prefix::Prefix;

pub use connection::ConnectError;

/// etcd's default `--max-txn-ops`; see `overlay::flight` and [`super::group_fits`].
const GROUP_BUDGET: usize = 128;

/// Measured beside etcd: one at a time loses a quarter, and more than two gain nothing;
/// the rest is for the way to an etcd elsewhere.
const GROUPS_IN_FLIGHT: usize = 4;

/// How many records one answer of a load holds.
const PAGE: i64 = 2000;

/// Decoded messages may be as large as etcd sends them (it stops at 2 GiB): one that
/// is refused here would be refused again on every attempt.
const MESSAGE_BYTES: usize = i32::MAX as usize;

#[derive(Clone)]
pub struct EtcdOptions {
    /// URLs; any of them will do.
    pub endpoints: Vec<String>,
    /// `/weft` keeps everything below `/weft/`.
    pub prefix: String,
    /// Name and password.
    pub user: Option<(String, String)>,
    pub tls: Option<EtcdTls>,
}

/// PEM files. They are read again for every connection, so they may be renewed.
#[derive(Debug, Clone)]
pub struct EtcdTls {
    /// Who signed the certificates of the servers.
    pub ca: PathBuf,
    /// What this client shows, where etcd asks for it.
    pub identity: Option<EtcdIdentity>,
}

#[derive(Debug, Clone)]
pub struct EtcdIdentity {
    pub cert: PathBuf,
    pub key: PathBuf,
}

pub struct Etcd {
    connection: Connection,
    prefix: Prefix,
    /// The cluster that the last load came from; 0: none yet.
    cluster: AtomicU64,
}

/// Everything below the prefix, as etcd has it.
struct All {
    cluster: u64,
    revision: Revision,
    records: Vec<KeyValue>,
}

impl Etcd {
    /// Checks the options. etcd itself is contacted by the first call, so that it may
    /// as well start later than the controller.
    pub fn connect(options: EtcdOptions) -> Result<Self, ConnectError> {
        let prefix = Prefix::new(&options.prefix);
        let connection = Connection::new(options, prefix.root())?;
        Ok(Self {
            connection,
            prefix,
            cluster: AtomicU64::new(0),
        })
    }

    /// Revision of an answer. That of another cluster (moved address, restored or
    /// wiped etcd) says nothing about the records that were loaded.
    fn revision(
        &self,
        what: &'static str,
        header: Option<&ResponseHeader>,
    ) -> Result<Revision, StoreError> {
        let unavailable = |reason: String| StoreError::Unavailable { what, reason };
        let header = header.ok_or_else(|| unavailable("the answer has no header".to_owned()))?;
        let expected = self.cluster.load(Ordering::Relaxed);
        if expected != 0 && header.cluster_id() != expected {
            return Err(unavailable(format!(
                "the endpoints now belong to cluster {:x}, the records were loaded from {expected:x}",
                header.cluster_id()
            )));
        }
        Ok(unsigned(header.revision()))
    }

    /// In pages, all at the revision of the first.
    async fn all(&self, what: &'static str) -> Result<All, StoreError> {
        let unavailable = |reason: &str| StoreError::Unavailable {
            what,
            reason: reason.to_owned(),
        };
        let mut records = Vec::new();
        let mut page = self.page(self.prefix.root().into(), 0).await?;
        let header = page.take_header();
        let header = header.ok_or_else(|| unavailable("the answer has no header"))?;
        let revision = unsigned(header.revision());
        loop {
            let more = page.more();
            records.extend(page.take_kvs());
            let Some(last) = records.last().filter(|_| more) else {
                break;
            };
            let mut next = last.key().to_vec();
            next.push(0);
            page = self.page(next, revision).await?;
            if page.header().map(ResponseHeader::cluster_id) != Some(header.cluster_id()) {
                return Err(unavailable("its pages came from different clusters"));
            }
        }
        Ok(All {
            cluster: header.cluster_id(),
            revision,
            records,
        })
    }

    async fn page(&self, from: Vec<u8>, at: Revision) -> Result<GetResponse, StoreError> {
        let options = GetOptions::new()
            .with_range(self.prefix.end())
            .with_limit(PAGE)
            .with_revision(signed(at));
        self.connection
            .call("a load", async |client| {
                let mut kv = client.kv_client().max_decoding_message_size(MESSAGE_BYTES);
                kv.get(from, Some(options)).await
            })
            .await
    }
}

impl fmt::Debug for Etcd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Etcd")
            .field("connection", &self.connection)
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for Etcd {
    fn describe(&self) -> String {
        let endpoints = self.connection.endpoints().join(",");
        format!("etcd {endpoints}, keys below {}", self.prefix.root())
    }

    fn group_budget(&self) -> usize {
        GROUP_BUDGET
    }

    fn groups_in_flight(&self) -> usize {
        GROUPS_IN_FLIGHT
    }

    async fn load(&self) -> Result<Loaded, StoreError> {
        let all = self.all("a load").await?;
        let entry = |record: &KeyValue| {
            let key = self.prefix.strip(record.key())?;
            Some(Entry {
                key,
                value: record.value().to_vec(),
                revision: unsigned(record.mod_revision()),
            })
        };
        let entries: Vec<Entry> = all.records.iter().filter_map(entry).collect();
        carry::check_open(&entries)?;
        self.cluster.store(all.cluster, Ordering::Relaxed);
        Ok(Loaded {
            cluster: format!("{:x}", all.cluster),
            revision: all.revision,
            entries,
        })
    }

    async fn head(&self) -> Result<Revision, StoreError> {
        let what = "a read of its revision";
        let answer = self
            .connection
            .call(what, async |client| {
                client.kv_client().get(self.prefix.root(), None).await
            })
            .await?;
        self.revision(what, answer.header())
    }

    async fn commit(&self, group: Vec<Transaction>) -> Result<Committed, StoreError> {
        let what = "a commit";
        let txn = group::build(&self.prefix, group);
        let answer = self
            .connection
            .call(what, async |client| client.kv_client().txn(txn).await)
            .await?;
        Ok(Committed {
            revision: self.revision(what, answer.header())?,
            held: group::outcome(&answer),
        })
    }

    async fn watch(&self, after: Revision) -> Result<mpsc::Receiver<WatchEvent>, StoreError> {
        watch::open(self, after).await
    }

    async fn grant(&self, ttl: Duration) -> Result<TtlId, StoreError> {
        let what = "a grant";
        let whole_seconds = ttl.as_millis().div_ceil(1000).max(1);
        let seconds = i64::try_from(whole_seconds).unwrap_or(i64::MAX);
        let answer = self
            .connection
            .call(what, async |client| {
                client.lease_client().grant(seconds, None).await
            })
            .await?;
        self.revision(what, answer.header())?;
        Ok(TtlId(answer.id()))
    }

    async fn keep_alive(&self, ttl: TtlId) -> Result<KeptAlive, StoreError> {
        self.connection
            .call("a keepalive", async |client| {
                match client.lease_client().keep_alive(ttl.0).await {
                    Ok(_) => Ok(KeptAlive::Alive),
                    Err(error) if error::ttl_is_gone(&error) => Ok(KeptAlive::Gone),
                    Err(error) => Err(error),
                }
            })
            .await
    }

    async fn revoke(&self, ttl: TtlId) -> Result<(), StoreError> {
        self.connection
            .call("a revoke", async |client| {
                match client.lease_client().revoke(ttl.0).await {
                    Ok(_) => Ok(()),
                    Err(error) if error::ttl_is_gone(&error) => Ok(()),
                    Err(error) => Err(error),
                }
            })
            .await
    }
}

/// etcd counts in i64 and from 1.
fn unsigned(revision: i64) -> Revision {
    Revision::try_from(revision).unwrap_or(0)
}

fn signed(revision: Revision) -> i64 {
    i64::try_from(revision).unwrap_or(i64::MAX)
}
