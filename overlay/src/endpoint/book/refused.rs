//! Why an endpoint or an address cannot be had.

use std::net::IpAddr;

use thiserror::Error;

use crate::{
    endpoint::{Key, Publish},
    name::NetworkName,
    record::Mac,
    subnet::{Family, Subnet},
};

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refused {
    #[error("two addresses of one family were asked for: {0} and {1}")]
    Twice(IpAddr, IpAddr),
    #[error("this node has no {0} subnet in network {1}, and {2} was asked for")]
    NoFamily(Family, NetworkName, IpAddr),
    #[error("{0} is not in this node's subnet {1}")]
    NotOurs(IpAddr, Subnet),
    #[error("{0} is {1} of {2} and no container's")]
    Reserved(IpAddr, &'static str, Subnet),
    #[error("{0} has {1} already")]
    Taken(Key, IpAddr),
    #[error("{0} holds {1}")]
    Held(Key, IpAddr),
    #[error("{0} has the MAC {1} already")]
    MacTaken(Key, Mac),
    #[error("{0} is a MAC of many hosts or of none")]
    BadMac(Mac),
    #[error("{0} publishes {1} already, which collides with {2}")]
    PortTaken(Key, Publish, Publish),
    #[error("{0} and {1} collide")]
    PortsCollide(Publish, Publish),
    #[error("no address is left in {subnet}: {taken} are taken and {held} held")]
    Exhausted {
        subnet: Subnet,
        taken: usize,
        held: usize,
    },
    #[error("this node has no subnet in network {0}")]
    NoSubnet(NetworkName),
    #[error("{key} is attached already, with {has}; detach it first")]
    Otherwise { key: Key, has: String },
}
