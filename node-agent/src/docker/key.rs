//! By which keys the agent knows what it keeps for Docker.

use std::str::FromStr;

use overlay::endpoint::Key;

const PREFIX: &str = "docker/";
/// Who holds what dockerd says it gave out before it was restarted.
pub const BEFORE: &str = "before";

/// Of an endpoint by its id; of who holds an address, by the MAC of the container.
pub fn of(what: &str) -> Result<Key, <Key as FromStr>::Err> {
    format!("{PREFIX}{what}").parse()
}

/// Of the container that an address is held for.
pub fn mac(by: &Key) -> Option<&str> {
    let mac = by.as_str().strip_prefix(PREFIX)?;
    mac.contains(':').then_some(mac)
}
