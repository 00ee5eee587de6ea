//! One netlink socket: many requests in one call, and answers that are never mistaken
//! for another request's.
//!
//! A request without the ACK flag still answers when it fails, with its own sequence
//! number: so of a batch only the last one asks for an answer, and the others speak up
//! when something is wrong.

use std::{io, time::Duration};

use netlink_packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NetlinkMessage, NetlinkSerializable,
};
use netlink_sys::SocketAddr;
use rustix::{
    io::{Errno, retry_on_intr},
    net::{RecvFlags, sockopt},
};
use thiserror::Error;

use self::{answer::Answer, batch::Batch};
pub use self::{
    answer::{Message, Messages, Refusal},
    batch::Answers,
    request::Request,
};

mod answer;
mod batch;
mod request;

/// What fits into one call. The failures of more messages than this would not fit into
/// the receive buffer.
const BATCH: usize = 32 * 1024;
const SEND_BUFFER: usize = 128 * 1024;
/// Every message of a batch may fail, and each failure takes about a kilobyte here.
const RECEIVE_BUFFER: usize = 4 * 1024 * 1024;
/// The kernel fills at most 32 KB of a dump into one read.
const READ: usize = 64 * 1024;
/// The kernel has answered before a send returns: whoever waits this long waits for ever.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often a dump is begun again because something changed meanwhile.
const TRIES: usize = 10;
/// Where flags and sequence number are in a message.
const FLAGS: std::ops::Range<usize> = 6..8;
const SEQUENCE: std::ops::Range<usize> = 8..12;

#[derive(Debug, Error)]
pub enum NetlinkError {
    #[error("cannot {what} a netlink socket")]
    Open {
        what: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("{0}")]
    Refused(Refusal),
    /// What was asked for may have been done, or not.
    #[error("an answer of the kernel was lost")]
    Lost(#[source] io::Error),
    #[error("a list that the kernel gives was interrupted by changes {TRIES} times in a row")]
    Torn,
}

#[derive(Debug)]
pub struct Socket {
    socket: netlink_sys::Socket,
    outgoing: Vec<u8>,
    incoming: Vec<u8>,
    sequence: u32,
}

impl Socket {
    pub fn open(protocol: isize) -> Result<Self, NetlinkError> {
        Self::with_buffer(protocol, RECEIVE_BUFFER)
    }

    pub(super) fn with_buffer(
        protocol: isize,
        receive_buffer: usize,
    ) -> Result<Self, NetlinkError> {
        let open = |what| move |source| NetlinkError::Open { what, source };
        let mut socket = netlink_sys::Socket::new(protocol).map_err(open("open"))?;
        socket.bind_auto().map_err(open("bind"))?;
        // From then on nobody but the kernel can send to it.
        socket
            .connect(&SocketAddr::new(0, 0))
            .map_err(open("connect"))?;
        enlarge(&socket, receive_buffer).map_err(open("size"))?;
        sockopt::set_socket_send_buffer_size(&socket, SEND_BUFFER)
            .and_then(|()| {
                sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(PATIENCE))
            })
            .map_err(|errno| open("set up")(errno.into()))?;
        socket
            .set_cap_ack(true)
            .and_then(|()| socket.set_ext_ack(true))
            .and_then(|()| socket.set_netlink_get_strict_chk(true))
            .map_err(open("set up"))?;
        Ok(Self {
            socket,
            outgoing: Vec::with_capacity(BATCH),
            incoming: vec![0; READ],
            sequence: 0,
        })
    }

    /// Has all of these done, in this order; one that is refused stops no other.
    pub fn perform<I: NetlinkSerializable>(
        &mut self,
        requests: impl IntoIterator<Item = Request<I>>,
    ) -> Answers {
        let mut answers = Answers::default();
        let mut batch = Batch::default();
        self.outgoing.clear();
        for request in requests {
            let message = request.message();
            if !batch.is_empty() && self.outgoing.len() + message.buffer_len() > BATCH {
                batch = self.flush(&batch, &mut answers);
            }
            batch.last = self.outgoing.len();
            batch.length += 1;
            let sequence = self.encode(message);
            batch.sequence.get_or_insert(sequence);
        }
        if !batch.is_empty() {
            self.flush(&batch, &mut answers);
        }
        answers
    }

    /// One request, and whatever the kernel tells before it says that it is done.
    pub fn ask<I: NetlinkSerializable>(
        &mut self,
        request: Request<I>,
        each: &mut dyn FnMut(&Message<'_>),
    ) -> Result<(), NetlinkError> {
        self.outgoing.clear();
        let flags = request.flags | NLM_F_ACK;
        let sequence = self.encode(Request { flags, ..request }.message());
        let asked = self.exchange(sequence, each).map(|_| ());
        if matches!(asked, Err(NetlinkError::Lost(_))) {
            self.drain();
        }
        asked
    }

    /// Reads a list, and appends what `read` makes of its messages. When changes
    /// interrupt it, the kernel begins anew, and so does this.
    pub fn dump<I: NetlinkSerializable, T>(
        &mut self,
        payload: I,
        into: &mut Vec<T>,
        read: impl Fn(&[u8]) -> Option<T>,
    ) -> Result<(), NetlinkError> {
        self.outgoing.clear();
        let flags = NLM_F_DUMP;
        let mut sequence = self.encode(Request { payload, flags }.message());
        let before = into.len();
        for _ in 0..TRIES {
            let whole = self.exchange(sequence, &mut |message| into.extend(read(message.body)));
            match whole {
                Ok(true) => return Ok(()),
                Ok(false) => {}
                Err(NetlinkError::Refused(refusal)) if !refusal.is_passing() => {
                    return Err(NetlinkError::Refused(refusal));
                }
                Err(NetlinkError::Refused(_)) => self.drain(),
                Err(NetlinkError::Lost(source)) => {
                    // What is left of it would be in the way of the next one.
                    self.drain();
                    if source.kind() == io::ErrorKind::WouldBlock {
                        return Err(NetlinkError::Lost(source));
                    }
                }
                Err(error) => return Err(error),
            }
            into.truncate(before);
            sequence = self.next_sequence();
            self.outgoing[SEQUENCE].copy_from_slice(&sequence.to_ne_bytes());
        }
        Err(NetlinkError::Torn)
    }

    /// Sends what is in `outgoing` as the one request of this number. True: the answer
    /// is of one piece.
    fn exchange(
        &mut self,
        sequence: u32,
        each: &mut dyn FnMut(&Message<'_>),
    ) -> Result<bool, NetlinkError> {
        self.send()?;
        let mut whole = true;
        loop {
            let length = self.receive(RecvFlags::empty())?;
            let messages = Messages::of(&self.incoming[..length]);
            for message in messages.filter(|message| message.sequence == sequence) {
                whole &= message.flags & NLM_F_DUMP_INTR == 0;
                match message.answer() {
                    Answer::Told => each(&message),
                    Answer::Done => return Ok(whole),
                    Answer::Refused(refusal) => return Err(NetlinkError::Refused(refusal)),
                }
            }
        }
    }

    /// Sends a batch and reads until its last message is answered; returns the next.
    fn flush(&mut self, batch: &Batch, answers: &mut Answers) -> Batch {
        let next = Batch {
            first: batch.first + batch.length,
            ..Batch::default()
        };
        let flags = &mut self.outgoing[batch.last..][FLAGS];
        let acknowledged = u16::from_ne_bytes([flags[0], flags[1]]) | NLM_F_ACK;
        flags.copy_from_slice(&acknowledged.to_ne_bytes());
        let read = self
            .send()
            .and_then(|()| self.read_answers(batch, &mut answers.refused));
        if let Err(error) = read {
            // The kernel did all of it before it said so: what it still has to say is
            // there already.
            while self
                .receive(RecvFlags::DONTWAIT)
                .is_ok_and(|length| !batch.note(&self.incoming[..length], &mut answers.refused))
            {
            }
            self.drain();
            answers.lost.get_or_insert(error);
        }
        self.outgoing.clear();
        next
    }

    fn read_answers(
        &mut self,
        batch: &Batch,
        refused: &mut Vec<(usize, Refusal)>,
    ) -> Result<(), NetlinkError> {
        loop {
            let length = self.receive(RecvFlags::empty())?;
            if batch.note(&self.incoming[..length], refused) {
                return Ok(());
            }
        }
    }

    fn encode<I: NetlinkSerializable>(&mut self, mut message: NetlinkMessage<I>) -> u32 {
        let sequence = self.next_sequence();
        message.header.sequence_number = sequence;
        message.finalize();
        let start = self.outgoing.len();
        let length = message.buffer_len().next_multiple_of(4);
        self.outgoing.resize(start + length, 0);
        message.serialize(&mut self.outgoing[start..]);
        sequence
    }

    fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    fn send(&self) -> Result<(), NetlinkError> {
        let sent = retry_on_intr(|| {
            rustix::net::send(
                &self.socket,
                &self.outgoing,
                rustix::net::SendFlags::empty(),
            )
        });
        sent.map(|_| ())
            .map_err(|errno| NetlinkError::Lost(errno.into()))
    }

    fn receive(&mut self, flags: RecvFlags) -> Result<usize, NetlinkError> {
        let flags = flags | RecvFlags::TRUNC;
        let received =
            retry_on_intr(|| rustix::net::recv(&self.socket, &mut self.incoming[..], flags));
        let (_, length) = received.map_err(|errno| NetlinkError::Lost(errno.into()))?;
        if length > self.incoming.len() {
            return Err(NetlinkError::Lost(Errno::MSGSIZE.into()));
        }
        Ok(length)
    }

    /// Throws away what the kernel still has to say. A dump that nobody reads to its
    /// end keeps the next one from beginning.
    fn drain(&mut self) {
        loop {
            match self.receive(RecvFlags::DONTWAIT) {
                Err(NetlinkError::Lost(error))
                    if ![Some(Errno::NOBUFS), Some(Errno::MSGSIZE)]
                        .contains(&Errno::from_io_error(&error)) =>
                {
                    return;
                }
                Ok(_) | Err(_) => {}
            }
        }
    }
}

/// Makes room for what the kernel tells, more than the system's limit if it may.
pub(super) fn enlarge(socket: &netlink_sys::Socket, bytes: usize) -> io::Result<()> {
    sockopt::set_socket_recv_buffer_size_force(socket, bytes)
        .or_else(|_| sockopt::set_socket_recv_buffer_size(socket, bytes))
        .map_err(io::Error::from)
}

#[cfg(test)]
mod tests;
