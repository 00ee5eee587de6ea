//! Ports of an endpoint that its host answers for.

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    #[default]
    Tcp,
    Udp,
    Sctp,
}

/// A port of the host, or several in a row, that leads to one of the container.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Publish {
    #[serde(default)]
    pub protocol: Protocol,
    /// Only at this address of the host; none: at all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<IpAddr>,
    pub host_port: u16,
    pub port: u16,
    /// How many ports in a row, from both.
    #[serde(default = "one")]
    pub count: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum PublishError {
    #[error(
        "{0:?} is no port to publish; write one as 8080:80, 127.0.0.1:8080:80/udp or 8000-8009:9000-9009"
    )]
    Syntax(String),
    #[error("{0:?}: both ranges must have the same length")]
    Lengths(String),
    #[error("{0:?}: ports are 1 to 65535")]
    Range(String),
    #[error("{0:?}: the protocol is tcp, udp or sctp")]
    Protocol(String),
}

fn one() -> u16 {
    1
}

impl Protocol {
    pub const ALL: [Self; 3] = [Self::Tcp, Self::Udp, Self::Sctp];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }

    /// Its number in an IP header.
    pub fn number(self) -> u8 {
        match self {
            Self::Tcp => 6,
            Self::Udp => 17,
            Self::Sctp => 132,
        }
    }

    pub fn numbered(number: u8) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|protocol| protocol.number() == number)
    }
}

impl Publish {
    /// The pairs of ports, the host's first.
    pub fn pairs(&self) -> impl Iterator<Item = (u16, u16)> + use<> {
        let (host, port) = (self.host_port, self.port);
        (0..self.count).map_while(move |n| Some((host.checked_add(n)?, port.checked_add(n)?)))
    }

    /// Can both answer at once?
    pub fn collides(&self, other: &Self) -> bool {
        let last = |publish: &Self| u32::from(publish.host_port) + u32::from(publish.count);
        let places = match (self.at, other.at) {
            (Some(one), Some(other)) => one == other,
            (None, _) | (_, None) => true,
        };
        places
            && self.protocol == other.protocol
            && u32::from(self.host_port) < last(other)
            && u32::from(other.host_port) < last(self)
    }

    /// Every port of it is one.
    pub fn check(&self) -> Result<(), PublishError> {
        let last = |first: u16| u32::from(first) + u32::from(self.count) - 1;
        let good = self.count > 0
            && self.host_port > 0
            && self.port > 0
            && last(self.host_port) <= u32::from(u16::MAX)
            && last(self.port) <= u32::from(u16::MAX);
        if good {
            Ok(())
        } else {
            Err(PublishError::Range(self.to_string()))
        }
    }
}

impl FromStr for Protocol {
    type Err = PublishError;

    fn from_str(text: &str) -> Result<Self, PublishError> {
        Self::ALL
            .into_iter()
            .find(|protocol| protocol.as_str().eq_ignore_ascii_case(text))
            .ok_or_else(|| PublishError::Protocol(text.into()))
    }
}

impl FromStr for Publish {
    type Err = PublishError;

    /// `[ADDRESS:]HOST[-LAST]:PORT[-LAST][/PROTOCOL]`; an IPv6 address is in brackets.
    fn from_str(text: &str) -> Result<Self, PublishError> {
        let syntax = || PublishError::Syntax(text.into());
        let (ports, protocol) = match text.split_once('/') {
            Some((ports, protocol)) => (ports, protocol.parse()?),
            None => (text, Protocol::Tcp),
        };
        let (rest, inside) = ports.rsplit_once(':').ok_or_else(syntax)?;
        let (at, outside) = match rest.rsplit_once(':') {
            None => (None, rest),
            Some((address, outside)) => {
                let bare = address
                    .strip_prefix('[')
                    .and_then(|rest| rest.strip_suffix(']'));
                let address: IpAddr = match bare {
                    Some(v6) => IpAddr::V6(v6.parse().map_err(|_| syntax())?),
                    None => IpAddr::V4(address.parse().map_err(|_| syntax())?),
                };
                (Some(address), outside)
            }
        };
        let range = |text: &str| {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            let first: u16 = first.parse().ok()?;
            let last: u16 = last.parse().ok()?;
            Some((first, last.checked_sub(first)?.checked_add(1)?))
        };
        let (host_port, count) = range(outside).ok_or_else(syntax)?;
        let (port, inside_count) = range(inside).ok_or_else(syntax)?;
        if count != inside_count {
            return Err(PublishError::Lengths(text.into()));
        }
        let publish = Self {
            protocol,
            at,
            host_port,
            port,
            count,
        };
        publish.check()?;
        Ok(publish)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Publish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            Some(IpAddr::V4(at)) => write!(f, "{at}:")?,
            Some(IpAddr::V6(at)) => write!(f, "[{at}]:")?,
            None => {}
        }
        let mut range = |first: u16, end: &str| {
            let last = u32::from(first) + u32::from(self.count.max(1)) - 1;
            if self.count > 1 {
                write!(f, "{first}-{last}{end}")
            } else {
                write!(f, "{first}{end}")
            }
        };
        range(self.host_port, ":")?;
        range(self.port, "/")?;
        write!(f, "{}", self.protocol)
    }
}

#[cfg(test)]
mod tests;
