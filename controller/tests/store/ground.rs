//! A fresh store and what a test does to it from outside.

use std::{future::Future, time::Duration};

use anyhow::{Context, Result, bail};
use controller::store::{
    Batch, Committed, Store, StoreError, WatchEvent,
    embedded::Embedded,
    etcd::{Etcd, EtcdOptions},
};
use overlay::{
    key::Key,
    txn::{Revision, Transaction, TtlId},
};
use tempfile::TempDir;
use tokio::sync::mpsc::Receiver;

use crate::value::Value;

/// Far more than anything here takes.
const DEADLINE: Duration = Duration::from_secs(30);

pub struct Ground {
    pub store: Box<dyn Store>,
    below: Below,
}

enum Below {
    Value(Value),
    File { _directory: TempDir },
    Server(tests::etcd::Etcd),
}

impl Ground {
    pub fn embedded() -> Result<Self> {
        let directory = TempDir::new()?;
        Ok(Self {
            store: Box::new(Embedded::open(directory.path().join("store.redb"))?),
            below: Below::File {
                _directory: directory,
            },
        })
    }

    pub fn etcd() -> Result<Self> {
        let server = tests::etcd::Etcd::start()?;
        Ok(Self {
            store: Box::new(connect(&server)?),
            below: Below::Server(server),
        })
    }

    /// The store of the runs in virtual time.
    pub fn value() -> Result<Self> {
        let value = Value::start();
        Ok(Self {
            store: Box::new(value.clone()),
            below: Below::Value(value),
        })
    }

    /// Makes the store forget the revisions before its head.
    pub async fn forget(&self) -> Result<()> {
        match &self.below {
            Below::Value(value) => {
                value.compact();
                Ok(())
            }
            Below::Server(server) => server.compact(),
            Below::File { .. } => {
                // It keeps 16 MiB.
                for _ in 0..20 {
                    commit(self.store(), [put(&key("filler"), vec![0; 1 << 20])]).await?;
                }
                Ok(())
            }
        }
    }

    pub fn store(&self) -> &dyn Store {
        self.store.as_ref()
    }
}

pub fn connect(server: &tests::etcd::Etcd) -> Result<Etcd> {
    Ok(Etcd::connect(options(server))?)
}

pub fn options(server: &tests::etcd::Etcd) -> EtcdOptions {
    EtcdOptions {
        endpoints: vec![server.endpoint()],
        prefix: "/weft".to_owned(),
        user: None,
        tls: None,
    }
}

pub fn key(name: &str) -> Key {
    Key::Node(name.parse().expect("a good name"))
}

pub fn put(key: &Key, value: impl Into<Vec<u8>>) -> Transaction {
    let mut txn = Transaction::default();
    txn.put(key.clone(), value.into());
    txn
}

pub fn put_with_ttl(key: &Key, ttl: TtlId) -> Transaction {
    let mut txn = Transaction::default();
    txn.put_with_ttl(key.clone(), b"short-lived".to_vec(), ttl);
    txn
}

pub fn delete(key: &Key) -> Transaction {
    let mut txn = Transaction::default();
    txn.delete(key.clone());
    txn
}

pub fn create(key: &Key, value: &str) -> Transaction {
    expecting(key, 0, put(key, value))
}

pub fn expecting(key: &Key, revision: Revision, mut txn: Transaction) -> Transaction {
    txn.expect(key.clone(), revision);
    txn
}

pub async fn commit(
    store: &dyn Store,
    group: impl IntoIterator<Item = Transaction>,
) -> Result<Committed> {
    let group: Vec<Transaction> = group.into_iter().collect();
    Ok(within("commit", store.commit(group)).await??)
}

/// The reason for which the store applied nothing.
pub async fn refused(store: &dyn Store, group: Vec<Transaction>) -> Result<String> {
    match within("commit", store.commit(group)).await? {
        Err(StoreError::Refused { reason, .. }) => Ok(reason),
        other => bail!("not refused: {other:?}"),
    }
}

/// Key and value of everything, as text.
pub async fn contents(store: &dyn Store) -> Result<Vec<(String, String)>> {
    let loaded = within("load", store.load()).await??;
    let entries = loaded.entries.into_iter();
    Ok(entries
        .map(|entry| {
            (
                entry.key,
                String::from_utf8_lossy(&entry.value).into_owned(),
            )
        })
        .collect())
}

pub async fn batch(events: &mut Receiver<WatchEvent>) -> Result<Batch> {
    match event(events).await? {
        WatchEvent::Batch(batch) => Ok(batch),
        other => bail!("not a batch: {other:?}"),
    }
}

pub async fn event(events: &mut Receiver<WatchEvent>) -> Result<WatchEvent> {
    let event = within("the next event", events.recv()).await?;
    event.context("the watch ended without a word")
}

/// Until it holds; what it last said is the error of one that never does.
pub async fn eventually<T, F>(what: &str, mut attempt: impl FnMut() -> F) -> Result<T>
where
    F: Future<Output = Result<T>>,
{
    let start = tokio::time::Instant::now();
    loop {
        let error = match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        if start.elapsed() > DEADLINE {
            return Err(error.context(format!("{what}: still not after {DEADLINE:?}")));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> Result<T> {
    tokio::time::timeout(DEADLINE, future)
        .await
        .with_context(|| format!("{what}: still not after {DEADLINE:?}"))
}
