//! What a soak is to be.

use std::{fmt, time::Duration};

use crate::lab::{Ground, by_hand::Underlay};

#[derive(Debug, Clone)]
pub struct Plan {
    pub hosts: u32,
    pub controllers: u32,
    pub ground: Ground,
    pub underlay: Underlay,
    pub time: Duration,
    /// From one quiet moment to the next.
    pub round: Duration,
    /// From one ping of a flow to the next.
    pub ping_every: Duration,
    pub seed: u64,
    /// Others use this machine, too: a warning that follows from a slow one alone is
    /// allowed.
    pub busy: bool,
    /// Says how it goes.
    pub progress: bool,
}

impl Plan {
    /// Whose agents are never killed.
    pub fn elders(&self) -> u32 {
        self.hosts.div_ceil(4)
    }

    pub fn underlay_name(&self) -> &'static str {
        match self.underlay {
            Underlay::V4 => "v4",
            Underlay::V6 => "v6",
        }
    }

    /// What a person types to have it again.
    pub fn command(&self) -> String {
        let routed = match self.ground {
            Ground::Switched => "",
            Ground::Routed => " --routed",
        };
        format!(
            "weft-soak hosts --for {} --hosts {} --controllers {} --underlay {}{routed} \
             --ping-every {} --round {} --seed {}",
            options::format_duration(self.time),
            self.hosts,
            self.controllers,
            self.underlay_name(),
            options::format_duration(self.ping_every),
            options::format_duration(self.round),
            self.seed
        )
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ground = match self.ground {
            Ground::Switched => "one link",
            Ground::Routed => "two links and a router",
        };
        write!(
            f,
            "{} hosts on {ground}, underlay {}, {} controllers, seed {}",
            self.hosts,
            self.underlay_name(),
            self.controllers,
            self.seed
        )
    }
}
