//! The last revisions, for a watch that resumes, and the watches under way.

use std::collections::VecDeque;

use overlay::txn::Revision;
use tokio::sync::mpsc;

use crate::store::{Batch, StoreError, WatchEvent};

/// A watch that resumes is seconds behind, not hours; what is older is loaded.
const KEPT_REVISIONS: usize = 16_384;
const KEPT_BYTES: usize = 16 << 20;

/// How many revisions a reader may fall behind before its watch is given up.
const SLACK: usize = 4096;

#[derive(Debug)]
pub struct History {
    batches: VecDeque<Batch>,
    bytes: usize,
    /// The newest revision that is not kept; a watch may start after it.
    floor: Revision,
    watches: Vec<Watch>,
}

#[derive(Debug)]
struct Watch {
    events: mpsc::Sender<WatchEvent>,
    /// Room for the last word, which a full channel must not swallow.
    last_word: mpsc::OwnedPermit<WatchEvent>,
}

impl History {
    pub fn new(floor: Revision) -> Self {
        Self {
            batches: VecDeque::new(),
            bytes: 0,
            floor,
            watches: Vec::new(),
        }
    }

    pub fn watch(&mut self, after: Revision) -> mpsc::Receiver<WatchEvent> {
        let newest = self.batches.back().map_or(self.floor, |b| b.revision);
        if after < self.floor || after > newest {
            // Newer than anything here: it was read from another file, so what
            // happened since cannot be told.
            let (events, receiver) = mpsc::channel(1);
            send(&events, WatchEvent::Compacted);
            return receiver;
        }
        let start = self.batches.partition_point(|b| b.revision <= after);
        let backlog = self.batches.range(start..);
        let (events, receiver) = mpsc::channel(backlog.len() + SLACK + 1);
        for batch in backlog {
            send(&events, WatchEvent::Batch(batch.clone()));
        }
        if let Ok(last_word) = events.clone().try_reserve_owned() {
            self.watches.push(Watch { events, last_word });
        }
        receiver
    }

    pub fn publish(&mut self, batch: Batch) {
        self.watches = std::mem::take(&mut self.watches)
            .into_iter()
            .filter_map(|watch| watch.tell(&batch))
            .collect();
        self.bytes += size(&batch);
        self.batches.push_back(batch);
        while self.bytes > KEPT_BYTES || self.batches.len() > KEPT_REVISIONS {
            let Some(oldest) = self.batches.pop_front() else {
                break;
            };
            self.bytes -= size(&oldest);
            self.floor = oldest.revision;
        }
    }

    /// Ends every watch, with the reason.
    pub fn lose(self, reason: &str) {
        for watch in self.watches {
            watch.lose(reason.to_owned());
        }
    }
}

impl Watch {
    fn tell(self, batch: &Batch) -> Option<Self> {
        match self.events.try_send(WatchEvent::Batch(batch.clone())) {
            Ok(()) => Some(self),
            Err(mpsc::error::TrySendError::Closed(_)) => None,
            Err(mpsc::error::TrySendError::Full(_)) => {
                self.lose(format!("its reader is over {SLACK} revisions behind"));
                None
            }
        }
    }

    fn lose(self, reason: String) {
        let what = "a watch";
        self.last_word
            .send(WatchEvent::Lost(StoreError::Unavailable { what, reason }));
    }
}

/// Into a channel that was made with room for it and whose reader is still here.
fn send(events: &mpsc::Sender<WatchEvent>, event: WatchEvent) {
    let sent = events.try_send(event);
    debug_assert!(sent.is_ok(), "the channel has room for its backlog");
}

fn size(batch: &Batch) -> usize {
    let change = |(key, value): &(String, Option<Vec<u8>>)| {
        key.len() + value.as_ref().map_or(0, Vec::len) + size_of::<(String, Option<Vec<u8>>)>()
    };
    batch.changes.iter().map(change).sum()
}
