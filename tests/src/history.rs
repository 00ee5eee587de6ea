//! What clients did and were told, and whether a controller that keeps its word
//! could have told them so.
//!
//! One client speaks for a node, one request at a time, so the requests of a node
//! follow each other. Those of different nodes overlap as they like.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use overlay::{id::Life, name::NodeName, subnet::Subnet, txn::Revision};
use tonic::Code;

mod node;

use node::Node;

/// One request, from its start to its answer, by one clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub node: NodeName,
    pub began: Duration,
    pub ended: Duration,
    pub did: Did,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Did {
    Acquire(Outcome<Grant>),
    Renew(Life, Outcome<Grant>),
    /// Acknowledged with its revision.
    Release(Life, Outcome<Revision>),
    /// Read from a controller's memory, which may be behind.
    Look(Outcome<Seen>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome<T> {
    Done(T),
    /// No answer, or UNAVAILABLE: it may have happened, and may yet.
    Unknown,
    Refused(Code, String),
}

/// An acknowledged lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    pub life: Life,
    pub subnets: BTreeSet<Subnet>,
    pub revision: Revision,
}

/// What a controller that had come to this revision showed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub revision: Revision,
    pub lease: Option<Grant>,
}

/// What no history of a working fleet holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Violation {
    /// Two leases held one subnet at one time.
    Shared {
        subnet: Subnet,
        first: Holder,
        second: Holder,
    },
    /// An acknowledged lease that nobody gave back is not there, or is another.
    Lost {
        node: NodeName,
        at: Duration,
        held: Grant,
        found: Option<Grant>,
    },
    /// A life that was given back is there again.
    Revived {
        node: NodeName,
        at: Duration,
        life: Life,
    },
    /// An error that the requests before do not explain.
    Error {
        node: NodeName,
        at: Duration,
        code: Code,
        message: String,
    },
    /// The history itself cannot be: two requests of one node at one time.
    Overlapping { node: NodeName, at: Duration },
}

/// Held a subnet for certain: from the acknowledgement of its lease to the start of
/// the first request to give it back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    pub node: NodeName,
    pub life: Life,
    pub from: Duration,
    pub until: Option<Duration>,
}

/// Everything that is wrong with a history.
pub fn check(events: &[Event]) -> Vec<Violation> {
    let mut by_node: BTreeMap<&NodeName, Vec<&Event>> = BTreeMap::new();
    for event in events {
        by_node.entry(&event.node).or_default().push(event);
    }
    let mut violations = Vec::new();
    let mut holders: BTreeMap<Subnet, Vec<Holder>> = BTreeMap::new();
    for (name, mut events) in by_node {
        events.sort_by_key(|event| event.began);
        let mut node = Node::new(name);
        let mut free = Duration::ZERO;
        for event in events {
            if event.began < free {
                violations.push(Violation::Overlapping {
                    node: name.clone(),
                    at: event.began,
                });
            }
            free = event.ended;
            violations.extend(node.hear(event));
        }
        for (subnet, holder) in node.held() {
            holders.entry(subnet).or_default().push(holder);
        }
    }
    for (subnet, holders) in holders {
        violations.extend(shared(subnet, holders));
    }
    violations
}

/// Each holder that came before the one that held longest until then had gone.
fn shared(subnet: Subnet, mut holders: Vec<Holder>) -> Vec<Violation> {
    holders.sort_by_key(|holder| holder.from);
    let end = |holder: &Holder| holder.until.unwrap_or(Duration::MAX);
    let mut violations = Vec::new();
    let mut longest: Option<Holder> = None;
    for holder in holders {
        if let Some(first) = &longest
            && holder.from < end(first)
        {
            violations.push(Violation::Shared {
                subnet,
                first: first.clone(),
                second: holder.clone(),
            });
        }
        if longest
            .as_ref()
            .is_none_or(|first| end(first) < end(&holder))
        {
            longest = Some(holder);
        }
    }
    violations
}

#[cfg(test)]
mod tests;
