//! What goes from one namespace to another in a second, and how long there and back
//! takes.

use std::{
    io::{ErrorKind, Read, Write},
    net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use rustix::net::sockopt::set_socket_recv_buffer_size_force;
use tests::{lab::Namespace, wait::DEADLINE};

use crate::rate::middle;

const LENGTH: Duration = Duration::from_secs(1);
/// Of what is bounded: what goes before it counts, and how long it does.
const BEFORE: Duration = Duration::from_secs(2);
const WHILE: Duration = Duration::from_secs(4);
/// As iperf3 writes.
const BLOCK: usize = 128 << 10;
const DATAGRAM: usize = 64;
/// Sent between two looks at the clock, which costs about as much as one of them.
const BETWEEN_GLANCES: usize = 64;
/// Of the receiver of datagrams: little against what arrives in a second.
const BUFFER: usize = 1 << 20;
/// When nothing came for so long, nothing more comes.
const SILENCE: Duration = Duration::from_millis(200);

/// From one of two namespaces to the other, at an address of the other's.
pub struct Way<'a> {
    pub from: &'a Namespace,
    pub to: &'a Namespace,
    pub address: IpAddr,
}

impl Way<'_> {
    /// Bits a second of one TCP connection, as they arrive.
    pub fn throughput(&self) -> Result<u64> {
        let (mut sending, mut receiving) = self.connected()?;
        let sender = thread::spawn(move || {
            let block = vec![b'x'; BLOCK];
            let began = Instant::now();
            while began.elapsed() < LENGTH {
                sending.write_all(&block)?;
            }
            Ok::<_, std::io::Error>(())
        });
        let mut buffer = vec![0; BLOCK];
        let (mut bytes, began) = (0, Instant::now());
        loop {
            match receiving.read(&mut buffer)? {
                0 => break,
                more => bytes += more,
            }
        }
        let elapsed = began.elapsed();
        let sent = sender.join().map_err(|_| anyhow!("the sender panicked"))?;
        sent.context("send")?;
        Ok((bytes as f64 * 8.0 / elapsed.as_secs_f64()) as u64)
    }

    /// Bits a second of one TCP connection that has been going for a while: where there
    /// is a bound, more goes at first.
    pub fn steady(&self) -> Result<u64> {
        let (mut sending, mut receiving) = self.connected()?;
        let sender = thread::spawn(move || {
            let block = vec![b'x'; BLOCK];
            // Until nobody listens.
            while sending.write_all(&block).is_ok() {}
        });
        let mut buffer = vec![0; BLOCK];
        let mut read = || match receiving.read(&mut buffer)? {
            0 => bail!("the sender ended"),
            more => Ok(more),
        };
        let began = Instant::now();
        while began.elapsed() < BEFORE {
            read()?;
        }
        let (mut bytes, began) = (0, Instant::now());
        while began.elapsed() < WHILE {
            bytes += read()?;
        }
        let elapsed = began.elapsed();
        drop(receiving);
        sender.join().map_err(|_| anyhow!("the sender panicked"))?;
        Ok((bytes as f64 * 8.0 / elapsed.as_secs_f64()) as u64)
    }

    /// Of one byte over TCP, there and back; the median.
    pub fn round_trip(&self) -> Result<Duration> {
        let (mut near, mut far) = self.connected()?;
        let echo = thread::spawn(move || {
            let mut byte = [0];
            while far.read_exact(&mut byte).is_ok() {
                if far.write_all(&byte).is_err() {
                    break;
                }
            }
        });
        let mut took = Vec::new();
        let (mut byte, began) = ([0], Instant::now());
        while began.elapsed() < LENGTH {
            let sent = Instant::now();
            near.write_all(&byte)?;
            near.read_exact(&mut byte)?;
            took.push(sent.elapsed());
        }
        drop(near);
        echo.join().map_err(|_| anyhow!("the other end panicked"))?;
        Ok(middle(took))
    }

    /// Datagrams of 64 bytes that arrive in a second, from one that sends as many as go.
    pub fn datagrams(&self) -> Result<u64> {
        let receiving = self.to.inside(|| {
            let socket = UdpSocket::bind((self.address, 0))?;
            set_socket_recv_buffer_size_force(&socket, BUFFER)?;
            socket.set_read_timeout(Some(SILENCE))?;
            Ok(socket)
        })?;
        let address = receiving.local_addr()?;
        let sending = self.from.inside(|| {
            let socket = UdpSocket::bind((unspecified(address), 0))?;
            socket.connect(address)?;
            Ok(socket)
        })?;
        let sender = thread::spawn(move || {
            let datagram = [b'x'; DATAGRAM];
            let began = Instant::now();
            while began.elapsed() < LENGTH {
                for _ in 0..BETWEEN_GLANCES {
                    // One that does not go is one that does not arrive.
                    drop(sending.send(&datagram));
                }
            }
            began.elapsed()
        });
        let (mut arrived, mut buffer) = (0_u64, [0; DATAGRAM]);
        loop {
            match receiving.recv(&mut buffer) {
                Ok(_) => arrived += 1,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).context("receive"),
            }
        }
        let elapsed = sender.join();
        let elapsed = elapsed.map_err(|_| anyhow!("the sender panicked"))?;
        Ok((arrived as f64 / elapsed.as_secs_f64()) as u64)
    }

    /// A socket stays in the namespace that it was made in.
    fn connected(&self) -> Result<(TcpStream, TcpStream)> {
        let listen = || Ok(TcpListener::bind((self.address, 0))?);
        let listener = self.to.inside(listen)?;
        let address = listener.local_addr()?;
        let connect = || Ok(TcpStream::connect_timeout(&address, DEADLINE)?);
        let near = self.from.inside(connect)?;
        let (far, _) = listener.accept()?;
        for stream in [&near, &far] {
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(DEADLINE))?;
            stream.set_write_timeout(Some(DEADLINE))?;
        }
        Ok((near, far))
    }
}

fn unspecified(address: SocketAddr) -> IpAddr {
    match address {
        SocketAddr::V4(_) => IpAddr::from([0; 4]),
        SocketAddr::V6(_) => IpAddr::from([0; 16]),
    }
}
