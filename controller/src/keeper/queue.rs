//! The requests on their way: waiting to be decided, parked behind another that is
//! under way, or waiting for the view to catch up.

use std::{collections::VecDeque, time::Duration};

use overlay::txn::Revision;
use tokio::time::Instant;

use super::attempt::{Confirm, Pending};

/// More requests than this waiting are turned away at once.
const MOST_WAITING: usize = 20_000;
/// How long to wait for the watch to show what a conflict or a refusal turned on. The
/// revision may belong to somebody else's keys in the same store, and never come.
const CATCH_UP: Duration = Duration::from_millis(100);

#[derive(Default)]
pub struct Queue {
    waiting: VecDeque<Pending>,
    parked: Vec<Pending>,
    behind: Vec<Behind>,
}

struct Behind {
    /// None: the store's newest, which is yet to be heard.
    revision: Option<Revision>,
    since: Instant,
    pending: Pending,
}

impl Queue {
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub fn is_full(&self) -> bool {
        self.waiting.len() + self.parked.len() + self.behind.len() >= MOST_WAITING
    }

    pub fn push(&mut self, pending: Pending) {
        self.waiting.push_back(pending);
    }

    pub fn pop(&mut self) -> Option<Pending> {
        self.waiting.pop_front()
    }

    pub fn put_back(&mut self, pending: Pending) {
        self.waiting.push_front(pending);
    }

    /// Something under way touches the same keys.
    pub fn park(&mut self, pending: Pending) {
        self.parked.push(pending);
    }

    /// Something that was under way is done.
    pub fn wake_parked(&mut self) {
        self.waiting.extend(self.parked.drain(..));
    }

    /// Another's write came first, at or before this revision.
    pub fn wait_for(&mut self, revision: Revision, pending: Pending) {
        self.behind.push(Behind {
            revision: Some(revision),
            since: Instant::now(),
            pending,
        });
    }

    /// Refused, on a view that may be old.
    pub fn doubt(&mut self, pending: Pending) {
        self.behind.push(Behind {
            revision: None,
            since: Instant::now(),
            pending,
        });
    }

    /// Does somebody wait for the store's newest revision? Whoever does counts as
    /// having asked for it now.
    pub fn ask_head(&mut self) -> bool {
        let mut wanted = false;
        for behind in self
            .behind
            .iter_mut()
            .filter(|behind| behind.revision.is_none())
        {
            behind.pending.confirm = Confirm::Asked;
            wanted = true;
        }
        wanted
    }

    /// The store's newest revision, for those who had asked for it.
    pub fn hear_head(&mut self, head: Revision) {
        for behind in &mut self.behind {
            if behind.pending.confirm == Confirm::Asked {
                behind.revision = Some(head);
                behind.since = Instant::now();
                behind.pending.confirm = Confirm::Done;
            }
        }
    }

    /// The view has come this far.
    pub fn wake_behind(&mut self, seen: Revision) {
        let ready = |behind: &mut Behind| {
            let over = behind.since.elapsed() >= CATCH_UP;
            behind
                .revision
                .is_some_and(|revision| revision <= seen || over)
        };
        let woken = self.behind.extract_if(.., ready);
        self.waiting.extend(woken.map(|behind| behind.pending));
    }

    /// Takes out what has waited longer than this.
    pub fn take_late(&mut self, longest: Duration) -> Vec<Pending> {
        let late = |pending: &Pending| pending.since.elapsed() >= longest;
        let (mut over, waiting): (Vec<_>, Vec<_>) = self.waiting.drain(..).partition(late);
        self.waiting = waiting.into();
        over.extend(self.parked.extract_if(.., |pending| late(pending)));
        let behind = self.behind.extract_if(.., |behind| late(&behind.pending));
        over.extend(behind.map(|behind| behind.pending));
        over
    }
}
