//! Whether a host is fit for an overlay: what its agent found there, and [`judge`]: what of
//! it is wrong, and what to do about it.

use std::{collections::BTreeSet, fmt, net::IpAddr};

use serde::{Deserialize, Serialize};

use crate::{
    name::{NetworkName, NodeName},
    probe::window::Outcome,
    time::WallMs,
};

pub use judge::judge;

mod judge;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub state: State,
    pub about: String,
    pub found: String,
    /// What a person can do; there is one wherever something is not well.
    #[serde(default)]
    pub remedy: Option<String>,
}

impl Finding {
    /// On one line.
    pub fn sentence(&self) -> String {
        match &self.remedy {
            Some(remedy) => format!("{} -> {remedy}", self.found),
            None => self.found.clone(),
        }
    }
}

/// How many things are wrong, and how many doubtful, for a last line.
pub fn summary(findings: &[Finding]) -> String {
    let count = |state| findings.iter().filter(|one| one.state == state).count();
    match (count(State::Wrong), count(State::Doubtful)) {
        (0, 0) => "nothing is wrong".into(),
        (0, doubtful) => format!("nothing is wrong, {doubtful} doubtful"),
        (wrong, 0) => format!("{wrong} wrong"),
        (wrong, doubtful) => format!("{wrong} wrong, {doubtful} doubtful"),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Ok,
    /// It works, and may not for long, or not as well as it could.
    Doubtful,
    Wrong,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok => "ok",
            Self::Doubtful => "DOUBTFUL",
            Self::Wrong => "WRONG",
        })
    }
}

/// What was found on the host.
#[derive(Debug, Clone)]
pub struct Facts {
    pub now: WallMs,
    /// The kernel's version.
    pub release: String,
    /// What it can do, and in its words why not.
    pub features: Vec<(&'static str, Result<(), String>)>,
    pub agent: Agent,
    pub networks: Vec<Network>,
    /// Those of the kernel that a network needs, by name: what they are and should be.
    pub settings: Vec<Setting>,
    /// VXLAN devices of others.
    pub tunnels: Vec<Tunnel>,
    /// UDP ports at which programs listen, and no VXLAN device.
    pub taken: BTreeSet<u16>,
    pub ways: Vec<Way>,
    /// So many peers were not tried, for want of time.
    pub untried: usize,
    /// Packets of UDP and TCP that came with a wrong checksum since the host's start.
    pub spoiled: u64,
    /// Connections that the kernel tracks, and how many it can.
    pub tracked: Option<(u64, u64)>,
    /// What of others' iptables may drop what is forwarded.
    pub shut: Vec<String>,
    /// Chains of others that drop whatever they do not accept.
    pub closed: Vec<String>,
    pub controllers: Vec<Controller>,
    pub disk: Disk,
    /// The end of this host's certificate, where it has one.
    pub certificate: Option<WallMs>,
}

#[derive(Debug, Clone, Default)]
pub enum Agent {
    #[default]
    Down,
    Runs {
        not_ready: Option<String>,
        /// What it cannot do in the kernel, and why.
        failing: Vec<String>,
        in_the_way: Vec<String>,
    },
}

#[derive(Debug, Clone)]
pub struct Network {
    pub name: NetworkName,
    pub port: u16,
    pub vni: u32,
    /// As the kernel has it.
    pub device: Option<Device>,
    pub uplink_mtu: Option<u32>,
    /// What its outer headers take.
    pub overhead: u32,
    /// Are its checksums left to the hardware? None: nobody can tell.
    pub offload: Option<bool>,
    /// Why they should not be.
    pub distrust: Option<&'static str>,
}

#[derive(Debug, Clone)]
pub struct Device {
    pub name: String,
    pub up: bool,
    pub mtu: u32,
}

#[derive(Debug, Clone)]
pub struct Setting {
    pub name: String,
    pub value: Option<String>,
    pub wanted: String,
}

#[derive(Debug, Clone)]
pub struct Tunnel {
    pub name: String,
    pub vni: u32,
    pub port: u16,
}

/// To one peer, at one of its addresses.
#[derive(Debug, Clone)]
pub struct Way {
    pub network: NetworkName,
    pub node: NodeName,
    pub small: Outcome,
    pub full: Outcome,
    /// Of a full packet, with its headers, inside and outside.
    pub inner: u32,
    pub outer: u32,
    pub port: u16,
    pub underlay: IpAddr,
    /// By the underlay alone, tried where nothing or nothing large passed; the reason is the
    /// kernel's.
    pub below: Option<Below>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Below {
    pub small: Result<(), String>,
    pub full: Result<(), String>,
}

#[derive(Debug, Clone)]
pub struct Controller {
    pub url: String,
    pub answer: Result<Answer, String>,
}

#[derive(Debug, Clone, Copy)]
pub struct Answer {
    /// Until there was a connection, and until a call on it was answered.
    pub connected_us: u64,
    pub answered_us: u64,
    /// Its clock before ours; it is told in whole seconds.
    pub ahead_s: Option<i64>,
}

#[derive(Debug, Clone)]
pub struct Disk {
    pub path: String,
    /// Bytes and files that there is room for.
    pub room: Result<(u64, u64), String>,
    /// Why the agent's last word is not on it.
    pub not_kept: Option<String>,
}

impl Facts {
    /// Of a host about which nothing is known.
    pub fn at(now: WallMs, path: String) -> Self {
        Self {
            now,
            release: String::new(),
            features: Vec::new(),
            agent: Agent::Down,
            networks: Vec::new(),
            settings: Vec::new(),
            tunnels: Vec::new(),
            taken: BTreeSet::new(),
            ways: Vec::new(),
            untried: 0,
            spoiled: 0,
            tracked: None,
            shut: Vec::new(),
            closed: Vec::new(),
            controllers: Vec::new(),
            disk: Disk {
                path,
                room: Err("nobody has looked".into()),
                not_kept: None,
            },
            certificate: None,
        }
    }
}

#[cfg(test)]
mod tests;
