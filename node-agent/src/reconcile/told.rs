//! What a controller tells, taken in.

use options::clock;
use overlay::{
    feed::{PeerChanges, Peers},
    name::NetworkName,
    network::Network,
    subnet::Subnet,
    time::WallMs,
    txn::Revision,
};
use proto::v1::controller_message::Message;
use tokio::time::Instant;
use tracing::{info, warn};

use super::{Reconciler, is_known, keep::Keep};
use crate::session::{Held, Told, replay};

impl Reconciler {
    /// Restores what the last run was told. Afterwards `held` is what to resume from.
    pub fn restore(&mut self, words: Vec<Message>) -> Held {
        let (told, mut held) = replay(words);
        for word in told {
            self.believe(word);
        }
        // The file may be older than what the kernel holds: one was set back, or the last
        // write was lost.
        self.host.doubt();
        let joined = |network: &NetworkName| self.host.member(network).is_some_and(is_known);
        held.revisions.retain(|network, _| joined(network));
        self.wrote = !held.revisions.is_empty();
        self.held = held.clone();
        self.publish();
        held
    }

    pub(super) fn take_in(&mut self, word: Told) {
        let keep = Keep::of(&word);
        self.believe(word);
        self.keep(keep);
    }

    fn believe(&mut self, word: Told) {
        match word {
            Told::Open {
                url,
                cluster,
                revision,
            } => {
                self.session = Ok(url);
                self.complete_at = revision;
                self.metrics.sessions.inc();
                if self.held.cluster != cluster {
                    self.held.cluster = cluster;
                    self.held.revisions.clear();
                }
            }
            Told::Closed { reason } => self.session = Err(reason),
            Told::Joined { network, subnets } => self.joined(network, subnets),
            Told::Snapshot {
                network,
                revision,
                peers,
            } => self.snapshot(&network, revision, peers),
            Told::Changes {
                network,
                revision,
                changes,
            } => self.changes(&network, revision, changes),
            Told::Bookmark { network, revision } => self.confirm(&network, revision),
            Told::NetworkChanged { name, network } => self.network_changed(&name, network),
            Told::Refused { network, reason } => {
                warn!(network, reason, "the controller refused");
                if let Ok(network) = network.parse() {
                    self.refused.insert(network, reason);
                }
            }
        }
    }

    fn joined(&mut self, network: Network, subnets: Vec<Subnet>) {
        let name = network.name.clone();
        if !self.wanted.contains_key(&name) {
            return;
        }
        self.refused.remove(&name);
        // It may have been deleted meanwhile, and made again.
        self.host.join(name.clone());
        let texts: Vec<String> = subnets.iter().map(Subnet::to_string).collect();
        if self.host.lease(network, subnets) {
            info!(network = %name, subnets = texts.join(","), "leased");
            if let Some(rival) = self.host.rival(&name) {
                let vni = self.host.member(&name).map(|member| member.vni());
                let reason = vni.map(|vni| format!("VNI {vni} is network {rival}'s on this host"));
                warn!(network = %name, reason, "cannot be carried");
            }
            self.uplinks_soon();
            self.owe_look();
        }
    }

    fn snapshot(&mut self, network: &NetworkName, revision: Revision, mut peers: Peers) {
        // The feed tells of every node, this one among them: a peer is another.
        peers.remove(&self.settings.node);
        info!(%network, revision, peers = peers.len(), "in sync");
        let before = self.host.member(network);
        let was_complete = before.is_some_and(|member| member.known().is_complete());
        let now = WallMs(clock::now_ms());
        let changed = self.changed.entry(network.clone()).or_default();
        changed.retain(|node, _| peers.contains_key(node));
        for node in peers.keys() {
            changed.entry(node.clone()).or_insert(now);
        }
        let until = self.began.elapsed() + self.settings.hold_losses;
        let steps = self.host.snapshot(network, peers, until);
        self.holds(network, revision);
        self.warn_of_losses(network);
        if was_complete {
            self.steps.extend(steps);
        } else {
            // The first that a controller tells of it: what the kernel holds is not known yet.
            self.owe_look();
        }
    }

    fn changes(&mut self, network: &NetworkName, revision: Revision, mut changes: PeerChanges) {
        changes.set.remove(&self.settings.node);
        changes.gone.remove(&self.settings.node);
        self.holds(network, revision);
        if changes.is_empty() {
            return;
        }
        info!(%network, revision, set = changes.set.len(), gone = changes.gone.len(), "peers changed");
        let now = WallMs(clock::now_ms());
        let changed = self.changed.entry(network.clone()).or_default();
        for node in &changes.gone {
            changed.remove(node);
        }
        changed.extend(changes.set.keys().map(|node| (node.clone(), now)));
        let until = self.began.elapsed() + self.settings.hold_losses;
        let steps = self.host.change(network, changes, until);
        self.steps.extend(steps);
        self.warn_of_losses(network);
    }

    fn holds(&mut self, network: &NetworkName, revision: Revision) {
        self.held.revisions.insert(network.clone(), revision);
        self.behind.get_or_insert_with(Instant::now);
        self.confirm(network, revision);
    }

    /// What was read from disk is complete with what a controller has told since.
    fn confirm(&mut self, network: &NetworkName, revision: Revision) {
        if revision >= self.complete_at && self.host.confirm(network) {
            info!(%network, revision, "the last good state is confirmed");
            self.owe_look();
        }
    }

    fn network_changed(&mut self, name: &NetworkName, network: Option<Network>) {
        let Some(network) = network else {
            if self.host.leave(name) {
                warn!(network = %name, "the network was deleted");
                self.forget(name);
                self.refused
                    .insert(name.clone(), "the network was deleted".into());
                self.owe_look();
            }
            return;
        };
        let own = self.host.member(name).map(|member| member.own().to_vec());
        if let Some(own) = own
            && self.host.lease(network, own)
        {
            info!(network = %name, "the network changed");
            self.uplinks_soon();
            self.owe_look();
        }
    }

    fn warn_of_losses(&self, network: &NetworkName) {
        let held = self.host.member(network).map(|member| member.held());
        if let Some(held) = held.filter(|held| !held.peers().is_empty()) {
            warn!(
                %network,
                peers = held.peers().len(),
                hold = ?self.settings.hold_losses,
                "most peers are gone at once: their entries are kept for a while"
            );
        }
    }
}
