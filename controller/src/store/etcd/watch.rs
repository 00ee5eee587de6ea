//! One watch on everything below the prefix: with two, a transaction would arrive
//! in two halves.
//!
//! etcd never splits a revision over two answers unless it is asked for fragments.
//! It is not: fragments only help a reader that limits the size of a message.

use etcd_client::{Client, Event, EventType, WatchOptions, WatchResponse, WatchStream};
use overlay::txn::Revision;
use tokio::sync::mpsc;

use super::{Etcd, MESSAGE_BYTES, carry, error, prefix::Prefix, signed, unsigned};
use crate::store::{Batch, Store, StoreError, WatchEvent};

const WHAT: &str = "a watch";

/// What is read ahead; beyond it etcd is left to wait.
const READ_AHEAD: usize = 256;

struct Watch {
    stream: WatchStream,
    prefix: Prefix,
    cluster: u64,
    events: mpsc::Sender<WatchEvent>,
    /// The connection lives at least as long as what runs over it.
    _client: Client,
}

pub async fn open(etcd: &Etcd, after: Revision) -> Result<mpsc::Receiver<WatchEvent>, StoreError> {
    let root = etcd.prefix.root();
    let options = WatchOptions::new()
        .with_range(etcd.prefix.end())
        .with_start_revision(signed(after.saturating_add(1)));
    let (client, stream, first) = etcd
        .connection
        .call(WHAT, async |client| {
            let mut watches = client
                .watch_client()
                .max_decoding_message_size(MESSAGE_BYTES);
            let mut stream = watches.watch(root, Some(options)).await?;
            let first = stream.message().await?;
            Ok((client, stream, first))
        })
        .await?;
    let first = first.ok_or_else(|| lost("etcd closed it at once"))?;
    let header = first.header();
    let cluster = header.map_or(0, |header| header.cluster_id());
    let newest = etcd.revision(WHAT, header);
    let (events, receiver) = mpsc::channel(READ_AHEAD);
    if let Err(error) = still_ours(etcd, newest, after).await {
        // The receiver takes it from the channel, which has room for one.
        drop(events.try_send(WatchEvent::Lost(error)));
        return Ok(receiver);
    }
    let watch = Watch {
        stream,
        prefix: etcd.prefix.clone(),
        cluster,
        events,
        _client: client,
    };
    // It ends with its reader, and should it die, its reader sees the channel end.
    tokio::spawn(watch.run(first));
    Ok(receiver)
}

/// A wiped etcd has the same cluster id when it starts again with the same flags, but
/// its history is shorter. A member that is merely behind is not mistaken for that.
async fn still_ours(
    etcd: &Etcd,
    newest: Result<Revision, StoreError>,
    after: Revision,
) -> Result<(), StoreError> {
    if newest? >= after || etcd.head().await? >= after {
        return Ok(());
    }
    Err(lost("etcd's history is shorter than it was"))
}

impl Watch {
    /// Until the reader is gone or there is nothing more to tell.
    async fn run(mut self, first: WatchResponse) {
        let mut answer = Ok(Some(first));
        loop {
            let told = match answer {
                Ok(Some(answer)) => self.read(&answer),
                Ok(None) => Err(WatchEvent::Lost(lost("etcd closed it"))),
                Err(error) => Err(WatchEvent::Lost(lost(&error::reason(&error)))),
            };
            match told {
                Ok(batches) => {
                    for batch in batches {
                        if self.events.send(WatchEvent::Batch(batch)).await.is_err() {
                            return;
                        }
                    }
                }
                Err(end) => {
                    // A reader that is gone needs no last word.
                    drop(self.events.send(end).await);
                    return;
                }
            }
            // Cancel-safe: neither takes anything from its channel before it is ready.
            answer = tokio::select! {
                () = self.events.closed() => return,
                answer = self.stream.message() => answer,
            };
        }
    }

    fn read(&self, answer: &WatchResponse) -> Result<Vec<Batch>, WatchEvent> {
        if answer.compact_revision() > 0 {
            return Err(WatchEvent::Compacted);
        }
        if answer.canceled() {
            return Err(WatchEvent::Lost(lost(answer.cancel_reason())));
        }
        let cluster = answer.header().map_or(0, |header| header.cluster_id());
        if cluster != self.cluster {
            return Err(WatchEvent::Lost(lost("it came to another cluster")));
        }
        let batches = batches(&self.prefix, answer.events());
        let mut changes = batches.iter().flat_map(|batch| &batch.changes);
        if changes.any(|(key, value)| key == carry::STANDING && value.is_some()) {
            // What it says is found by the load that follows.
            return Err(WatchEvent::Lost(lost("the store was closed")));
        }
        Ok(batches)
    }
}

fn batches(prefix: &Prefix, events: &[Event]) -> Vec<Batch> {
    let mut batches: Vec<Batch> = Vec::new();
    for event in events {
        let Some(record) = event.kv() else { continue };
        let Some(key) = prefix.strip(record.key()) else {
            continue;
        };
        let change = match event.event_type() {
            EventType::Put => (key, Some(record.value().to_vec())),
            EventType::Delete => (key, None),
        };
        let revision = unsigned(record.mod_revision());
        match batches.last_mut() {
            Some(batch) if batch.revision == revision => batch.changes.push(change),
            _ => batches.push(Batch {
                revision,
                changes: vec![change],
            }),
        }
    }
    batches
}

fn lost(reason: &str) -> StoreError {
    StoreError::Unavailable {
        what: WHAT,
        reason: reason.to_owned(),
    }
}
