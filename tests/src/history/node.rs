//! One node's requests, one after the other, and what must be true between them.

use std::{collections::BTreeMap, time::Duration};

use overlay::{id::Life, name::NodeName, subnet::Subnet, txn::Revision};
use tonic::Code;

use super::{Did, Event, Grant, Holder, Outcome, Seen, Violation};

pub struct Node<'a> {
    name: &'a NodeName,
    /// The lease it has for certain.
    held: Option<Grant>,
    lives: BTreeMap<Life, Span>,
}

/// What is known of one life.
struct Span {
    grant: Grant,
    from: Duration,
    /// When it was first asked to end: from then on it may, at any time.
    asked: Option<Duration>,
    /// The revision it was acknowledged to have ended at.
    over: Option<Revision>,
}

impl<'a> Node<'a> {
    pub fn new(name: &'a NodeName) -> Self {
        Self {
            name,
            held: None,
            lives: BTreeMap::new(),
        }
    }

    /// What is wrong with the next event.
    pub fn hear(&mut self, event: &Event) -> Option<Violation> {
        let at = event.ended;
        match &event.did {
            Did::Acquire(Outcome::Done(grant)) => self.granted(grant, at),
            Did::Acquire(Outcome::Refused(code, message)) => self.error(at, *code, message),
            Did::Renew(life, Outcome::Done(grant)) => self.renewed(*life, grant, at),
            Did::Renew(life, Outcome::Refused(code, message)) => {
                self.refused(*life, at, *code, message)
            }
            Did::Release(life, outcome) => self.released(*life, outcome, event),
            Did::Look(Outcome::Done(seen)) => self.seen(seen, at),
            Did::Look(Outcome::Refused(code, message)) => self.error(at, *code, message),
            Did::Acquire(Outcome::Unknown)
            | Did::Renew(_, Outcome::Unknown)
            | Did::Look(Outcome::Unknown) => None,
        }
    }

    /// Its subnets, with the time that each life held them for certain.
    pub fn held(self) -> impl Iterator<Item = (Subnet, Holder)> {
        let name = self.name.clone();
        self.lives.into_iter().flat_map(move |(life, span)| {
            let holder = Holder {
                node: name.clone(),
                life,
                from: span.from,
                until: span.asked,
            };
            let subnets = span.grant.subnets.into_iter();
            subnets.map(move |subnet| (subnet, holder.clone()))
        })
    }

    fn granted(&mut self, grant: &Grant, at: Duration) -> Option<Violation> {
        let wrong = self.contradicts(grant, at);
        let span = self.lives.entry(grant.life).or_insert_with(|| Span {
            grant: grant.clone(),
            from: at,
            asked: None,
            over: None,
        });
        // One that was asked to end may end later, by a request that is under way.
        self.held = span.asked.is_none().then(|| grant.clone());
        wrong
    }

    fn contradicts(&self, grant: &Grant, at: Duration) -> Option<Violation> {
        if self
            .span(grant.life)
            .is_some_and(|span| span.over.is_some())
        {
            return Some(self.revived(grant.life, at));
        }
        let known = self.span(grant.life).map(|span| &span.grant);
        let held = self.held.as_ref().or(known)?;
        (!same(held, grant)).then(|| self.lost(held, Some(grant), at))
    }

    fn renewed(&mut self, life: Life, grant: &Grant, at: Duration) -> Option<Violation> {
        if grant.life != life {
            let held = self.span(life).map_or(grant, |span| &span.grant);
            return Some(self.lost(held, Some(grant), at));
        }
        self.granted(grant, at)
    }

    fn released(
        &mut self,
        life: Life,
        outcome: &Outcome<Revision>,
        event: &Event,
    ) -> Option<Violation> {
        let wrong = match outcome {
            Outcome::Refused(code, message) => self.refused(life, event.ended, *code, message),
            Outcome::Done(_) | Outcome::Unknown => None,
        };
        if let Some(span) = self.lives.get_mut(&life) {
            span.asked = span.asked.or(Some(event.began));
            if let Outcome::Done(revision) = outcome {
                span.over = Some(*revision);
            }
        }
        if self.held.as_ref().is_some_and(|held| held.life == life) {
            self.held = None;
        }
        wrong
    }

    fn seen(&self, seen: &Seen, at: Duration) -> Option<Violation> {
        if let Some(found) = &seen.lease
            && let Some(over) = self.span(found.life).and_then(|span| span.over)
            && over <= seen.revision
        {
            return Some(self.revived(found.life, at));
        }
        let held = self.held.as_ref()?;
        // One that was behind tells nothing.
        if seen.revision < held.revision || seen.lease.as_ref().is_some_and(|now| same(held, now)) {
            return None;
        }
        Some(self.lost(held, seen.lease.as_ref(), at))
    }

    /// A refusal of what names a life: only one that was asked to end before may
    /// have ended.
    fn refused(&self, life: Life, at: Duration, code: Code, message: &str) -> Option<Violation> {
        let asked = self.span(life).is_some_and(|span| span.asked.is_some());
        if asked && matches!(code, Code::NotFound | Code::FailedPrecondition) {
            return None;
        }
        self.error(at, code, message)
    }

    fn span(&self, life: Life) -> Option<&Span> {
        self.lives.get(&life)
    }

    fn lost(&self, held: &Grant, found: Option<&Grant>, at: Duration) -> Violation {
        Violation::Lost {
            node: self.name.clone(),
            at,
            held: held.clone(),
            found: found.cloned(),
        }
    }

    fn revived(&self, life: Life, at: Duration) -> Violation {
        Violation::Revived {
            node: self.name.clone(),
            at,
            life,
        }
    }

    fn error(&self, at: Duration, code: Code, message: &str) -> Option<Violation> {
        Some(Violation::Error {
            node: self.name.clone(),
            at,
            code,
            message: message.to_owned(),
        })
    }
}

fn same(one: &Grant, other: &Grant) -> bool {
    one.life == other.life && one.subnets == other.subnets
}
