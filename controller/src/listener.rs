//! Connections: who is at the other end, and a way to cut one off.
//!
//! Each comes through the door in a task of its own, so that none waits for another's
//! handshake.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::mpsc,
    time::{Instant, Sleep, sleep, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;
use tracing::{debug, warn};

use crate::{
    metrics::Metrics,
    trust::{
        Door, Identity,
        door::Passed,
        places::{Place, Strangers},
    },
};

/// Who is at the other end.
#[derive(Debug, Clone, Default)]
pub struct Peer {
    pub address: Option<SocketAddr>,
    pub identity: Identity,
    /// Cuts the connection, also when nobody reads at the other end.
    pub kill: CancellationToken,
}

pub struct Connection {
    stream: Box<dyn Both>,
    peer: Peer,
    killed: Pin<Box<WaitForCancellationFutureOwned>>,
    /// When it ends by itself: who is known, until the first word.
    end: Option<Pin<Box<Sleep>>>,
    /// Of a stranger: one of a bounded number.
    place: Option<Place>,
}

trait Both: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Both for T {}

/// Ten thousand agents may come at once.
const BACKLOG: u32 = 4096;
/// Who connects says something within this time.
const FIRST_WORD: Duration = Duration::from_secs(10);
/// Who has no certificate is served so long.
const STRANGERS_STAY: Duration = Duration::from_secs(60);
/// Connections that are through the door, and not taken yet.
const THROUGH: usize = 64;
/// How often it is said that connections cannot be accepted.
const COMPLAIN_EVERY: Duration = Duration::from_secs(30);

/// Listens, so that a restart finds its port free.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// The connections of a listener that come through its door, for as long as somebody takes
/// them. Each is cut when `lines` is cancelled.
pub fn connections(
    listener: TcpListener,
    lines: CancellationToken,
    door: Door,
    metrics: Metrics,
) -> ReceiverStream<io::Result<Connection>> {
    let (through, taken) = mpsc::channel(THROUGH);
    tokio::spawn(async move {
        let strangers = Strangers::default();
        let mut complained: Option<Instant> = None;
        loop {
            let accepted = tokio::select! {
                () = through.closed() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, address)) => {
                    let arrival = Arrival {
                        stream,
                        address,
                        kill: lines.child_token(),
                        strangers: strangers.clone(),
                    };
                    tokio::spawn(pass(
                        arrival,
                        door.clone(),
                        through.clone(),
                        metrics.clone(),
                    ));
                }
                Err(error) => {
                    // Out of descriptors, or a peer that was gone already: neither is
                    // a reason to stop serving, and both would spin.
                    if complained.is_none_or(|at| at.elapsed() > COMPLAIN_EVERY) {
                        warn!(%error, "cannot accept connections; is the limit of open files too low?");
                        complained = Some(Instant::now());
                    }
                    sleep(Duration::from_millis(50)).await;
                }
            }
        }
    });
    ReceiverStream::new(taken)
}

/// A connection before the door.
struct Arrival {
    stream: TcpStream,
    address: SocketAddr,
    kill: CancellationToken,
    strangers: Strangers,
}

async fn pass(
    arrival: Arrival,
    mut door: Door,
    through: mpsc::Sender<io::Result<Connection>>,
    metrics: Metrics,
) {
    let Arrival {
        stream,
        address,
        kill,
        strangers,
    } = arrival;
    // Small messages that somebody waits for; a socket that refuses is only slower.
    let _ = stream.set_nodelay(true);
    let passed = tokio::select! {
        () = kill.cancelled() => return,
        passed = timeout(FIRST_WORD, door.pass(stream)) => passed,
    };
    let (stream, identity): (Box<dyn Both>, Identity) = match passed {
        Ok(Ok(Passed::Plain(stream, identity))) => (Box::new(stream), identity),
        Ok(Ok(Passed::Tls(stream, identity))) => (stream, identity),
        Ok(Err(error)) => {
            metrics.handshakes_failed.inc();
            return debug!(%address, %error, "a handshake failed");
        }
        Err(_) => {
            metrics.handshakes_failed.inc();
            return debug!(%address, "a handshake took too long");
        }
    };
    let place = match identity {
        Identity::Plain | Identity::Certified(_) => None,
        Identity::Stranger | Identity::Unencrypted => match strangers.place(address.ip()) {
            Some(place) => Some(place),
            None => return debug!(%address, "too many connections without a certificate"),
        },
    };
    let peer = Peer {
        address: Some(address),
        identity,
        kill,
    };
    // Nobody takes it: this controller is stopping.
    let _ = through.send(Ok(Connection::new(stream, peer, place))).await;
}

impl Connection {
    fn new(stream: Box<dyn Both>, peer: Peer, place: Option<Place>) -> Self {
        let killed = Box::pin(peer.kill.clone().cancelled_owned());
        let end = if place.is_some() {
            STRANGERS_STAY
        } else {
            FIRST_WORD
        };
        Self {
            stream,
            peer,
            killed,
            end: Some(Box::pin(sleep(end))),
            place,
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        self.peer.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.killed.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before && self.place.is_none() {
            self.end = None;
        } else if let Some(end) = &mut self.end
            && end.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
