//! Published ports, from Docker's words to ours.

use std::net::IpAddr;

use overlay::endpoint::{Protocol, Publish};
use thiserror::Error;

use super::words::PortMap;

/// Those that Docker itself gives out where it is told none.
const FREE: (u16, u16) = (49153, u16::MAX);

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PortError {
    #[error("{0} is no protocol whose ports can be published; those are tcp, udp and sctp")]
    Protocol(u8),
    #[error("{0:?} is no address of a host to publish a port at")]
    Address(String),
    #[error("port {0} cannot be published as {1}-{2}")]
    Range(u16, u16, u16),
    #[error("every port from {first} to {last} is published already")]
    Exhausted { first: u16, last: u16 },
    #[error("what is to be published cannot be read: {0}")]
    Words(String),
}

/// Is there a port to choose?
pub fn open(ports: &[PortMap]) -> bool {
    ports
        .iter()
        .any(|map| map.host_port == 0 || map.host_port_end > map.host_port)
}

/// Where Docker leaves a choice, what nobody has yet is chosen.
pub fn publish(ports: &[PortMap], taken: &[Publish]) -> Result<Vec<Publish>, PortError> {
    let mut chosen: Vec<Publish> = Vec::with_capacity(ports.len());
    for map in ports {
        let (first, last) = range(map)?;
        let protocol = Protocol::numbered(map.proto).ok_or(PortError::Protocol(map.proto))?;
        let at = at(&map.host_ip)?;
        let one = |host_port| Publish {
            protocol,
            at,
            host_port,
            port: map.port,
            count: 1,
        };
        // Docker says a port of both families twice.
        if first == last && chosen.contains(&one(first)) {
            continue;
        }
        let is_free = |publish: &Publish| {
            let mut others = taken.iter().chain(&chosen);
            !others.any(|other| other.collides(publish))
        };
        // One that is told is for the owner to judge: it knows who has it.
        let publish = match first == last {
            true => Some(one(first)),
            false => (first..=last).map(one).find(is_free),
        };
        chosen.push(publish.ok_or(PortError::Exhausted { first, last })?);
    }
    Ok(chosen)
}

/// How Docker says it.
pub fn map(publish: &Publish) -> impl Iterator<Item = PortMap> + use<> {
    let proto = publish.protocol.number();
    let host_ip = publish.at.map_or_else(String::new, |at| at.to_string());
    publish.pairs().map(move |(host_port, port)| PortMap {
        proto,
        host_ip: host_ip.clone(),
        port,
        host_port,
        host_port_end: host_port,
    })
}

fn range(map: &PortMap) -> Result<(u16, u16), PortError> {
    let (first, last) = match (map.host_port, map.host_port_end) {
        (0, _) => FREE,
        (first, 0) => (first, first),
        (first, last) => (first, last),
    };
    if map.port == 0 || first > last {
        return Err(PortError::Range(map.port, first, last));
    }
    Ok((first, last))
}

/// None: at all addresses of the host.
fn at(host_ip: &str) -> Result<Option<IpAddr>, PortError> {
    if host_ip.is_empty() {
        return Ok(None);
    }
    let address: IpAddr = host_ip
        .parse()
        .map_err(|_| PortError::Address(host_ip.to_owned()))?;
    Ok(Some(address).filter(|address| !address.is_unspecified()))
}

#[cfg(test)]
mod tests;
