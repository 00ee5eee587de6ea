//! Connections: who is at the other end, and a way to cut one off.

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
    time::{Instant, Sleep, sleep},
};
use tokio_stream::Stream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;
use tracing::warn;

/// Who is at the other end. Certificates will say more, here.
#[derive(Debug, Clone, Default)]
pub struct Peer {
    pub address: Option<SocketAddr>,
    /// Cuts the connection, also when nobody reads at the other end.
    pub kill: CancellationToken,
}

pub struct Connection {
    stream: TcpStream,
    peer: Peer,
    killed: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Until the first word: how long to wait for it.
    silent: Option<Pin<Box<Sleep>>>,
}

/// Ten thousand agents may come at once.
const BACKLOG: u32 = 4096;
/// Who connects says something within this time.
const FIRST_WORD: Duration = Duration::from_secs(10);
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

/// The connections of a listener, for as long as it lives. Each is cut when `lines`
/// is cancelled.
pub fn connections(
    listener: TcpListener,
    lines: CancellationToken,
) -> impl Stream<Item = io::Result<Connection>> {
    let complained: Option<Instant> = None;
    futures_util::stream::unfold(
        (listener, lines, complained),
        |(listener, lines, mut complained)| async move {
            loop {
                match listener.accept().await {
                    Ok((stream, address)) => {
                        let connection = Connection::new(stream, address, lines.child_token());
                        return Some((Ok(connection), (listener, lines, complained)));
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
        },
    )
}

impl Connection {
    fn new(stream: TcpStream, address: SocketAddr, kill: CancellationToken) -> Self {
        // Small messages that somebody waits for; a socket that refuses is only slower.
        let _ = stream.set_nodelay(true);
        let peer = Peer {
            address: Some(address),
            kill,
        };
        let killed = Box::pin(peer.kill.clone().cancelled_owned());
        Self {
            stream,
            peer,
            killed,
            silent: Some(Box::pin(sleep(FIRST_WORD))),
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
        if buf.filled().len() > before {
            self.silent = None;
        } else if let Some(silent) = &mut self.silent
            && silent.as_mut().poll(cx).is_ready()
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
