//! Connections: who is at the other end, and a way to cut one off.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
};
use tokio_stream::Stream;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::transport::server::Connected;
use tracing::debug;

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
}

/// The connections of a listener, for as long as it lives.
pub fn connections(listener: TcpListener) -> impl Stream<Item = io::Result<Connection>> {
    futures_util::stream::unfold(listener, |listener| async move {
        loop {
            match listener.accept().await {
                Ok((stream, address)) => {
                    return Some((Ok(Connection::new(stream, address)), listener));
                }
                Err(error) => {
                    // Out of descriptors, or a peer that was gone already: neither is
                    // a reason to stop serving, and both would spin.
                    debug!(%error, "could not accept a connection");
                    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                }
            }
        }
    })
}

impl Connection {
    fn new(stream: TcpStream, address: SocketAddr) -> Self {
        // Small messages that somebody waits for; a socket that refuses is only slower.
        let _ = stream.set_nodelay(true);
        let peer = Peer {
            address: Some(address),
            kill: CancellationToken::new(),
        };
        let killed = Box::pin(peer.kill.clone().cancelled_owned());
        Self {
            stream,
            peer,
            killed,
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
        Pin::new(&mut self.stream).poll_read(cx, buf)
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
