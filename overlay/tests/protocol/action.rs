//! One step.

use std::fmt;

use crate::ask::Ask;

/// Numbers are given when a step is first taken and not
/// found again on replay, so a trace with a step left out still means the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    Decide {
        ticket: u32,
        ctl: usize,
        ask: Ask,
    },
    /// The store judges these together.
    Commit {
        tickets: Vec<u32>,
    },
    /// It never reaches the store, and its controller hears so.
    Lose {
        ticket: u32,
    },
    /// Its controller hears nothing and goes on. It may still be committed, any time.
    GiveUp {
        ticket: u32,
    },
    Sync {
        ctl: usize,
    },
    Tick,
    /// The controller's ttl runs out: its sessions vanish, its streams end.
    Expire {
        ctl: usize,
    },
    /// A machine's stream breaks.
    Break {
        machine: u8,
    },
    /// A machine is given a new id.
    Reinstall {
        machine: u8,
    },
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decide { ticket, ctl, ask } => {
                write!(f, "controller {ctl} decides #{ticket}: {ask}")
            }
            Self::Commit { tickets } => write!(f, "store judges {tickets:?}"),
            Self::Lose { ticket } => write!(f, "#{ticket} is lost"),
            Self::GiveUp { ticket } => write!(f, "reply to #{ticket} is not waited for"),
            Self::Sync { ctl } => write!(f, "controller {ctl} catches up"),
            Self::Tick => f.write_str("a tick"),
            Self::Expire { ctl } => write!(f, "ttl of controller {ctl} expires"),
            Self::Break { machine } => write!(f, "stream of machine {machine} breaks"),
            Self::Reinstall { machine } => write!(f, "machine {machine} gets a new id"),
        }
    }
}
