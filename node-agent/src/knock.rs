//! Does a packet come through, and its answer back? It is UDP to a port where nobody
//! listens: the other end's kernel says so, and no right is needed for it here.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket},
    time::Duration,
};

use overlay::subnet::Family;
use rustix::io::Errno;

/// Above traceroute's, below those that kernels give out.
const PORTS: [u16; 3] = [33_511, 32_719, 31_907];
const PATIENCE: Duration = Duration::from_millis(500);

/// What fits every way.
pub const SMALL: u32 = 64;

/// A packet of this size with its headers; the reason is one for a person. Without a source
/// the kernel takes one.
pub fn knock(from: Option<IpAddr>, to: IpAddr, size: u32) -> Result<(), String> {
    let headers = match Family::of(to) {
        Family::V4 => 20 + 8,
        Family::V6 => 40 + 8,
    };
    let payload = vec![0; size.saturating_sub(headers) as usize];
    let mut last = None;
    for port in PORTS {
        match once(from, SocketAddr::new(to, port), &payload) {
            Ok(()) => return Ok(()),
            Err(error) => last = Some(error),
        }
    }
    let error = last.expect("there are ports");
    Err(match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "no answer".into(),
        _ => error.to_string(),
    })
}

fn once(from: Option<IpAddr>, to: SocketAddr, payload: &[u8]) -> io::Result<()> {
    let any = match Family::of(to.ip()) {
        Family::V4 => IpAddr::from(Ipv4Addr::UNSPECIFIED),
        Family::V6 => IpAddr::from(Ipv6Addr::UNSPECIFIED),
    };
    let socket = UdpSocket::bind((from.unwrap_or(any), 0))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect(to)?;
    let answered = socket.send(payload).and_then(|_| socket.recv(&mut [0; 64]));
    match answered {
        // Somebody does listen there.
        Ok(_) => Ok(()),
        Err(error) if Errno::from_io_error(&error) == Some(Errno::CONNREFUSED) => Ok(()),
        Err(error) => Err(error),
    }
}
