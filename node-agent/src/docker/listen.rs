//! The socket that dockerd asks at. systemd can hold it: then Docker's start never
//! waits for the agent's.

use std::{env, io, os::unix::net::UnixListener as StdListener, path::Path};

use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use thiserror::Error;
use tokio::net::UnixListener;
use tracing::info;

use crate::local::{self, SocketError};

/// The name of the descriptor in the socket's unit.
const NAME: &str = "docker";
/// The first descriptor that systemd passes.
const FIRST: i32 = 3;

#[derive(Debug, Error)]
pub enum ListenError {
    #[error("--docker")]
    Own(#[source] SocketError),
    #[error("cannot take over the socket that systemd holds for Docker")]
    Passed(#[source] io::Error),
}

/// None: neither systemd nor an option says that Docker is to be served.
pub fn listen(path: Option<&Path>) -> Result<Option<UnixListener>, ListenError> {
    let var = |name| env::var(name).ok();
    let pid = getpid().as_raw_nonzero().to_string();
    let passed = passed(
        var("LISTEN_PID").as_deref() == Some(&pid),
        var("LISTEN_FDS").as_deref(),
        var("LISTEN_FDNAMES").as_deref(),
    );
    if let Some(descriptor) = passed {
        info!("systemd holds the socket for Docker");
        return take(descriptor).map(Some).map_err(ListenError::Passed);
    }
    let Some(path) = path else {
        return Ok(None);
    };
    local::listen(path).map(Some).map_err(ListenError::Own)
}

/// The descriptor among those that systemd passes.
fn passed(is_ours: bool, count: Option<&str>, names: Option<&str>) -> Option<i32> {
    let count: i32 = count.filter(|_| is_ours)?.parse().ok()?;
    let mut names = names?.split(':');
    let place = i32::try_from(names.position(|name| name == NAME)?).ok()?;
    (place < count).then_some(FIRST + place)
}

/// The kernel makes a descriptor of it that is owned like any other.
fn take(descriptor: i32) -> io::Result<UnixListener> {
    let this = pidfd_open(getpid(), PidfdFlags::empty())?;
    let socket = pidfd_getfd(this, descriptor, PidfdGetfdFlags::empty())?;
    let listener = StdListener::from(socket);
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

#[cfg(test)]
mod tests;
