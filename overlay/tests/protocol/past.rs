//! What the store does not remember, and the rules must know.

use std::collections::{BTreeMap, BTreeSet};

use overlay::{
    id::{Life, NodeId, SessionId},
    name::NodeName,
    registry::Registry,
};

use crate::names::{self, NAMES};

/// What the store does not remember.
#[derive(Debug, Clone, Default, Hash)]
pub struct Past {
    pub ended: BTreeSet<Life>,
    pub removed: BTreeSet<(NodeName, NodeId)>,
    /// The session that last brought each name's lease to life, and when it
    /// vanished by true time.
    pub keeper: BTreeMap<NodeName, (SessionId, u64)>,
    /// The lives that each name was ever given, for those who name an old one.
    pub lives: BTreeMap<u8, BTreeSet<u16>>,
}

impl Past {
    /// Notes what goes from the store at this time.
    pub fn note(&mut self, was: &Registry, is: &Registry, time: u64) {
        for (name, space) in was.spaces() {
            for (node, held) in space.leases() {
                let now = is.lease(name, node);
                if now.is_none_or(|now| now.value.life != held.value.life) {
                    self.ended.insert(held.value.life);
                }
            }
        }
        for (node, session) in was.sessions() {
            let sid = session.value.sid;
            let stays = is
                .sessions()
                .get(node)
                .is_some_and(|now| now.value.sid == sid);
            if let Some((keeper, vanished)) = self.keeper.get_mut(node)
                && *keeper == sid
                && !stays
            {
                *vanished = time;
            }
        }
        for (node, record) in was.nodes() {
            let id = record.value.id;
            if is.removed().contains_key(&id) && !is.nodes().contains_key(node) {
                self.removed.insert((node.clone(), id));
            }
        }
        for name in 0..NAMES as u8 {
            if let Some(held) = is.lease(&names::network(0), &names::node(name)) {
                let life = held.value.life.0.as_u128() as u16;
                self.lives.entry(name).or_default().insert(life);
            }
        }
    }
}
