//! An address to listen on, as a person writes it: `127.0.0.1:7440`.

use std::net::{IpAddr, SocketAddr};

use thiserror::Error;

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AddressError {
    #[error("it has no port; write it with one, such as {}", SocketAddr::new(*.0, 7440))]
    NoPort(IpAddr),
    #[error("write an IP address and a port, such as 127.0.0.1:7440 or [::1]:7440")]
    Syntax,
}

/// Fits clap's `value_parser`.
pub fn parse_address(text: &str) -> Result<SocketAddr, AddressError> {
    let bare = text.trim_start_matches('[').trim_end_matches(']');
    text.parse().map_err(|_| match bare.parse() {
        Ok(ip) => AddressError::NoPort(ip),
        Err(_) => AddressError::Syntax,
    })
}

#[cfg(test)]
mod tests;
