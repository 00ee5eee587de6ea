//! What is committed and cannot be seen here yet. It is answered once it can be, and
//! stays in the flight until then.

use std::{collections::BTreeMap, time::Duration};

use overlay::{
    flight::Flight,
    txn::{Revision, Transaction},
};

use super::{Failure, attempt::Pending, group::Member};

#[derive(Default)]
pub struct Unseen {
    revisions: BTreeMap<Revision, Vec<Committed>>,
}

/// A committed transaction, with the request it answers unless that was answered.
struct Committed {
    pending: Option<Pending>,
    txn: Transaction,
}

impl Unseen {
    pub fn push(&mut self, revision: Revision, member: Member) {
        let committed = Committed {
            pending: Some(member.pending),
            txn: member.txn,
        };
        self.revisions.entry(revision).or_default().push(committed);
    }

    /// Answers what can be seen now; whether there was any.
    pub fn answer(&mut self, seen: Revision, flight: &mut Flight) -> bool {
        let mut any = false;
        while let Some(entry) = self.revisions.first_entry()
            && *entry.key() <= seen
        {
            let revision = *entry.key();
            for Committed { pending, txn } in entry.remove() {
                flight.leave(&txn);
                if let Some(pending) = pending {
                    pending.attempt.finish(Ok(revision));
                }
            }
            any = true;
        }
        any
    }

    /// Answers what has waited too long to be seen: it is true all the same.
    pub fn answer_late(&mut self, longest: Duration) {
        for (revision, members) in &mut self.revisions {
            for member in members {
                let late = |pending: &mut Pending| pending.since.elapsed() >= longest;
                if let Some(pending) = member.pending.take_if(late) {
                    pending.attempt.finish(Ok(*revision));
                }
            }
        }
    }

    /// Answers everything: there is no later.
    pub fn answer_all(&mut self) {
        self.answer_late(Duration::ZERO);
    }

    /// The store holds another history: this will never be seen.
    pub fn forget(&mut self, flight: &mut Flight) {
        for member in std::mem::take(&mut self.revisions).into_values().flatten() {
            flight.leave(&member.txn);
            if let Some(pending) = member.pending {
                let why = "the store holds another history";
                pending.fail(Failure::Unavailable(why.into()));
            }
        }
    }
}
