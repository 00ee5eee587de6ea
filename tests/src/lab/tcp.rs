//! TCP between two namespaces: numbered blocks, each of which the other end knows
//! byte for byte.

use std::{
    io::{Read, Write},
    net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};

use super::Namespace;
use crate::wait::{DEADLINE, patiently};

const BLOCK: usize = 8 << 10;

/// Some megabytes a second until it is ended, which leaves the machine time for more.
pub struct Stream {
    ended: Arc<AtomicBool>,
    bytes: Arc<AtomicU64>,
    writer: JoinHandle<Result<u64>>,
    reader: JoinHandle<Result<Streamed>>,
}

/// All that was sent, as it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Streamed {
    pub bytes: u64,
    pub blocks: u64,
    /// Between one block and the next at the end that reads.
    pub longest_pause: Duration,
}

/// Carries so many bytes, rounded up to blocks, as fast as it goes, and checks them.
pub fn tcp(
    from: &Namespace,
    to: &Namespace,
    address: impl Into<IpAddr>,
    bytes: u64,
) -> Result<Streamed> {
    let blocks = bytes.div_ceil(BLOCK as u64);
    let last = move |block| block >= blocks;
    Stream::carry(from, to, address.into(), Duration::ZERO, last)?.joined()
}

impl Stream {
    /// To an address of the other namespace, at a port that is free there.
    pub fn start(from: &Namespace, to: &Namespace, address: impl Into<IpAddr>) -> Result<Self> {
        Self::every(Duration::from_millis(1), from, to, address)
    }

    /// A block in each such time.
    pub fn every(
        pace: Duration,
        from: &Namespace,
        to: &Namespace,
        address: impl Into<IpAddr>,
    ) -> Result<Self> {
        let ended = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&ended);
        let last = move |_| asked.load(Ordering::Relaxed);
        let mut stream = Self::carry(from, to, address.into(), pace, last)?;
        stream.ended = ended;
        Ok(stream)
    }

    /// Bytes that arrived so far, to see that it goes on.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Ends it; an error if anything was lost, changed or reset.
    pub fn finish(self) -> Result<Streamed> {
        self.ended.store(true, Ordering::Relaxed);
        self.joined()
    }

    fn carry(
        from: &Namespace,
        to: &Namespace,
        address: IpAddr,
        pace: Duration,
        last: impl Fn(u64) -> bool + Send + 'static,
    ) -> Result<Self> {
        let (from, to) = connected(from, to, address)?;
        let bytes = Arc::new(AtomicU64::new(0));
        let arrived = Arc::clone(&bytes);
        Ok(Self {
            ended: Arc::default(),
            bytes,
            writer: thread::spawn(move || write(from, pace, last)),
            reader: thread::spawn(move || read(to, &arrived)),
        })
    }

    fn joined(self) -> Result<Streamed> {
        let sent = self.writer.join();
        let sent = sent.map_err(|_| anyhow!("the end that writes panicked"))?;
        let streamed = self.reader.join();
        let streamed = streamed.map_err(|_| anyhow!("the end that reads panicked"))?;
        let (sent, streamed) = (sent?, streamed?);
        let arrived = streamed.blocks;
        ensure!(sent == arrived, "{arrived} blocks of {sent} arrived");
        Ok(streamed)
    }
}

/// A socket stays in the namespace that it was made in, whoever uses it.
fn connected(from: &Namespace, to: &Namespace, address: IpAddr) -> Result<(TcpStream, TcpStream)> {
    let listener = to.inside(|| {
        let listener = TcpListener::bind((address, 0));
        listener.with_context(|| format!("listen on {address} in {}", to.name()))
    })?;
    listener.set_nonblocking(true)?;
    let address: SocketAddr = listener.local_addr()?;
    let connecting = from.inside(|| {
        let stream = TcpStream::connect_timeout(&address, DEADLINE);
        stream.with_context(|| format!("connect from {} to {address}", from.name()))
    })?;
    let (accepted, _) = patiently("the connection is accepted", || Ok(listener.accept()?))?;
    accepted.set_nonblocking(false)?;
    for stream in [&connecting, &accepted] {
        stream.set_read_timeout(Some(DEADLINE))?;
        stream.set_write_timeout(Some(DEADLINE))?;
    }
    Ok((connecting, accepted))
}

fn write(mut stream: TcpStream, pace: Duration, last: impl Fn(u64) -> bool) -> Result<u64> {
    let mut number = 0;
    while !last(number) {
        let written = stream.write_all(&block(number));
        written.with_context(|| format!("write block {number}"))?;
        number += 1;
        thread::sleep(pace);
    }
    stream.shutdown(Shutdown::Write)?;
    Ok(number)
}

fn read(mut stream: TcpStream, bytes: &AtomicU64) -> Result<Streamed> {
    let mut buffer = [0; BLOCK];
    let (mut blocks, mut longest) = (0, Duration::ZERO);
    let mut before = Instant::now();
    loop {
        // The end may come only between two blocks.
        let first = stream.read(&mut buffer[..1]);
        let whole = match first {
            Ok(0) => break,
            Ok(_) => stream.read_exact(&mut buffer[1..]),
            Err(error) => Err(error),
        };
        whole.with_context(|| format!("read block {blocks}"))?;
        ensure!(buffer == block(blocks), "block {blocks} is not as it was");
        blocks += 1;
        longest = longest.max(before.elapsed());
        before = Instant::now();
        bytes.fetch_add(BLOCK as u64, Ordering::Relaxed);
    }
    Ok(Streamed {
        bytes: blocks * BLOCK as u64,
        blocks,
        longest_pause: longest,
    })
}

/// No two are alike, nor is any part of one like another.
fn block(number: u64) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut state = number;
    for word in block.chunks_exact_mut(8) {
        word.copy_from_slice(&state.to_be_bytes());
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
    }
    block
}
