//! The way to an agent through its session: what is asked of it, and its answers.

use std::collections::BTreeMap;

use overlay::afar::LONGEST_ANSWER;
use proto::v1;
use thiserror::Error;
use tokio::sync::oneshot;

use crate::session::Output;

/// Questions to one agent that are under way.
const MOST: usize = 8;

/// One for each session is many: nothing is kept here while nothing is asked.
#[derive(Debug)]
pub struct Line {
    output: Output,
    last: u64,
    under_way: BTreeMap<u64, Asked>,
}

#[derive(Debug)]
struct Asked {
    /// The parts that are here.
    body: Vec<u8>,
    reply: oneshot::Sender<Result<v1::AskResponse, LineError>>,
}

/// A question that is to be put into the stream, and where its answer comes. If that
/// is closed, the session is over.
#[derive(Debug)]
pub struct Asking {
    pub id: u64,
    pub output: Output,
    pub answer: oneshot::Receiver<Result<v1::AskResponse, LineError>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum LineError {
    #[error("{MOST} questions to it are under way already; ask again when they are answered")]
    Busy,
    #[error("its answer is longer than {} MB", LONGEST_ANSWER >> 20)]
    TooLong,
}

impl Line {
    pub fn new(output: Output) -> Self {
        Self {
            output,
            last: 0,
            under_way: BTreeMap::new(),
        }
    }

    pub fn ask(&mut self) -> Result<Asking, LineError> {
        self.under_way.retain(|_, asked| !asked.reply.is_closed());
        if self.under_way.len() >= MOST {
            return Err(LineError::Busy);
        }
        let (reply, answer) = oneshot::channel();
        let body = Vec::new();
        self.last += 1;
        self.under_way.insert(self.last, Asked { body, reply });
        Ok(Asking {
            id: self.last,
            output: self.output.clone(),
            answer,
        })
    }

    /// Takes in a part of an answer. One for which nobody waits any more is dropped.
    pub fn hear(&mut self, answer: &v1::Answer) {
        let Some(mut asked) = self.under_way.remove(&answer.id) else {
            return;
        };
        if asked.body.len() + answer.body.len() > LONGEST_ANSWER {
            asked.reply(Err(LineError::TooLong));
            return;
        }
        asked.body.extend_from_slice(&answer.body);
        if answer.last {
            let body = std::mem::take(&mut asked.body).into();
            let status = answer.status;
            asked.reply(Ok(v1::AskResponse { status, body }));
        } else if !asked.reply.is_closed() {
            self.under_way.insert(answer.id, asked);
        }
    }
}

impl Asked {
    fn reply(self, answer: Result<v1::AskResponse, LineError>) {
        // Who asked has gone meanwhile.
        let _ = self.reply.send(answer);
    }
}
