//! The ways to peers.

use std::collections::BTreeMap;

use super::{
    super::{Below, Facts, State, Way},
    Report, ms,
};
use crate::{name::NodeName, probe::window::Outcome};

/// So many peers of one trouble are named, each on a line.
const NAMED: usize = 10;

/// The worse the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    None,
    NoAgent,
    /// Only small packets pass.
    Large,
    /// The peer answers, but not through the overlay.
    Tunnel,
    All,
}

impl Trouble {
    fn of(way: &Way) -> Self {
        let below = way.below.as_ref();
        match (way.small, way.full) {
            (Outcome::Answered(_), Outcome::Answered(_)) => Self::None,
            (Outcome::Refused, _) => Self::NoAgent,
            (Outcome::Answered(_), _) => Self::Large,
            (Outcome::Lost, _) if below.is_some_and(|below| below.small.is_ok()) => Self::Tunnel,
            (Outcome::Lost, _) => Self::All,
        }
    }

    fn said(self, way: &Way) -> (String, String) {
        let Way {
            node,
            underlay,
            port,
            inner,
            outer,
            ..
        } = way;
        let below = |of: fn(&Below) -> &Result<(), String>| {
            let refused = way.below.as_ref().map(of)?.as_ref().err()?;
            Some(format!(" ({refused})"))
        };
        match self {
            Self::None => (String::new(), String::new()),
            Self::NoAgent => (
                "its host is reached, and no agent answers there".into(),
                format!("start weft-agent on {node}"),
            ),
            Self::Large => (
                format!(
                    "packets of {inner} bytes are lost, small ones pass{}",
                    below(|below| &below.full).unwrap_or_default()
                ),
                format!(
                    "what is between here and {underlay} must carry {outer} bytes; or lower the \
                     MTU of both uplinks, which the agents follow"
                ),
            ),
            Self::Tunnel => (
                format!("{underlay} answers, and nothing comes back through the overlay"),
                format!(
                    "let UDP port {port} through on every firewall between the two; then weft \
                     trace from this node to {node}"
                ),
            ),
            Self::All => (
                format!(
                    "nothing comes back from {underlay}, not on the underlay either{}",
                    below(|below| &below.small).unwrap_or_default()
                ),
                format!("is {node} up, and is there a way to it? ip route get {underlay}"),
            ),
        }
    }
}

impl Report {
    pub(super) fn ways(&mut self, facts: &Facts) {
        // Of a peer with two addresses the worse one.
        let mut peers: BTreeMap<&NodeName, (Trouble, &Way)> = BTreeMap::new();
        let mut slowest = None;
        for way in &facts.ways {
            if let Outcome::Answered(us) = way.small {
                slowest = slowest.max(Some((us, &way.node)));
            }
            let trouble = Trouble::of(way);
            let worst = peers.entry(&way.node).or_insert((trouble, way));
            if trouble > worst.0 {
                *worst = (trouble, way);
            }
        }
        let about = |node: &NodeName| format!("way to {node}");
        let mut named: BTreeMap<Trouble, usize> = BTreeMap::new();
        let mut good = 0;
        for (node, (trouble, way)) in &peers {
            let count = named.entry(*trouble).or_default();
            *count += 1;
            if *trouble == Trouble::None {
                good += 1;
            } else if *count <= NAMED {
                let (found, remedy) = trouble.said(way);
                let state = match trouble {
                    Trouble::NoAgent | Trouble::None => State::Doubtful,
                    Trouble::Large | Trouble::Tunnel | Trouble::All => State::Wrong,
                };
                self.bad(state, &about(node), found, remedy);
            }
        }
        for (trouble, count) in named {
            if trouble != Trouble::None && count > NAMED {
                let found = format!("{} more peers with the same trouble", count - NAMED);
                self.wrong("way to peers", found, "weft mesh lists all of them");
            }
        }
        if good > 0 {
            let within = slowest
                .map(|(us, node)| format!("; the slowest is {node} with {}", ms(u64::from(us))));
            let largest = facts.ways.iter().map(|way| way.inner).max().unwrap_or(0);
            let found = format!(
                "{good} of {} carry packets of {largest} bytes{}",
                peers.len(),
                within.unwrap_or_default()
            );
            self.ok("way to peers", found);
        }
        if facts.untried > 0 {
            let found = format!("{} were not tried: others took too long", facts.untried);
            self.doubt("way to peers", found, "mend those above, and look again");
        }
    }
}

pub(super) fn is_reached(way: &Way) -> bool {
    matches!(Trouble::of(way), Trouble::None | Trouble::NoAgent)
}
