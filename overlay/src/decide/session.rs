//! Sessions: an agent's word that it is there, kept by one controller.

use std::time::Duration;

use super::{
    Decision, Refusal, View,
    grant::Grant,
    lease::{self, Vtep},
    node::admit,
    trust,
};
use crate::{
    id::{Life, NodeId, SessionId},
    key::Key,
    name::{NetworkName, NodeName},
    record::{self, Lease, LeaseKind, Session, V1},
    registry::Stored,
    trust::Subject,
    txn::{Transaction, TtlId},
};

/// Two takeovers within this time are two machines with one disk.
pub const CLONE_WINDOW: Duration = Duration::from_secs(60);

/// What an agent says first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    pub node: NodeName,
    pub id: NodeId,
    pub sid: SessionId,
    /// The sessions this agent had or tried before.
    pub previous: Vec<SessionId>,
    pub networks: Vec<Membership>,
    /// The session record vanishes with this.
    pub ttl: TtlId,
    /// A certificate says so: it must have joined before, by a token.
    pub certified: bool,
}

/// A network that an agent has joined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    pub network: NetworkName,
    pub vtep: Vtep,
    /// Names the life if this begins one.
    pub life: Life,
}

/// Opens a session and brings the agent's leases to life, in one transaction.
pub fn open(view: &View<'_>, ask: &Open) -> Result<Decision<Vec<Lease>>, Refusal> {
    let mut txn = Transaction::default();
    if ask.certified {
        let subject = Subject::Node(ask.node.clone(), ask.id);
        trust::standing(view.registry, view.now, &subject)?;
    }
    admit(view, &mut txn, &ask.node, ask.id, ask.certified)?;
    let key = Key::Session(ask.node.clone());
    let present = view.registry.sessions().get(&ask.node);
    txn.expect(key.clone(), present.map_or(0, |present| present.revision));
    let session = Session {
        v: V1,
        node_id: ask.id,
        sid: ask.sid,
        ctl: view.ctl,
        taken_over_at: taken_over_at(view, ask, present)?,
    };
    txn.put_with_ttl(key, record::encode(&session), ask.ttl);
    let leases = ask
        .networks
        .iter()
        .map(|membership| grant(&ask.node, ask.id, membership).add(view, &mut txn))
        .collect::<Result<Vec<Lease>, Refusal>>()?;
    view.decided(txn, leases)
}

/// Joins one more network, or publishes a changed VTEP in one that is joined.
pub fn join(
    view: &View<'_>,
    node: &NodeName,
    sid: SessionId,
    membership: &Membership,
) -> Result<Decision<Lease>, Refusal> {
    let session = own(view, node, sid)?;
    let mut txn = Transaction::default();
    admit(view, &mut txn, node, session.value.node_id, false)?;
    txn.expect(Key::Session(node.clone()), session.revision);
    let lease = grant(node, session.value.node_id, membership).add(view, &mut txn)?;
    view.decided(txn, lease)
}

/// Leaves a network; its lease ends at once.
pub fn leave(
    view: &View<'_>,
    node: &NodeName,
    sid: SessionId,
    network: &NetworkName,
) -> Result<Decision<()>, Refusal> {
    let session = own(view, node, sid)?;
    let held = view.lease(network, node)?;
    let mut txn = Transaction::default();
    txn.expect(Key::Session(node.clone()), session.revision);
    lease::end(view, &mut txn, network, node, held);
    view.decided(txn, ())
}

/// Ends a session whose stream is over. Only this very one: by now the node may
/// have another, with this controller or elsewhere.
pub fn close(view: &View<'_>, node: &NodeName, sid: SessionId) -> Result<Decision<()>, Refusal> {
    let session = own(view, node, sid)?;
    let key = Key::Session(node.clone());
    let mut txn = Transaction::default();
    txn.expect(key.clone(), session.revision);
    txn.delete(key);
    view.decided(txn, ())
}

/// The session record of this stream, while it is the node's.
pub(super) fn own<'a>(
    view: &View<'a>,
    node: &NodeName,
    sid: SessionId,
) -> Result<&'a Stored<Session>, Refusal> {
    view.registry
        .sessions()
        .get(node)
        .filter(|session| session.value.sid == sid && session.value.ctl == view.ctl)
        .ok_or_else(|| Refusal::SessionOver { node: node.clone() })
}

fn grant<'a>(node: &'a NodeName, id: NodeId, membership: &'a Membership) -> Grant<'a> {
    Grant {
        network: &membership.network,
        node,
        id,
        vtep: membership.vtep,
        kind: LeaseKind::Agent,
        ttl: None,
        life: membership.life,
    }
}

/// The newest session wins. One that does not know of the session it replaces comes
/// from another machine with this one's disk, or from a disk set back: once that may
/// be, twice within the window it is a clone, and the newcomer is refused.
fn taken_over_at(
    view: &View<'_>,
    ask: &Open,
    present: Option<&Stored<Session>>,
) -> Result<Option<crate::time::WallMs>, Refusal> {
    let Some(present) = present.map(|present| &present.value) else {
        return Ok(None);
    };
    if present.sid == ask.sid || ask.previous.contains(&present.sid) {
        return Ok(present.taken_over_at);
    }
    match present.taken_over_at {
        Some(at) if view.now.since(at) < CLONE_WINDOW => Err(Refusal::Cloned {
            node: ask.node.clone(),
        }),
        Some(_) | None => Ok(Some(view.now)),
    }
}
