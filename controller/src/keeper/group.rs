//! Groups of independent transactions: decided together, committed together.

use overlay::txn::{Transaction, TtlId};

use super::attempt::Pending;
use crate::store::group_fits;

/// A transaction with the request it answers.
pub struct Member {
    pub pending: Pending,
    pub txn: Transaction,
}

/// A group being filled. Its members are admitted by the flight, so none writes what
/// another compares or writes.
#[derive(Default)]
pub struct Group {
    pub members: Vec<Member>,
    heaviest: usize,
    /// The members that attach keys to a ttl share one: a ttl that is gone must not
    /// fail the sessions of another.
    ttl: Option<TtlId>,
}

impl Group {
    /// Is there room for one more?
    pub fn fits(&self, txn: &Transaction, budget: usize) -> bool {
        let heaviest = self.heaviest.max(txn.weight());
        group_fits(budget, self.members.len() + 1, heaviest)
    }

    pub fn shares_ttl(&self, txn: &Transaction) -> bool {
        match (self.ttl, txn.ttl()) {
            (Some(ours), Some(theirs)) => ours == theirs,
            (None, _) | (_, None) => true,
        }
    }

    pub fn push(&mut self, member: Member) {
        self.heaviest = self.heaviest.max(member.txn.weight());
        self.ttl = self.ttl.or(member.txn.ttl());
        self.members.push(member);
    }

    /// Members one by one: for a group that the store refused as a whole.
    pub fn split(self) -> impl Iterator<Item = Self> {
        self.members.into_iter().map(|member| {
            let mut single = Self::default();
            single.push(member);
            single
        })
    }
}
