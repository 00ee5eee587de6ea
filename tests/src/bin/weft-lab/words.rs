//! What is said between `weft-lab up` and the commands that ask it: one line of JSON
//! there, one back.

use std::{convert::Infallible, fmt, net::IpAddr, path::PathBuf, str::FromStr};

use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    Status,
    /// Where to run a command.
    Find(Machine),
    Act(Act),
    Down,
}

#[derive(Debug, Serialize, Deserialize)]
pub enum Act {
    Add(Machine, Option<String>),
    Remove(String),
    Program(Deed, Machine),
    Befall(Fault),
    Heal,
}

/// To the program of Weft that runs on a machine.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub enum Deed {
    Kill,
    Stop,
    Start,
    Pause,
    Resume,
}

/// To the network between machines.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    Part {
        one: Machine,
        other: Machine,
        one_way: bool,
    },
    Unplug(Machine),
    Slow(Machine, String),
    /// Between two hosts.
    Lossy(Machine, Machine),
    Hole(Machine, Machine),
}

#[derive(Debug, Serialize, Deserialize)]
pub enum Reply {
    /// A sentence for a person.
    Done(String),
    Status(Status),
    Found(Found),
    Refused(String),
}

/// A process in the namespaces of a machine, and what its commands should know.
#[derive(Debug, Serialize, Deserialize)]
pub struct Found {
    pub pid: u32,
    pub controllers: String,
    /// By which `weft` is known to them, where certificates are used.
    pub credentials: Option<PathBuf>,
}

/// As a person names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Machine {
    Host(u32),
    /// Counted from 1.
    Controller(u32),
    Controllers,
    Etcd,
    Container(String),
}

/// The whole cluster at one moment.
#[derive(Debug, Serialize, Deserialize)]
pub struct Status {
    pub name: String,
    pub store: String,
    pub underlay: String,
    pub network: String,
    /// One, or several with a router between.
    pub links: Vec<Link>,
    /// What a person did to the network, as they would say it.
    pub faults: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Link {
    pub subnets: Vec<String>,
    pub machines: Vec<MachineStatus>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MachineStatus {
    pub machine: String,
    pub address: IpAddr,
    /// Of the program that runs there.
    pub state: State,
    pub reason: Option<String>,
    pub subnets: Vec<String>,
    pub containers: Vec<ContainerStatus>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ContainerStatus {
    pub container: String,
    pub addresses: Vec<IpAddr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    Ready,
    NotReady,
    Paused,
    Down,
}

impl MachineStatus {
    pub fn is_host(&self) -> bool {
        matches!(self.machine.parse(), Ok(Machine::Host(_)))
    }
}

impl FromStr for Machine {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let numbered = |prefix| text.strip_prefix(prefix).and_then(|rest| rest.parse().ok());
        Ok(match text {
            "etcd" => Self::Etcd,
            "controllers" => Self::Controllers,
            _ => numbered("h")
                .map(Self::Host)
                .or_else(|| numbered("controller-").map(Self::Controller))
                .unwrap_or_else(|| Self::Container(text.to_owned())),
        })
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(number) => write!(f, "h{number}"),
            Self::Controller(number) => write!(f, "controller-{number}"),
            Self::Controllers => f.write_str("controllers"),
            Self::Etcd => f.write_str("etcd"),
            Self::Container(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Part {
                one,
                other,
                one_way: true,
            } => write!(f, "nothing of {one} arrives at {other}"),
            Self::Part { one, other, .. } => write!(f, "{one} and {other} do not hear each other"),
            Self::Unplug(host) => write!(f, "{host} is unplugged"),
            Self::Slow(host, rate) => write!(f, "{host} carries {rate}"),
            Self::Lossy(one, other) => write!(f, "{one} and {other} lose one packet of six"),
            Self::Hole(from, to) => write!(f, "no large packet of {from} arrives at {to}"),
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ready => "ready",
            Self::NotReady => "not ready",
            Self::Paused => "paused",
            Self::Down => "down",
        })
    }
}
