//! One question, from the address that this host has in the overlay to a peer's.

use std::{
    io,
    net::{IpAddr, SocketAddr, UdpSocket as StdSocket},
    time::Duration,
};

use overlay::{
    probe::{
        PORT,
        packet::{LENGTH, answers, question},
        window::{Outcome, Size},
    },
    subnet::Family,
};
use rustix::net::sockopt::{
    Ipv4PathMtuDiscovery, Ipv6PathMtuDiscovery, set_ip_mtu_discover, set_ipv6_mtu_discover,
};
use tokio::{
    net::UdpSocket,
    time::{Instant, timeout},
};

use crate::endpoints::ground::Ground;

/// What is not answered by then is lost.
const PATIENCE: Duration = Duration::from_secs(1);
/// Headers of IP and UDP.
const HEADERS4: u32 = 20 + 8;
const HEADERS6: u32 = 40 + 8;

#[derive(Debug, Clone, Copy)]
pub struct Question {
    pub own: IpAddr,
    pub to: SocketAddr,
    length: usize,
}

impl Question {
    /// None: this host has no address of that family.
    pub fn over(ground: &Ground, to: IpAddr, size: Size) -> Option<Self> {
        let family = Family::of(to);
        let mut subnets = ground.subnets.iter();
        let own = subnets.find(|subnet| subnet.family() == family)?;
        let to = SocketAddr::new(to, PORT);
        Some(Self::between(own.address(), to, size, ground.mtu))
    }

    pub fn between(own: IpAddr, to: SocketAddr, size: Size, mtu: u32) -> Self {
        let headers = match Family::of(to.ip()) {
            Family::V4 => HEADERS4,
            Family::V6 => HEADERS6,
        };
        let length = match size {
            Size::Small => LENGTH,
            Size::Full => mtu.saturating_sub(headers) as usize,
        };
        Self { own, to, length }
    }

    /// From a port of its own each time: so it takes another way through underlays
    /// that have several.
    pub async fn ask(self, nonce: u64) -> Outcome {
        match self.socket() {
            Ok(socket) => self.ask_by(socket, nonce).await,
            Err(_) => Outcome::Lost,
        }
    }

    /// The same by a socket that was opened for it, in whichever namespace.
    pub async fn ask_by(self, socket: StdSocket, nonce: u64) -> Outcome {
        match timeout(PATIENCE, self.answered(socket, nonce)).await {
            Ok(Ok(after)) => {
                Outcome::Answered(u32::try_from(after.as_micros()).unwrap_or(u32::MAX))
            }
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Outcome::Refused,
            Ok(Err(_)) | Err(_) => Outcome::Lost,
        }
    }

    pub fn socket(self) -> io::Result<StdSocket> {
        let socket = StdSocket::bind((self.own, 0))?;
        // Whole or not at all, whatever the kernel believes of the path.
        match self.own {
            IpAddr::V4(_) => set_ip_mtu_discover(&socket, Ipv4PathMtuDiscovery::PROBE)?,
            IpAddr::V6(_) => set_ipv6_mtu_discover(&socket, Ipv6PathMtuDiscovery::PROBE)?,
        }
        socket.connect(self.to)?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    }

    async fn answered(self, socket: StdSocket, nonce: u64) -> io::Result<Duration> {
        let socket = UdpSocket::from_std(socket)?;
        let began = Instant::now();
        socket.send(&question(nonce, self.length)).await?;
        // One more than an answer has, so that a longer one is not taken for it.
        let mut packet = [0; LENGTH + 1];
        loop {
            let length = socket.recv(&mut packet).await?;
            if answers(&packet[..length], nonce) {
                return Ok(began.elapsed());
            }
        }
    }
}
