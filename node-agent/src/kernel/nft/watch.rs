//! Who changes the rules besides us: the kernel tells of every transaction.

use std::io;

use netlink_sys::{AsyncSocket, AsyncSocketExt, SocketAddr, TokioSocket};
use rustix::net::sockopt;

use super::{
    Table,
    abi::{self, message, netlink},
    answer::answers,
};

/// Our own install of ten thousand elements is told element by element, too.
const ROOM: usize = 8 << 20;
const DATAGRAM: usize = 64 << 10;

/// Tells when the rules were changed, anywhere in this namespace, by anybody else.
pub struct Watch {
    socket: TokioSocket,
    /// The socket of our own transactions. The process would be the wrong thing to ask
    /// for: the kernel names a thread, and by its number outside of any container.
    ours: u32,
    datagram: Vec<u8>,
}

impl Watch {
    pub fn open(table: &Table) -> io::Result<Self> {
        let mut socket = TokioSocket::new(netlink::NETFILTER)?;
        sockopt::set_socket_recv_buffer_size_force(socket.socket_ref(), ROOM)?;
        socket.socket_mut().bind(&SocketAddr::new(0, 0))?;
        socket
            .socket_mut()
            .add_membership(netlink::GROUP_NFTABLES)?;
        Ok(Self {
            socket,
            ours: table.port(),
            datagram: Vec::with_capacity(DATAGRAM),
        })
    }

    /// Returns when somebody else changed the rules, or when that cannot be excluded
    /// because the kernel told more than there was room for.
    ///
    /// Cancel-safe: a datagram is looked at in the same poll in which it is read.
    pub async fn changed(&mut self) -> io::Result<()> {
        loop {
            self.datagram.clear();
            match self.socket.recv(&mut self.datagram).await {
                Ok(()) => {}
                Err(error) if error.raw_os_error() == Some(LOST) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            }
            // Every transaction ends with its generation.
            let generation = abi::SUBSYSTEM << 8 | u16::from(message::NEW_GENERATION);
            if answers(&self.datagram)
                .any(|event| event.kind == generation && event.port != self.ours)
            {
                return Ok(());
            }
        }
    }
}

const LOST: i32 = rustix::io::Errno::NOBUFS.raw_os_error();
