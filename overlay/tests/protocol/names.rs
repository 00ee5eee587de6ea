//! Numbers of the model and what they stand for.

use std::{fmt, net::IpAddr, time::Duration};

use overlay::{
    decide::{lease::Vtep, session::Membership},
    id::{Life, NodeId, SessionId},
    name::{NetworkName, NodeName},
    network::NetworkSpec,
    subnet::Subnet,
};
use uuid::Uuid;

/// One tick of the model's clock, the bound for skew, and a network's lapse time.
pub const TICK: Duration = Duration::from_secs(60);

/// As many names as machines, and one more for a machine that is renamed.
pub const NAMES: usize = 4;

/// What a machine says of its underlay address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Publish {
    /// Its own.
    Own,
    /// One that all machines believe to be theirs.
    Shared,
    /// None.
    Silent,
    /// It does not even name the network: it may join later.
    Apart,
}

pub const OWN: &[Publish] = &[Publish::Own];
pub const SILENT: &[Publish] = &[Publish::Silent];
pub const APART: &[Publish] = &[Publish::Apart];
pub const SHARED: &[Publish] = &[Publish::Own, Publish::Shared];
pub const OWN_APART: &[Publish] = &[Publish::Own, Publish::Apart];
pub const SHARED_APART: &[Publish] = &[Publish::Shared, Publish::Apart];

/// A machine and how often it was given a new id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Machine {
    pub number: u8,
    pub generation: u8,
}

pub fn membership(machine: u8, begun: u16, publish: Publish) -> Option<Membership> {
    Some(Membership {
        network: network(0),
        vtep: vtep(machine, publish)?,
        life: life(begun),
    })
}

pub fn vtep(machine: u8, publish: Publish) -> Option<Vtep> {
    let underlay = match publish {
        Publish::Own => Some(IpAddr::from([192, 0, 2, machine + 1])),
        Publish::Shared => Some(IpAddr::from([192, 0, 2, 100])),
        Publish::Silent => None,
        Publish::Apart => return None,
    };
    Some(Vtep {
        underlay,
        mac: None,
    })
}

/// Network 0 is dual stack with two subnets in each family. Network 1 has what
/// network 0 would grow into.
pub fn spec(number: u8) -> NetworkSpec {
    let pools = match number {
        0 => vec![subnet("10.0.0.0/23"), subnet("fd00::/63")],
        _ => vec![subnet("10.0.2.0/23")],
    };
    let mut spec = NetworkSpec::new(network(number), pools);
    spec.lapse = TICK;
    spec
}

/// What a reservation may name: one family, or both with other numbers.
pub fn reservable(choice: u8) -> Vec<Subnet> {
    match choice {
        0 => vec![subnet("10.0.0.0/24")],
        _ => vec![subnet("10.0.1.0/24"), subnet("fd00:0:0:1::/64")],
    }
}

pub fn subnet(text: &str) -> Subnet {
    text.parse().expect("written here")
}

pub fn network(number: u8) -> NetworkName {
    let name = if number == 0 { "a" } else { "b" };
    name.parse().expect("written here")
}

pub fn node(name: u8) -> NodeName {
    format!("n{name}").parse().expect("a letter and a digit")
}

pub fn id(machine: Machine) -> NodeId {
    let number = 0x1000 + u128::from(machine.number) * 16 + u128::from(machine.generation);
    NodeId(Uuid::from_u128(number))
}

pub fn sid(number: u16) -> SessionId {
    SessionId(Uuid::from_u128(number.into()))
}

pub fn life(number: u16) -> Life {
    Life(Uuid::from_u128(number.into()))
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.number)?;
        if self.generation > 0 {
            write!(f, " with id {}", self.generation)?;
        }
        Ok(())
    }
}
