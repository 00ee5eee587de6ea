//! A port of one's own: nobody else is given it, and a process that is killed and
//! started again finds it free.

use std::net::{Ipv4Addr, SocketAddr};

use anyhow::{Context, Result};
use tokio::net::TcpSocket;

/// Bound, and never listened on: the kernel hands such a port to nobody, yet lets
/// whoever asks for it by number, with SO_REUSEADDR, listen there.
#[derive(Debug)]
pub struct Port {
    held: TcpSocket,
}

impl Port {
    pub fn reserve() -> Result<Self> {
        let held = TcpSocket::new_v4().context("make a socket")?;
        held.set_reuseaddr(true).context("SO_REUSEADDR")?;
        held.bind((Ipv4Addr::LOCALHOST, 0).into())
            .context("bind to a free port")?;
        Ok(Self { held })
    }

    pub fn address(&self) -> Result<SocketAddr> {
        self.held.local_addr().context("the port that is reserved")
    }
}
