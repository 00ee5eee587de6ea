//! The sessions of this controller: who is here, since when, and how far along.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use overlay::{
    id::SessionId,
    name::{NetworkName, NodeName},
    time::WallMs,
    txn::Revision,
};
use proto::v1;
use tokio::{sync::oneshot, time::Instant};

use crate::{feed::Feed, session::Output};

pub use line::{Asking, Line, LineError};

mod line;

/// Of the peers that an agent names as troubled, so many are remembered.
const MOST_TROUBLED: usize = 20;

/// Of those whose probes are in trouble.
const MOST_PROBED: usize = 3;

/// Why a session ends from the controller's side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The node was removed: its machine is not wanted any more.
    Removed,
    /// The node has a newer session.
    TakenOver,
    /// Its record in the store vanished.
    Expired,
    /// This controller stops, or has lost the store: the agent is to go elsewhere.
    Move(String),
}

/// One session of this controller.
#[derive(Debug)]
pub struct Present {
    pub sid: SessionId,
    since: Instant,
    pub address: Option<SocketAddr>,
    pub version: String,
    pub ready: bool,
    pub reason: String,
    /// Objects of ours that its agent put back.
    pub repaired: u64,
    /// The oldest step that its kernel refuses, and the time between two tries.
    pub failing: Option<(WallMs, Duration)>,
    /// Of each network it has joined.
    pub networks: BTreeMap<NetworkName, Word>,
    /// None: its agent is too old to be asked anything.
    pub line: Option<Box<Line>>,
    end: oneshot::Sender<End>,
}

/// An agent's last word about one network in its node's kernel.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Word {
    /// What the kernel holds; 0: nothing has been said.
    pub applied: Revision,
    pub mtu: u32,
    pub peers: u64,
    pub troubled: Vec<v1::PeerTrouble>,
    pub probes: Option<v1::Probes>,
    /// None: nothing has been said.
    pub at: Option<WallMs>,
}

#[derive(Debug, Default)]
pub struct Roster {
    present: BTreeMap<NodeName, Present>,
    /// Why nobody is let in any more.
    closed: Option<String>,
}

impl Roster {
    /// Enters a session. The receiver hears why it is to end.
    pub fn enter(
        &mut self,
        node: NodeName,
        sid: SessionId,
        address: Option<SocketAddr>,
        version: String,
        networks: impl IntoIterator<Item = NetworkName>,
        line: Option<Output>,
    ) -> oneshot::Receiver<End> {
        self.end(&node, End::TakenOver);
        let (end, ended) = oneshot::channel();
        let present = Present {
            sid,
            since: Instant::now(),
            address,
            version,
            ready: false,
            reason: "has not reported yet".into(),
            repaired: 0,
            failing: None,
            networks: networks
                .into_iter()
                .map(|network| (network, Word::default()))
                .collect(),
            line: line.map(|output| Box::new(Line::new(output))),
            end,
        };
        self.present.insert(node, present);
        if let Some(why) = self.closed.clone() {
            self.end_all(&End::Move(why));
        }
        ended
    }

    /// The session's stream is over.
    pub fn leave(&mut self, node: &NodeName, sid: SessionId) {
        if self
            .present
            .get(node)
            .is_some_and(|present| present.sid == sid)
        {
            self.present.remove(node);
        }
    }

    /// Whatever session the node has here.
    pub fn get_mut(&mut self, node: &NodeName) -> Option<&mut Present> {
        self.present.get_mut(node)
    }

    pub fn get(&self, node: &NodeName) -> Option<&Present> {
        self.present.get(node)
    }

    /// This very session, if it is still here.
    pub fn session(&mut self, node: &NodeName, sid: SessionId) -> Option<&mut Present> {
        self.present
            .get_mut(node)
            .filter(|present| present.sid == sid)
    }

    pub fn count(&self) -> usize {
        self.present.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = (&NodeName, &Present)> {
        self.present.iter()
    }

    pub fn end(&mut self, node: &NodeName, why: End) {
        if let Some(present) = self.present.remove(node) {
            // The stream ended by itself at the same time.
            let _ = present.end.send(why);
        }
    }

    pub fn end_all(&mut self, why: &End) {
        for (_, present) in std::mem::take(&mut self.present) {
            let _ = present.end.send(why.clone());
        }
    }

    /// Sends everybody away, and who comes later as well.
    pub fn close(&mut self, why: &str) {
        self.closed = Some(why.into());
        self.end_all(&End::Move(why.into()));
    }

    /// The age of the oldest change each session has yet to apply, least first.
    pub fn lags(&self, feed: &Feed) -> Vec<Duration> {
        let lags = self
            .present
            .values()
            .filter_map(|present| present.lag(feed));
        let mut lags: Vec<Duration> = lags.collect();
        lags.sort_unstable();
        lags
    }
}

impl Present {
    /// How far the node's kernel is behind in its slowest network; none: it has not
    /// said anything about its kernel.
    pub fn lag(&self, feed: &Feed) -> Option<Duration> {
        let networks = self.networks.keys();
        networks
            .filter_map(|network| self.lag_in(network, feed))
            .max()
    }

    /// What the agent says of itself.
    pub fn hear(&mut self, report: &v1::Report) {
        self.ready = report.ready;
        self.reason.clone_from(&report.reason);
        self.repaired = report.repaired;
        let since = Some(WallMs(report.failing_since_ms)).filter(|since| since.0 != 0);
        self.failing = since.map(|since| (since, Duration::from_millis(report.retry_ms)));
    }

    /// The probes that show that packets do not pass as they should.
    pub fn troubled_probes(&self) -> impl Iterator<Item = &v1::ProbedPeer> {
        let probes = self
            .networks
            .values()
            .filter_map(|word| word.probes.as_ref());
        let probed = probes.filter(|probes| probes.troubled > 0);
        probed.flat_map(|probes| &probes.worst)
    }

    /// What was there before the session cannot have been applied by it any earlier.
    pub fn lag_in(&self, network: &NetworkName, feed: &Feed) -> Option<Duration> {
        let applied = self
            .networks
            .get(network)
            .map(|word| word.applied)
            .filter(|applied| *applied > 0)?;
        Some(feed.lag(network, applied).min(self.since.elapsed()))
    }
}

impl Word {
    /// Takes in what the agent says now. What its kernel holds does not become less.
    pub fn hear(&mut self, said: v1::NetworkReport, now: WallMs) {
        let mut troubled = said.troubled;
        troubled.truncate(MOST_TROUBLED);
        let mut probes = said.probes;
        if let Some(probes) = &mut probes {
            probes.worst.truncate(MOST_PROBED);
        }
        *self = Self {
            applied: said.applied_revision.max(self.applied),
            mtu: said.mtu,
            peers: said.peers,
            troubled,
            probes,
            at: Some(now),
        };
    }
}

/// The value below which this share of a sorted list lies.
pub fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let last = sorted.len().saturating_sub(1);
    let place = (last as f64 * share).round() as usize;
    sorted.get(place).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests;
