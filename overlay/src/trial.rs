//! Trials: for a short time agents put up places like containers', or listen on their hosts,
//! send to each other between them, and measure.

use std::{fmt, net::IpAddr, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

use crate::{name::NetworkName, probe::window::Outcome};

/// No trial lives longer, whatever becomes of whoever asked for it.
pub const LONGEST_LIFE: Duration = Duration::from_secs(600);
/// So many ways one request may try, and so long a measurement may take.
pub const MOST_WAYS: usize = 512;
pub const LONGEST_MEASUREMENT: Duration = Duration::from_secs(30);

/// Tells a trial from others; whoever does not know it cannot use its listeners.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TrialId(pub u64);

/// What is to be put up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    pub network: NetworkName,
    pub place: Place,
    pub life_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// In a network namespace of its own, attached to the network like a container's.
    Endpoint,
    /// On the host, at its underlay address.
    Host,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opened {
    pub id: TrialId,
    /// One of each family.
    pub targets: Vec<Target>,
}

/// Where a trial listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    pub id: TrialId,
    pub address: IpAddr,
    /// UDP: answers probes.
    pub echo: u16,
    /// UDP: counts what comes.
    pub sink: u16,
    /// TCP: takes bytes, and tells how many there were.
    pub stream: u16,
}

/// From one trial to others: does a small packet pass, and a full one?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reach {
    pub to: Vec<Target>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reached {
    pub to: IpAddr,
    pub small: Outcome,
    pub full: Outcome,
    /// Of a full packet, with its headers.
    pub size: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measure {
    pub to: Target,
    pub what: What,
    pub for_ms: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// Bytes of one TCP connection.
    Throughput,
    /// Questions of UDP, one after the other.
    Latency,
    /// Small packets of UDP, as many as can be sent.
    Packets,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Measured {
    Throughput {
        bytes: u64,
        us: u64,
    },
    Latency {
        rounds: u64,
        lost: u64,
        middle_us: u32,
        /// 99 of 100 took no longer.
        most_us: u32,
    },
    Packets {
        sent: u64,
        received: u64,
        us: u64,
    },
}

impl fmt::Display for TrialId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for TrialId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = u64::from_str_radix(text, 16).ok();
        let number = number.filter(|number| Self(*number).to_string() == text);
        number
            .map(Self)
            .ok_or_else(|| format!("{text:?} is not the id of a trial"))
    }
}

impl TryFrom<String> for TrialId {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<TrialId> for String {
    fn from(id: TrialId) -> Self {
        id.to_string()
    }
}
