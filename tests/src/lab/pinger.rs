//! Pings that go on, a thousand a second or so, until they are ended; every reply is
//! told from every other, so that what was on its way at the end is not called lost.

use std::{
    net::{IpAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use rustix::net::{AddressFamily, SocketType, ipproto, socket, sockopt};
use uuid::Uuid;

use super::{Namespace, icmp, ping};
use crate::wait::patiently;

/// For what is still on its way when no more are sent.
const LINGER: Duration = Duration::from_secs(1);
/// Replies wait here while this busy machine has no time for them.
const BUFFER: usize = 8 << 20;

pub struct Pinger {
    shared: Arc<Shared>,
    sender: JoinHandle<()>,
    receiver: JoinHandle<Pinged>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pinged {
    pub sent: u64,
    pub received: u64,
    /// Between one reply and the next, or the end.
    pub longest_silence: Duration,
    /// The number of the first that was not answered.
    pub first_lost: Option<u64>,
}

#[derive(Default)]
struct Shared {
    ended: AtomicBool,
    sent: AtomicU64,
    received: AtomicU64,
}

impl Pinger {
    /// Every millisecond.
    pub fn start(from: &Namespace, to: impl Into<IpAddr>) -> Result<Self> {
        Self::every(Duration::from_millis(1), from, to)
    }

    pub fn every(interval: Duration, from: &Namespace, to: impl Into<IpAddr>) -> Result<Self> {
        let to = to.into();
        // The first packet of all asks for neighbours on its way, and may not survive it.
        patiently("a first ping is answered", || {
            let first = ping(from, to, 1)?;
            ensure!(first.lost() == 0, "{}", first.said.stdout);
            Ok(())
        })?;
        let socket = from.inside(|| raw(to)).context("a socket for pings")?;
        let hearing = socket.try_clone()?;
        // Others may ping the same place from here, and all hear all replies.
        let (_, id, ..) = Uuid::new_v4().as_fields();
        let shared = Arc::new(Shared::default());
        let (ours, theirs) = (Arc::clone(&shared), Arc::clone(&shared));
        let is_ipv4 = to.is_ipv4();
        Ok(Self {
            shared,
            sender: thread::spawn(move || send(&socket, &ours, is_ipv4, id, interval)),
            receiver: thread::spawn(move || receive(&hearing, &theirs, is_ipv4, id)),
        })
    }

    /// Replies so far, to see that it goes on.
    pub fn received(&self) -> u64 {
        self.shared.received.load(Ordering::Relaxed)
    }

    pub fn finish(self) -> Result<Pinged> {
        self.shared.ended.store(true, Ordering::Relaxed);
        let sent = self.sender.join();
        sent.map_err(|_| anyhow!("the sender of pings panicked"))?;
        let received = self.receiver.join();
        received.map_err(|_| anyhow!("the receiver of pings panicked"))
    }
}

impl Pinged {
    pub fn lost(&self) -> u64 {
        self.sent - self.received
    }
}

/// The kernel computes no IPv4 checksum for it, and gives the IPv4 header with it.
fn raw(to: IpAddr) -> Result<UdpSocket> {
    let raw = match to {
        IpAddr::V4(_) => socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::ICMP)),
        IpAddr::V6(_) => socket(AddressFamily::INET6, SocketType::RAW, Some(ipproto::ICMPV6)),
    }?;
    sockopt::set_socket_recv_buffer_size_force(&raw, BUFFER)?;
    let socket = UdpSocket::from(raw);
    socket.connect((to, 0))?;
    socket.set_read_timeout(Some(Duration::from_millis(50)))?;
    Ok(socket)
}

fn send(socket: &UdpSocket, shared: &Shared, is_ipv4: bool, id: u16, interval: Duration) {
    while !shared.ended.load(Ordering::Relaxed) {
        let number = shared.sent.load(Ordering::Relaxed);
        let [.., high, low] = number.to_be_bytes();
        let sequence = u16::from_be_bytes([high, low]);
        let request = icmp::request(is_ipv4, id, sequence, &number.to_be_bytes());
        shared.sent.store(number + 1, Ordering::Release);
        // One that cannot be sent is one more that is not answered.
        drop(socket.send(&request));
        thread::sleep(interval);
    }
}

fn receive(socket: &UdpSocket, shared: &Shared, is_ipv4: bool, id: u16) -> Pinged {
    let mut arrived: Vec<bool> = Vec::new();
    let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
    let mut until = None;
    let mut packet = [0; 256];
    loop {
        if let Ok(length) = socket.recv(&mut packet)
            && let Some(number) = reply(&packet[..length], is_ipv4, id)
        {
            if arrived.len() <= number {
                arrived.resize(number + 1, false);
            }
            // A second answer to one request is none to another.
            if !std::mem::replace(&mut arrived[number], true) {
                shared.received.fetch_add(1, Ordering::Relaxed);
                longest = longest.max(last.elapsed());
                last = Instant::now();
            }
        }
        if shared.ended.load(Ordering::Relaxed) {
            let until = *until.get_or_insert_with(|| {
                longest = longest.max(last.elapsed());
                Instant::now() + LINGER
            });
            let pinged = Pinged {
                sent: shared.sent.load(Ordering::Acquire),
                received: shared.received.load(Ordering::Relaxed),
                first_lost: arrived
                    .iter()
                    .position(|came| !came)
                    .map(|lost| lost as u64),
                longest_silence: longest,
            };
            if pinged.lost() == 0 || Instant::now() > until {
                return pinged;
            }
        }
    }
}

/// The number of the request that it answers.
fn reply(packet: &[u8], is_ipv4: bool, id: u16) -> Option<usize> {
    let (kind, message) = if is_ipv4 {
        let header = usize::from(packet.first()? & 0xf) * 4;
        (icmp::REPLY_V4, packet.get(header..)?)
    } else {
        (icmp::REPLY_V6, packet)
    };
    let ours = *message.first()? == kind && message.get(4..6)? == id.to_be_bytes();
    let number = message.get(8..16)?.try_into().ok()?;
    ours.then_some(usize::try_from(u64::from_be_bytes(number)).ok()?)
}
