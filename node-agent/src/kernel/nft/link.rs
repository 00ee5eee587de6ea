//! The socket to nf_tables: transactions and questions.

use std::{io, time::Duration};

use netlink_sys::{Socket, SocketAddr};
use rustix::net::sockopt;
use thiserror::Error;

use super::{
    abi::{FAMILY_INET, message, netlink},
    answer::{Answer, Verdict, answers},
    message::{Attributes, Batch, question},
};

/// The kernel takes a transaction of ten thousand elements in well under a second, but
/// another program's may come first.
const PATIENCE: Duration = Duration::from_secs(10);

/// A listing never sends more in one datagram than half of this.
const DATAGRAM: usize = 64 << 10;

/// Room for the answers to a batch of which every message is refused.
const ANSWERS: usize = 1 << 20;

/// How often a listing is begun anew when the rules change meanwhile.
const ATTEMPTS: u32 = 8;

/// Why the kernel did not do what it was asked.
#[derive(Debug, Error)]
pub enum Trouble {
    #[error("the netfilter socket failed: {0}")]
    Socket(io::Error),
    #[error("the kernel did not answer within {} s", PATIENCE.as_secs())]
    Silent,
    #[error("the rules changed {ATTEMPTS} times while they were read")]
    Restless,
    #[error("the kernel refuses {what}: {}{}", io::Error::from_raw_os_error(*errno), behind(text))]
    Refused {
        what: &'static str,
        errno: i32,
        text: Option<String>,
    },
}

impl Trouble {
    /// Is it only that something is not there?
    pub fn is_absence(&self) -> bool {
        let absent = rustix::io::Errno::NOENT.raw_os_error();
        matches!(self, Self::Refused { errno, .. } if *errno == absent)
    }

    /// Is it only that something is there, or is not?
    pub fn is_conflict(&self) -> bool {
        let conflicts = [rustix::io::Errno::EXIST, rustix::io::Errno::BUSY];
        let there = conflicts.map(rustix::io::Errno::raw_os_error);
        self.is_absence() || matches!(self, Self::Refused { errno, .. } if there.contains(errno))
    }
}

fn behind(text: &Option<String>) -> String {
    text.as_ref()
        .map_or_else(String::new, |text| format!(", {text}"))
}

#[derive(Debug)]
pub struct Link {
    socket: Socket,
    port: u32,
    /// The next message's. Answers with lower ones are late, and for nobody.
    number: u32,
    /// The largest batch that the socket takes.
    room: usize,
    datagram: Vec<u8>,
}

impl Link {
    pub fn open() -> io::Result<Self> {
        let mut socket = Socket::new(netlink::NETFILTER)?;
        let port = socket.bind_auto()?.port_number();
        // A connected socket hears the kernel alone.
        socket.connect(&SocketAddr::new(0, 0))?;
        socket.set_cap_ack(true)?;
        socket.set_ext_ack(true)?;
        sockopt::set_socket_recv_buffer_size_force(&socket, ANSWERS)?;
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(PATIENCE))?;
        Ok(Self {
            socket,
            port,
            number: 1,
            room: 0,
            datagram: Vec::with_capacity(DATAGRAM),
        })
    }

    /// By this number events tell who did it.
    pub fn port(&self) -> u32 {
        self.port
    }

    /// All of the batch, or nothing.
    pub fn commit(&mut self, batch: Batch) -> Result<(), Trouble> {
        let first = self.number;
        let (bytes, last) = batch.seal(first);
        // One more, for the end of the batch, which newer kernels could answer.
        self.number = last.wrapping_add(2);
        if bytes.len() > self.room {
            // The kernel refuses a message larger than the buffer instead of waiting.
            sockopt::set_socket_send_buffer_size_force(&self.socket, bytes.len().max(DATAGRAM))
                .map_err(|errno| Trouble::Socket(errno.into()))?;
            self.room = bytes.len().max(DATAGRAM);
        }
        self.socket.send(&bytes, 0).map_err(Trouble::Socket)?;
        self.read(first, |answer| {
            let Some(verdict) = verdict(answer) else {
                return Ok(false);
            };
            if verdict.errno != 0 {
                // The batch begins with a message that is answered only for a failure
                // of the whole.
                let place = answer.number.wrapping_sub(first);
                return Err(refused(subject(&bytes, place), verdict));
            }
            Ok(answer.number == last)
        })
    }

    /// Everything of one sort, as of one moment: the attributes of each.
    pub fn list(&mut self, sort: u8, of: &Attributes) -> Result<Vec<Vec<u8>>, Trouble> {
        self.list_of(FAMILY_INET, sort, of)
    }

    /// The same, of tables of another family.
    pub fn list_of(
        &mut self,
        family: u8,
        sort: u8,
        of: &Attributes,
    ) -> Result<Vec<Vec<u8>>, Trouble> {
        for _ in 0..ATTEMPTS {
            let mut steady = true;
            let found = self.ask(sort, netlink::DUMP, family, of, &mut steady)?;
            if steady {
                return Ok(found);
            }
        }
        Err(Trouble::Restless)
    }

    /// One object by its name; none if it is not there.
    pub fn one(&mut self, sort: u8, of: &Attributes) -> Result<Option<Vec<u8>>, Trouble> {
        self.one_of(FAMILY_INET, sort, of)
    }

    /// The same, of a table of another family.
    pub fn one_of(
        &mut self,
        family: u8,
        sort: u8,
        of: &Attributes,
    ) -> Result<Option<Vec<u8>>, Trouble> {
        match self.ask(sort, netlink::ACK, family, of, &mut true) {
            Ok(found) => Ok(found.into_iter().next()),
            Err(trouble) if trouble.is_absence() => Ok(None),
            Err(trouble) => Err(trouble),
        }
    }

    fn ask(
        &mut self,
        sort: u8,
        flags: u16,
        family: u8,
        of: &Attributes,
        steady: &mut bool,
    ) -> Result<Vec<Vec<u8>>, Trouble> {
        let number = self.number;
        self.number = number.wrapping_add(1);
        let bytes = question(sort, flags, family, number, of);
        self.socket.send(&bytes, 0).map_err(Trouble::Socket)?;
        let mut found = Vec::new();
        self.read(number, |answer| {
            *steady &= answer.flags & netlink::DUMP_INTERRUPTED == 0;
            match verdict(answer) {
                None => {
                    found.push(answer.attributes().to_vec());
                    Ok(false)
                }
                Some(verdict) if verdict.errno == 0 => Ok(true),
                Some(verdict) => Err(refused("a look", verdict)),
            }
        })?;
        Ok(found)
    }

    /// Hands over the answers to the message `first` and those after it, until one is
    /// said to be the last.
    fn read(
        &mut self,
        first: u32,
        mut each: impl FnMut(&Answer<'_>) -> Result<bool, Trouble>,
    ) -> Result<(), Trouble> {
        loop {
            self.datagram.clear();
            match self.socket.recv(&mut self.datagram, 0) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Err(Trouble::Silent);
                }
                Err(error) => return Err(Trouble::Socket(error)),
            }
            for answer in answers(&self.datagram) {
                let late = answer.number.wrapping_sub(first) > u32::MAX / 2;
                if !late && each(&answer)? {
                    return Ok(());
                }
            }
        }
    }
}

/// The end of an answer, or none if it goes on.
fn verdict(answer: &Answer<'_>) -> Option<Verdict> {
    match answer.kind {
        netlink::ERROR | netlink::DONE => Verdict::of(answer),
        _ => None,
    }
}

fn refused(what: &'static str, verdict: Verdict) -> Trouble {
    Trouble::Refused {
        what,
        errno: verdict.errno,
        text: verdict.text,
    }
}

/// What the message at this place of a batch is about.
fn subject(batch: &[u8], place: u32) -> &'static str {
    let message = usize::try_from(place)
        .ok()
        .filter(|&place| place > 0)
        .and_then(|place| answers(batch).nth(place));
    match message.map(|message| message.kind.to_be_bytes()[1]) {
        Some(message::NEW_TABLE) => "a table",
        Some(message::DEL_TABLE) => "to delete a table",
        Some(message::NEW_CHAIN) => "a chain",
        Some(message::NEW_RULE) => "a rule",
        Some(message::NEW_SET) => "a set",
        Some(message::NEW_ELEMENT) => "elements",
        Some(message::DEL_ELEMENT) => "to delete elements",
        _ => "the transaction",
    }
}
