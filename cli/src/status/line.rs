//! One line for a node.

use std::{cmp::Reverse, collections::BTreeSet};

use options::clock;
use serde::Serialize;

use crate::{
    node::{NodeRow, lag, probed},
    output::Row,
};

/// A line is to be one line.
const LONGEST: usize = 64;

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Line(pub NodeRow);

/// How bad it is with a node, the worst least.
pub type Rank = (Reverse<u8>, Reverse<u64>);

impl Line {
    /// That nobody reaches a node that is gone is its own trouble, and not its peers'.
    pub fn rank(&self, gone: &BTreeSet<String>) -> Rank {
        let node = &self.0;
        let lag = node.lag_ms.unwrap_or(0);
        let troubled = node.probes_troubled.is_some_and(|troubled| troubled > 0);
        let of_gone = |peer: &String| gone.contains(peer);
        let trouble = if self.is_gone() {
            4
        } else if node.ready == Some(false) {
            3
        } else if lag > 0 {
            2
        } else {
            u8::from(troubled && !node.worst_peer.as_ref().is_some_and(of_gone))
        };
        (Reverse(trouble), Reverse(lag))
    }

    pub fn is_gone(&self) -> bool {
        self.0.state == "disconnected"
    }

    /// Its controller was asked.
    pub fn is_known(&self) -> bool {
        self.0.ready.is_some() || self.0.state != "connected"
    }

    fn state(&self) -> String {
        match (self.0.ready, self.0.state.as_str()) {
            (Some(true), "connected") => "ready".into(),
            (Some(false), "connected") => "NOT READY".into(),
            (_, "disconnected") => "DISCONNECTED".into(),
            (None, "connected") => "not known here".into(),
            (_, state) => state.into(),
        }
    }

    /// When it is tried again, and the beginning of why: `weft node show` has all of it.
    fn error(&self, now_ms: u64) -> String {
        let node = &self.0;
        let retry = match (node.failing_since_ms, node.retry_ms) {
            (Some(since), Some(retry)) => {
                let (long, retry) = (clock::rough(now_ms.saturating_sub(since)), lag(retry));
                format!("for {long}, again every {retry}: ")
            }
            _ => String::new(),
        };
        let text = retry + node.reason.as_deref().unwrap_or_default();
        if text.chars().count() <= LONGEST {
            return text;
        }
        let begin: String = text.chars().take(LONGEST - 3).collect();
        format!("{begin}...")
    }
}

impl Row for Line {
    const COLUMNS: &'static [&'static str] = &[
        "NODE",
        "STATE",
        "LAG",
        "MTU",
        "REPAIRED",
        "WORST PROBE",
        "LAST ERROR",
    ];
    const SPARE: &'static [&'static str] = &["MTU", "REPAIRED", "LAG"];

    fn cells(&self, now_ms: u64) -> Vec<String> {
        let node = &self.0;
        vec![
            node.name.clone(),
            self.state(),
            node.lag_ms.map(lag).unwrap_or_default(),
            node.mtu.map(|mtu| mtu.to_string()).unwrap_or_default(),
            node.repaired
                .map(|times| times.to_string())
                .unwrap_or_default(),
            probed(node),
            self.error(now_ms),
        ]
    }
}
