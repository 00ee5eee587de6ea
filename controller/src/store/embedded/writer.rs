//! The thread that owns the store: it gathers the commands that wait, writes what
//! they change with one fsync, and answers.
//!
//! After a failed write nothing in memory is trusted: the file is opened again and
//! read, as after a restart. Until that works, every command is answered with why.

use std::{
    error::Error,
    io,
    path::PathBuf,
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::{error, info};

use super::{
    file::{Contents, File},
    history::History,
    round::{Command, Round},
    state::State,
};

/// How many commands may wait; a caller beyond that waits to hand its own over.
const QUEUE: usize = 1024;
/// How much one write may gather, so that the first in it does not wait for long.
const ROUND_WEIGHT: usize = 8192;
/// How soon a file that failed is tried again.
const RETRY: Duration = Duration::from_millis(250);

/// The handle. Dropping it waits until what was handed over is on disk and the file
/// is closed, so that it can be opened again at once.
pub struct Writer {
    /// None only while it is being dropped.
    queue: Option<Sender<Queued>>,
    room: Arc<Semaphore>,
    thread: Option<JoinHandle<()>>,
}

struct Queued {
    command: Command,
    _room: OwnedSemaphorePermit,
}

struct Owner {
    path: PathBuf,
    open: Result<Open, Broken>,
    /// Since something was last written; told once when it begins and when it ends.
    failures: u64,
}

struct Open {
    file: File,
    state: State,
    history: History,
}

struct Broken {
    reason: String,
    retry: Instant,
}

impl Writer {
    pub fn start(path: PathBuf, file: File, contents: Contents) -> io::Result<Self> {
        let (queue, commands) = channel();
        let owner = Owner {
            path,
            open: Ok(Open::new(file, contents)),
            failures: 0,
        };
        let thread = std::thread::Builder::new()
            .name("store".to_owned())
            .spawn(move || owner.run(&commands))?;
        Ok(Self {
            queue: Some(queue),
            room: Arc::new(Semaphore::new(QUEUE)),
            thread: Some(thread),
        })
    }

    /// A command that cannot be handed over is dropped, and its reply with it.
    pub async fn send(&self, command: Command) {
        let room = Arc::clone(&self.room);
        if let (Ok(room), Some(queue)) = (room.acquire_owned().await, &self.queue) {
            drop(queue.send(Queued {
                command,
                _room: room,
            }));
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            error!("the store's writer panicked");
        }
    }
}

impl Owner {
    /// Until the handle is dropped.
    fn run(mut self, commands: &Receiver<Queued>) {
        loop {
            let first = match commands.recv_timeout(self.patience()) {
                Ok(queued) => Some(queued.command),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            self.serve(first, commands);
        }
    }

    fn patience(&self) -> Duration {
        let now = Instant::now();
        match &self.open {
            Ok(open) => match open.state.ttls().next_deadline() {
                Some(deadline) => deadline.saturating_duration_since(now),
                None => Duration::MAX,
            },
            Err(broken) => broken.retry.saturating_duration_since(now),
        }
    }

    fn serve(&mut self, first: Option<Command>, commands: &Receiver<Queued>) {
        self.repair();
        let waiting = first.into_iter().chain(std::iter::from_fn(|| {
            Some(commands.try_recv().ok()?.command)
        }));
        match &mut self.open {
            Ok(open) => match open.round(waiting) {
                Ok(wrote) => self.worked(wrote),
                Err(error) => self.give_up(&error),
            },
            Err(broken) => waiting.for_each(|command| command.fail(&broken.reason)),
        }
    }

    fn worked(&mut self, wrote: bool) {
        if wrote && self.failures > 0 {
            info!(store = %self.path.display(), failures = self.failures, "the store's file works again");
            self.failures = 0;
        }
    }

    fn give_up(&mut self, failure: &redb::Error) {
        let reason = format!("{} failed: {failure}", self.path.display());
        if self.failures == 0 {
            error!(store = %self.path.display(), error = %failure, "the store's file failed");
        }
        self.failures += 1;
        let broken = Broken {
            reason: reason.clone(),
            retry: Instant::now() + RETRY,
        };
        if let Ok(open) = std::mem::replace(&mut self.open, Err(broken)) {
            open.history.lose(&reason);
        }
    }

    fn repair(&mut self) {
        let Err(broken) = &mut self.open else { return };
        if Instant::now() < broken.retry {
            return;
        }
        match File::reopen(&self.path) {
            Ok((file, contents)) => self.open = Ok(Open::new(file, contents)),
            Err(error) => {
                broken.reason = match error.source() {
                    Some(source) => format!("{error}: {source}"),
                    None => error.to_string(),
                };
                broken.retry = Instant::now() + RETRY;
            }
        }
    }
}

impl Open {
    fn new(file: File, contents: Contents) -> Self {
        let history = History::new(contents.revision);
        Self {
            file,
            state: State::new(contents, Instant::now()),
            history,
        }
    }

    /// One write for as many commands as wait, up to a limit; whether there was
    /// anything to write.
    fn round(&mut self, waiting: impl Iterator<Item = Command>) -> Result<bool, redb::Error> {
        let mut round = Round::default();
        for command in waiting {
            round.take(command, &mut self.state, Instant::now());
            if round.weight() >= ROUND_WEIGHT {
                break;
            }
        }
        // Last, so that a keepalive that waited while this thread stood still counts.
        round.expire(&mut self.state, Instant::now());
        match round.write(&self.file, &self.state) {
            Ok(wrote) => {
                round.finish(&self.file, &self.state, &mut self.history);
                Ok(wrote)
            }
            Err(error) => {
                round.fail(&error.to_string());
                Err(error)
            }
        }
    }
}
