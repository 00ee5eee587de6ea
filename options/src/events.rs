//! Keeps what a daemon logs at `info` and above: what happened. The log's filter and format
//! play no part in it.
//!
//! A thread has the events, in memory and in a file. Whoever logs hands them over and never
//! waits: if there are more than the thread can take, some are lost, and counted.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TrySendError},
    },
    thread,
    time::Duration,
};

use overlay::{
    event::{Event, Level, Ring, Wish},
    time::WallMs,
};
use tokio::sync::oneshot;
use tracing::{Subscriber, info, warn};
use tracing_subscriber::{Layer, filter::LevelFilter, registry::LookupSpan};

use crate::{clock, sentence};
pub use file::FILES;
use file::File;
use recorder::Recorder;

mod file;
mod recorder;

/// Words on their way to the thread.
const BACKLOG: usize = 4096;
/// A file that could not be written is tried again after this, if nothing happens before.
const AGAIN: Duration = Duration::from_secs(10);
/// A disk that hangs does not keep a daemon from its end.
const END_WITHIN: Duration = Duration::from_secs(1);
/// The thread has a few words to say.
const STACK: usize = 256 << 10;

#[derive(Debug, Clone)]
pub struct Events {
    words: SyncSender<Word>,
    lost: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Word {
    Happened(Happened),
    Keep(PathBuf),
    Tell(Wish, oneshot::Sender<Vec<Event>>),
    End(SyncSender<()>),
}

#[derive(Debug)]
struct Happened {
    at: WallMs,
    level: Level,
    what: String,
    fields: BTreeMap<String, String>,
}

impl Events {
    /// In memory alone, in this many bytes.
    pub fn new(room: usize) -> io::Result<Self> {
        let (words, heard) = mpsc::sync_channel(BACKLOG);
        let lost = Arc::new(AtomicU64::new(0));
        let keeper = Keeper {
            ring: Ring::new(room),
            room,
            lost: lost.clone(),
            file: None,
        };
        let thread = thread::Builder::new().name("events".into());
        thread.stack_size(STACK).spawn(move || keeper.run(&heard))?;
        Ok(Self { words, lost })
    }

    /// From here on in a file in this directory as well; those that it holds come back.
    pub fn keep_in(&self, directory: &Path) {
        // The queue has room while a daemon starts; if not, the next start keeps them.
        let _ = self.words.try_send(Word::Keep(directory.into()));
    }

    /// What hands over all that is logged.
    pub(crate) fn layer<S>(&self) -> impl Layer<S> + Send + Sync + 'static
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        Recorder(self.clone()).with_filter(LevelFilter::INFO)
    }

    /// None: it is busy, or has ended.
    pub async fn wished(&self, wish: Wish) -> Option<Vec<Event>> {
        let (reply, answer) = oneshot::channel();
        self.words.try_send(Word::Tell(wish, reply)).ok()?;
        answer.await.ok()
    }

    /// Something that is told otherwise than in the log.
    pub fn add(&self, level: Level, what: &str, fields: BTreeMap<String, String>) {
        self.hand(Happened {
            at: WallMs(clock::now_ms()),
            level,
            what: what.into(),
            fields,
        });
    }

    /// Waits until everything is written, if that is soon.
    pub fn end(&self) {
        let (done, waiting) = mpsc::sync_channel(1);
        if self.words.try_send(Word::End(done)).is_ok() {
            let _ = waiting.recv_timeout(END_WITHIN);
        }
    }

    fn hand(&self, happened: Happened) {
        if let Err(TrySendError::Full(_)) = self.words.try_send(Word::Happened(happened)) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

struct Keeper {
    ring: Ring,
    room: usize,
    lost: Arc<AtomicU64>,
    file: Option<Kept>,
}

struct Kept {
    file: File,
    /// The number of the last one that is in it.
    written: u64,
    failed: bool,
}

impl Keeper {
    fn run(mut self, words: &Receiver<Word>) {
        loop {
            let owes = self.file.as_ref().is_some_and(|kept| kept.failed);
            let heard = match owes {
                true => words.recv_timeout(AGAIN),
                false => words.recv().map_err(RecvTimeoutError::from),
            };
            let mut end = match heard {
                Ok(word) => self.hear(word),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            // What came together is written together.
            for word in words.try_iter().take(BACKLOG) {
                end = end.or(self.hear(word));
            }
            self.write();
            if let Some(done) = end {
                // The next may have it.
                self.file = None;
                // Whoever asked may wait no longer.
                let _ = done.try_send(());
                return;
            }
        }
    }

    /// Who waits for the end, if that was the word.
    fn hear(&mut self, word: Word) -> Option<SyncSender<()>> {
        match word {
            Word::Happened(Happened {
                at,
                level,
                what,
                fields,
            }) => self.ring.add(at, level, what, fields),
            Word::Keep(directory) => self.keep(&directory),
            Word::Tell(wish, reply) => {
                self.ring.forget(WallMs(clock::now_ms()));
                // Whoever asked may have gone.
                let _ = reply.send(self.ring.wished(&wish));
            }
            Word::End(done) => return Some(done),
        }
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let fields = BTreeMap::from([("lost".to_owned(), lost.to_string())]);
            let what = "more happened at once than could be kept".into();
            self.ring
                .add(WallMs(clock::now_ms()), Level::Warn, what, fields);
        }
        None
    }

    fn keep(&mut self, directory: &Path) {
        let room = u64::try_from(self.room).unwrap_or(u64::MAX);
        match File::open(directory, room) {
            Ok((file, before)) => {
                let written = before.iter().map(|event| event.seq).max().unwrap_or(0);
                self.ring.restore(before);
                self.ring.forget(WallMs(clock::now_ms()));
                self.file = Some(Kept {
                    file,
                    written,
                    failed: false,
                });
            }
            Err(error) => {
                let directory = directory.display();
                warn!(%directory, error = sentence(&error), "what happens is kept in memory alone");
            }
        }
    }

    fn write(&mut self) {
        let Some(kept) = &mut self.file else { return };
        let owed = self.ring.after(kept.written);
        match kept.file.add(owed) {
            Ok(None) => {}
            Ok(Some(last)) => {
                kept.written = last;
                if std::mem::take(&mut kept.failed) {
                    info!("what happens is on disk again");
                }
            }
            // Said once, and written with the next that works.
            Err(_) if kept.failed => {}
            Err(error) => {
                kept.failed = true;
                warn!(error = sentence(&error), "what happens is not on disk");
            }
        }
    }
}

#[cfg(test)]
mod tests;
