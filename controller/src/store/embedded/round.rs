//! A round: the commands that are served by one write to the disk.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use overlay::txn::{Revision, TtlId};
use tokio::sync::{mpsc, oneshot};

use super::{
    file::{Changes, File, Snapshot},
    history::History,
    state::{Request, State},
};
use crate::store::{Batch, Committed, KeptAlive, WatchEvent};

pub type Reply<T> = oneshot::Sender<Result<T, Failure>>;

#[derive(Debug)]
pub enum Failure {
    Refused(String),
    Unavailable(String),
}

pub enum Command {
    Commit {
        group: Vec<Request>,
        reply: Reply<Committed>,
    },
    Grant {
        ttl: Duration,
        reply: Reply<TtlId>,
    },
    KeepAlive {
        ttl: TtlId,
        reply: Reply<KeptAlive>,
    },
    Revoke {
        ttl: TtlId,
        reply: Reply<()>,
    },
    Head(Reply<Revision>),
    Load(Reply<Snapshot>),
    Watch {
        after: Revision,
        reply: Reply<mpsc::Receiver<WatchEvent>>,
    },
}

#[derive(Default)]
pub struct Round {
    batches: Vec<Batch>,
    granted: Vec<(TtlId, Duration)>,
    ended: Vec<TtlId>,
    /// Held back until all of the above is on disk, also those that only read.
    answers: Vec<Answer>,
    weight: usize,
}

enum Answer {
    Committed(Reply<Committed>, Committed),
    Granted(Reply<TtlId>, TtlId),
    KeptAlive(Reply<KeptAlive>, KeptAlive),
    Revoked(Reply<()>),
    Head(Reply<Revision>),
    Load(Reply<Snapshot>),
    Watch(Reply<mpsc::Receiver<WatchEvent>>, Revision),
}

impl Round {
    /// How much there is to do.
    pub fn weight(&self) -> usize {
        self.weight
    }

    pub fn take(&mut self, command: Command, state: &mut State, now: Instant) {
        self.weight += 1;
        let answer = match command {
            Command::Commit { group, reply } => {
                let held = match state.judge(&group) {
                    Ok(held) => held,
                    Err(reason) => return answer(reply, Err(Failure::Refused(reason))),
                };
                self.changed(state.apply(group, &held));
                let revision = state.revision();
                Answer::Committed(reply, Committed { revision, held })
            }
            Command::Grant { ttl, reply } => {
                let id = state.grant(ttl, now);
                self.granted.push((id, ttl));
                Answer::Granted(reply, id)
            }
            Command::KeepAlive { ttl, reply } => {
                Answer::KeptAlive(reply, state.ttls_mut().renew(ttl, now))
            }
            Command::Revoke { ttl, reply } => {
                self.end(ttl, state);
                Answer::Revoked(reply)
            }
            Command::Head(reply) => Answer::Head(reply),
            Command::Load(reply) => Answer::Load(reply),
            Command::Watch { after, reply } => Answer::Watch(reply, after),
        };
        self.answers.push(answer);
    }

    /// Ends the ttls nobody kept alive, each as a revision of its own.
    pub fn expire(&mut self, state: &mut State, now: Instant) {
        while let Some(ttl) = state.ttls().overdue(now) {
            self.end(ttl, state);
        }
    }

    /// Whether there was anything to write.
    pub fn write(&self, file: &File, state: &State) -> Result<bool, redb::Error> {
        if self.batches.is_empty() && self.granted.is_empty() && self.ended.is_empty() {
            return Ok(false);
        }
        let mut records = BTreeMap::new();
        for (key, value) in self.batches.iter().flat_map(|batch| &batch.changes) {
            // The slot is that of the last change, which is also the last one here.
            let record = state.slot(key).zip(value.as_deref());
            records.insert(key.as_str(), record);
        }
        file.write(&Changes {
            revision: state.revision(),
            records,
            granted: &self.granted,
            ended: &self.ended,
        })?;
        Ok(true)
    }

    /// It is on disk: shows it to the watches, then answers.
    pub fn finish(self, file: &File, state: &State, history: &mut History) {
        for batch in self.batches {
            history.publish(batch);
        }
        for held_back in self.answers {
            match held_back {
                Answer::Committed(reply, committed) => answer(reply, Ok(committed)),
                Answer::Granted(reply, ttl) => answer(reply, Ok(ttl)),
                Answer::KeptAlive(reply, kept) => answer(reply, Ok(kept)),
                Answer::Revoked(reply) => answer(reply, Ok(())),
                Answer::Head(reply) => answer(reply, Ok(state.revision())),
                Answer::Load(reply) => {
                    let failed = |error: redb::Error| Failure::Unavailable(error.to_string());
                    answer(reply, file.snapshot().map_err(failed));
                }
                Answer::Watch(reply, after) => answer(reply, Ok(history.watch(after))),
            }
        }
    }

    /// Whether it is on disk is not known.
    pub fn fail(self, reason: &str) {
        for held_back in self.answers {
            match held_back {
                Answer::Committed(reply, _) => unavailable(reply, reason),
                Answer::Granted(reply, _) => unavailable(reply, reason),
                Answer::KeptAlive(reply, _) => unavailable(reply, reason),
                Answer::Revoked(reply) => unavailable(reply, reason),
                Answer::Head(reply) => unavailable(reply, reason),
                Answer::Load(reply) => unavailable(reply, reason),
                Answer::Watch(reply, _) => unavailable(reply, reason),
            }
        }
    }

    fn end(&mut self, ttl: TtlId, state: &mut State) {
        if state.ttls().lives(ttl) {
            self.changed(state.end(ttl));
            self.ended.push(ttl);
        }
    }

    fn changed(&mut self, batch: Option<Batch>) {
        if let Some(batch) = batch {
            self.weight += batch.changes.len();
            self.batches.push(batch);
        }
    }
}

impl Command {
    /// There is no file to serve it from.
    pub fn fail(self, reason: &str) {
        match self {
            Self::Commit { reply, .. } => unavailable(reply, reason),
            Self::Grant { reply, .. } => unavailable(reply, reason),
            Self::KeepAlive { reply, .. } => unavailable(reply, reason),
            Self::Revoke { reply, .. } => unavailable(reply, reason),
            Self::Head(reply) => unavailable(reply, reason),
            Self::Load(reply) => unavailable(reply, reason),
            Self::Watch { reply, .. } => unavailable(reply, reason),
        }
    }
}

fn unavailable<T>(reply: Reply<T>, reason: &str) {
    answer(reply, Err(Failure::Unavailable(reason.to_owned())));
}

fn answer<T>(reply: Reply<T>, result: Result<T, Failure>) {
    // Whoever asked may have stopped waiting.
    drop(reply.send(result));
}
