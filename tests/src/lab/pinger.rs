//! Pings that go on, a thousand a second or so, until they are ended; every reply is
//! told from every other, so that what was on its way at the end is not called lost.

use std::{
    collections::BTreeMap,
    fmt,
    net::{IpAddr, UdpSocket},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, socket_with, sockopt};
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

#[derive(Clone, PartialEq, Eq)]
pub struct Pinged {
    pub sent: u64,
    pub received: u64,
    /// Between one reply and the next, or the end.
    pub longest_silence: Duration,
    /// Those that were not answered, but for the ones that were told of before.
    pub losses: Vec<Lost>,
}

/// A ping that was not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lost {
    /// They count from 0.
    pub number: u64,
    /// It was sent between these two: its sender may have had to wait in between.
    pub before: Instant,
    pub after: Instant,
}

#[derive(Default)]
struct Shared {
    ended: AtomicBool,
    sent: AtomicU64,
    received: AtomicU64,
    /// Those that are not answered yet.
    waiting: Mutex<BTreeMap<u64, Lost>>,
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

    pub fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::Relaxed)
    }

    /// Gives up those that were sent before this moment, and tells of each only once.
    pub fn lost_before(&self, moment: Instant) -> Vec<Lost> {
        let mut lost = Vec::new();
        self.shared.waiting().retain(|_, one| {
            let late = one.after < moment;
            if late {
                lost.push(*one);
            }
            !late
        });
        lost
    }

    /// So that several may be ended together: no more are sent.
    pub fn stop(&self) {
        self.shared.ended.store(true, Ordering::Relaxed);
    }

    pub fn finish(self) -> Result<Pinged> {
        self.stop();
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

/// Short: there may be thousands of losses.
impl fmt::Debug for Pinged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pinged")
            .field("sent", &self.sent)
            .field("received", &self.received)
            .field("longest_silence", &self.longest_silence)
            .field("first_lost", &self.losses.first().map(|lost| lost.number))
            .finish()
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, BTreeMap<u64, Lost>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The kernel computes no IPv4 checksum for it, and gives the IPv4 header with it.
fn raw(to: IpAddr) -> Result<UdpSocket> {
    let (family, protocol) = match to {
        IpAddr::V4(_) => (AddressFamily::INET, ipproto::ICMP),
        IpAddr::V6(_) => (AddressFamily::INET6, ipproto::ICMPV6),
    };
    // A program that is started meanwhile would keep it, and with it the namespace.
    let flags = SocketFlags::CLOEXEC;
    let raw = socket_with(family, SocketType::RAW, flags, Some(protocol))?;
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
        let before = Instant::now();
        let waiting = Lost {
            number,
            before,
            after: before,
        };
        shared.waiting().insert(number, waiting);
        shared.sent.store(number + 1, Ordering::Release);
        // One that cannot be sent is one more that is not answered.
        drop(socket.send(&request));
        if let Some(waiting) = shared.waiting().get_mut(&number) {
            waiting.after = Instant::now();
        }
        thread::sleep(interval);
    }
}

fn receive(socket: &UdpSocket, shared: &Shared, is_ipv4: bool, id: u16) -> Pinged {
    let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
    let mut until = None;
    let mut packet = [0; 256];
    loop {
        if let Ok(length) = socket.recv(&mut packet)
            && let Some(number) = reply(&packet[..length], is_ipv4, id)
            // A second answer to one request is none to another.
            && shared.waiting().remove(&number).is_some()
        {
            shared.received.fetch_add(1, Ordering::Relaxed);
            longest = longest.max(last.elapsed());
            last = Instant::now();
        }
        if shared.ended.load(Ordering::Relaxed) {
            let until = *until.get_or_insert_with(|| {
                longest = longest.max(last.elapsed());
                Instant::now() + LINGER
            });
            let (sent, waiting) = (shared.sent.load(Ordering::Acquire), shared.waiting());
            if waiting.is_empty() || Instant::now() > until {
                return Pinged {
                    sent,
                    received: shared.received.load(Ordering::Relaxed),
                    longest_silence: longest,
                    losses: waiting.values().copied().collect(),
                };
            }
        }
    }
}

/// The number of the request that it answers.
fn reply(packet: &[u8], is_ipv4: bool, id: u16) -> Option<u64> {
    let (kind, message) = if is_ipv4 {
        let header = usize::from(packet.first()? & 0xf) * 4;
        (icmp::REPLY_V4, packet.get(header..)?)
    } else {
        (icmp::REPLY_V6, packet)
    };
    let ours = *message.first()? == kind && message.get(4..6)? == id.to_be_bytes();
    let number = message.get(8..16)?.try_into().ok()?;
    ours.then_some(u64::from_be_bytes(number))
}
