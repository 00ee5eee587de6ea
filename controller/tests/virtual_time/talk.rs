//! What an agent hears in one session, taken in and judged.

use std::{collections::BTreeMap, mem::take, time::Duration};

use overlay::{
    feed::{PeerChanges, Peers},
    name::NetworkName,
    txn::Revision,
};
use proto::{
    decode,
    v1::{self, controller_message::Message},
};
use tokio::time::Instant;

use crate::{attached::Attached, judge, machine::Machine, world::World};

/// A network that was refused is asked for again.
pub const ASK_AGAIN: Duration = Duration::from_secs(10);

/// What was heard of and is not whole yet.
pub struct Talk<'a> {
    world: &'a World,
    number: usize,
    parts: Peers,
    told: judge::Peers,
    changes: PeerChanges,
    controller: String,
    pub attached: Attached,
    pub refused: BTreeMap<String, Instant>,
}

type Heard = Result<(), String>;

impl<'a> Talk<'a> {
    pub fn new(world: &'a World, number: usize) -> Self {
        Self {
            world,
            number,
            parts: Peers::new(),
            told: judge::Peers::new(),
            changes: PeerChanges::default(),
            controller: String::new(),
            attached: Attached::default(),
            refused: BTreeMap::new(),
        }
    }

    /// Takes a message in. An error is what no controller should have said.
    pub fn hear(&mut self, message: Message) -> Heard {
        match message {
            Message::Welcome(welcome) => self.welcome(welcome),
            Message::Joined(joined) => return self.joined(joined),
            Message::Snapshot(snapshot) => return self.snapshot(&snapshot),
            Message::Changes(changes) => return self.changes(&changes),
            Message::Bookmark(bookmark) => {
                let network = decode::parse("network", &bookmark.network).map_err(text)?;
                return self.holds(&network, bookmark.revision, false);
            }
            Message::NetworkChanged(changed) => {
                let name = decode::parse("name", &changed.name).map_err(text)?;
                let network = changed.network.as_ref().map(decode::network).transpose();
                let network = network.map_err(text)?;
                if network.is_none() {
                    self.attached.gone(&name);
                }
                self.with(|machine| machine.network_changed(&name, network));
            }
            Message::Refused(v1::Refused { network, reason }) => {
                let number = self.number;
                self.say(format!("agent {number}: refused {network}: {reason}"));
                self.refused.insert(network, Instant::now() + ASK_AGAIN);
            }
            Message::EndpointsKept(kept) => {
                let node = self.with(|machine| machine.name.to_string());
                return self.attached.kept(self.world, &node, &kept);
            }
            Message::Move(_) | Message::Ask(_) => {}
        }
        Ok(())
    }

    fn welcome(&mut self, welcome: v1::Welcome) {
        self.controller = welcome.controller;
        let name = self.with(|machine| {
            if let Some(sid) = machine.previous.last().copied() {
                machine.confirm(sid);
            }
            if machine.memory.cluster != welcome.cluster {
                machine.memory.cluster = welcome.cluster;
                machine.memory.held.clear();
            }
            machine.name.clone()
        });
        self.say(format!("{name}: session at {}", welcome.revision));
    }

    fn joined(&mut self, joined: v1::Joined) -> Heard {
        let lease = joined.lease.unwrap_or_default();
        self.world.told_lease(&lease);
        let subnets = decode::subnets("subnets", &lease.subnets).map_err(text)?;
        // The record of a network that cannot be read is not told.
        if let Some(network) = &joined.network {
            let network = decode::network(network).map_err(text)?;
            self.refused.remove(network.name.as_str());
            let name = network.name.clone();
            self.attached
                .joined(name, &lease, subnets.clone(), joined.endpoints);
            self.with(|machine| {
                // What it held when it said that it holds nothing does not count.
                if machine.memory.said.get(&network.name) == Some(&0) {
                    machine.memory.held.remove(&network.name);
                }
                machine.leased(network, subnets);
            });
        }
        Ok(())
    }

    fn snapshot(&mut self, snapshot: &v1::Snapshot) -> Heard {
        for peer in &snapshot.peers {
            let (node, decoded) = decode::peer(peer).map_err(text)?;
            self.parts.insert(node, decoded);
            self.told.insert(peer.node.clone(), as_told(peer));
        }
        if !snapshot.last {
            return Ok(());
        }
        let network: NetworkName = decode::parse("network", &snapshot.network).map_err(text)?;
        let (peers, told) = (take(&mut self.parts), take(&mut self.told));
        let now = self.world.elapsed();
        let counts = self.with(|machine| {
            // Told of a time before it left: nothing is known of it any more.
            let counts = machine.memory.host.member(&network).is_some();
            if counts {
                machine.memory.told.insert(network.clone(), told);
                machine.snapshot(&network, peers, now);
            }
            counts
        });
        if counts {
            return self.holds(&network, snapshot.revision, true);
        }
        Ok(())
    }

    fn changes(&mut self, changes: &v1::Changes) -> Heard {
        let network: NetworkName = decode::parse("network", &changes.network).map_err(text)?;
        let decoded = decode::peer_changes(changes).map_err(text)?;
        self.changes.then(&decoded);
        self.with(|machine| {
            if let Some(told) = machine.memory.told.get_mut(&network) {
                for node in &changes.gone {
                    told.remove(node);
                }
                let set = changes.set.iter();
                told.extend(set.map(|peer| (peer.node.clone(), as_told(peer))));
            }
        });
        if changes.partial {
            return Ok(());
        }
        let (whole, now) = (take(&mut self.changes), self.world.elapsed());
        self.with(|machine| machine.changes(&network, whole, now));
        self.holds(&network, changes.revision, false)
    }

    /// The agent holds this revision of a network now: is it what the store had then?
    fn holds(&self, network: &NetworkName, revision: Revision, snapshot: bool) -> Heard {
        let way = self.world.way(&self.controller);
        self.with(|machine| {
            if !snapshot && !machine.memory.held.contains_key(network) {
                return Ok(());
            }
            let before = machine.memory.held.insert(network.clone(), revision);
            if before.is_some_and(|before| before > revision) {
                return Err(format!("{network}: told {revision} after {before:?}"));
            }
            let told = machine
                .memory
                .told
                .get(network)
                .cloned()
                .unwrap_or_default();
            let (name, count) = (&machine.name, told.len());
            self.say(format!("{name}: {network} at {revision}, {count} peers"));
            if let Some(lack) = machine.lacks(network) {
                return Err(lack);
            }
            let excused = &mut machine.memory.excused;
            let judge = self.world.judge();
            let saw = |some| way.as_ref().is_none_or(|way| way.saw(&some));
            judge.told_peers(network.as_str(), revision, &told, excused, saw)
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Machine) -> T) -> T {
        self.world.machine(self.number, act)
    }

    fn say(&self, what: String) {
        self.world.trace.say(what);
    }
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err hands it over")]
fn text(error: decode::BadField) -> String {
    error.to_string()
}

fn as_told(peer: &v1::Peer) -> judge::Peer {
    judge::Peer {
        subnets: peer.subnets.clone(),
        underlay: peer.underlay.clone(),
        mac: peer.mac.clone(),
    }
}
