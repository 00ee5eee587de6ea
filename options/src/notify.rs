//! What systemd is told: that a daemon runs, how it is, and that it is alive. The loop
//! that must not stop says so itself, or somebody who has just been answered by it.

use std::{
    env,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram},
    },
    time::Duration,
};

use tokio::time::Instant;
use tracing::warn;

/// Says nothing where nobody listens.
#[derive(Debug)]
pub struct Notify {
    socket: Option<UnixDatagram>,
    /// How often a sign of life is due, and when the next one is.
    watchdog: Option<(Duration, Instant)>,
    said: String,
}

impl Notify {
    /// As the environment of a service says.
    pub fn from_environment() -> Self {
        let interval = env::var("WATCHDOG_USEC").ok();
        let interval = interval.and_then(|us| us.parse().ok().map(Duration::from_micros));
        Self {
            socket: env::var("NOTIFY_SOCKET")
                .ok()
                .and_then(|path| connect(&path)),
            // Twice as often as is asked for.
            watchdog: interval.map(|every| (every / 2, Instant::now())),
            said: String::new(),
        }
    }

    pub fn ready(&mut self) {
        self.say("READY=1");
    }

    pub fn stopping(&self) {
        self.say("STOPPING=1");
    }

    /// How it is, if that is new.
    pub fn status(&mut self, status: &str) {
        // A new line would say something else.
        let text = format!("STATUS={}", status.replace('\n', " "));
        if self.socket.is_some() && text != self.said {
            self.say(&text);
            self.said = text;
        }
    }

    /// A sign of life, if one is due.
    pub fn alive(&mut self) {
        let now = Instant::now();
        if let Some((every, at)) = &mut self.watchdog
            && *at <= now
        {
            *at = now + *every;
            self.say("WATCHDOG=1");
        }
    }

    /// When the next sign of life is due.
    pub fn next(&self) -> Option<Instant> {
        self.socket.as_ref()?;
        self.watchdog.map(|(_, at)| at)
    }

    fn say(&self, text: &str) {
        // systemd that does not listen is not our trouble.
        if let Some(socket) = &self.socket {
            let _ = socket.send(text.as_bytes());
        }
    }
}

fn connect(path: &str) -> Option<UnixDatagram> {
    let address = match path.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(path),
    };
    let connected = address.and_then(|address| {
        let socket = UnixDatagram::unbound()?;
        socket.connect_addr(&address)?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    });
    match connected {
        Ok(socket) => Some(socket),
        Err(error) => {
            warn!(%error, path, "NOTIFY_SOCKET leads nowhere");
            None
        }
    }
}

#[cfg(test)]
mod tests;
