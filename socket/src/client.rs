//! Asks an agent, one request a connection. It is HTTP/1.0: the answer comes in one
//! piece and ends where the connection does.

use std::{
    io::{self, ErrorKind, Read, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with,
    sockopt::{Timeout, set_socket_timeout},
};
use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;

use crate::words::Refusal;

/// The peers of a hundred thousand nodes take a quarter of this.
const LONGEST: u64 = 256 << 20;

#[derive(Debug, Error)]
pub enum AskError {
    #[error(
        "no weft-agent answers at {}; is it running, and is that its --socket?",
        path.display()
    )]
    Nobody { path: PathBuf },
    #[error("{} is not open to this user; ask as root", path.display())]
    Forbidden { path: PathBuf },
    #[error("the weft-agent at {} has not answered within {within:?}", path.display())]
    Silent { path: PathBuf, within: Duration },
    #[error("the weft-agent at {} ended before it had answered", path.display())]
    Broken {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("what answers at {} is no weft-agent of this version", path.display())]
    Nonsense { path: PathBuf },
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// Where an agent listens, and how long it may take.
#[derive(Debug, Clone)]
pub struct Client {
    path: PathBuf,
    within: Duration,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    pub code: u16,
    pub body: Vec<u8>,
}

impl Client {
    pub fn new(path: &Path, within: Duration) -> Self {
        let path = path.to_owned();
        Self { path, within }
    }

    /// Asks, and reads the answer as words; what is refused is an error.
    pub fn ask<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        words: Option<&impl Serialize>,
    ) -> Result<T, AskError> {
        let body = words.map(|words| {
            serde_json::to_vec(words).expect("words hold nothing that JSON could not")
        });
        let reply = self.send(method, path, &body.unwrap_or_default())?;
        let nonsense = || AskError::Nonsense {
            path: self.path.clone(),
        };
        if (200..300).contains(&reply.code) {
            // Nothing at all is what a unit reads.
            let body: &[u8] = if reply.body.is_empty() {
                b"null"
            } else {
                &reply.body
            };
            return serde_json::from_slice(body).map_err(|_| nonsense());
        }
        let refusal: Refusal = serde_json::from_slice(&reply.body).map_err(|_| nonsense())?;
        Err(refusal.into())
    }

    /// One request and its answer, as bytes.
    pub fn send(&self, method: &str, path: &str, body: &[u8]) -> Result<Reply, AskError> {
        let answer = self.exchange(method, path, body).map_err(|source| {
            let path = self.path.clone();
            match source.kind() {
                ErrorKind::NotFound | ErrorKind::ConnectionRefused => AskError::Nobody { path },
                ErrorKind::PermissionDenied => AskError::Forbidden { path },
                ErrorKind::WouldBlock | ErrorKind::TimedOut => AskError::Silent {
                    path,
                    within: self.within,
                },
                _ => AskError::Broken { path, source },
            }
        })?;
        match read(&answer) {
            Some(Answer::Whole(reply)) => Ok(reply),
            Some(Answer::Torn) => Err(AskError::Broken {
                path: self.path.clone(),
                source: ErrorKind::UnexpectedEof.into(),
            }),
            None => Err(AskError::Nonsense {
                path: self.path.clone(),
            }),
        }
    }

    fn exchange(&self, method: &str, path: &str, body: &[u8]) -> io::Result<Vec<u8>> {
        let mut stream = self.connect()?;
        stream.set_read_timeout(Some(self.within))?;
        let mut request = format!(
            "{method} {path} HTTP/1.0\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        request.extend_from_slice(body);
        stream.write_all(&request)?;
        let mut answer = Vec::new();
        stream.take(LONGEST).read_to_end(&mut answer)?;
        Ok(answer)
    }
}

impl Client {
    /// One that takes no more connections is not waited for without an end, either.
    fn connect(&self) -> io::Result<UnixStream> {
        let (kind, flags) = (SocketType::STREAM, SocketFlags::CLOEXEC);
        let socket = socket_with(AddressFamily::UNIX, kind, flags, None)?;
        set_socket_timeout(&socket, Timeout::Send, Some(self.within))?;
        connect(&socket, &SocketAddrUnix::new(&self.path)?)?;
        Ok(socket.into())
    }
}

enum Answer {
    Whole(Reply),
    Torn,
}

/// None: it is no HTTP.
fn read(answer: &[u8]) -> Option<Answer> {
    if answer.is_empty() {
        return Some(Answer::Torn);
    }
    if !answer.starts_with(b"HTTP/1.") {
        return None;
    }
    let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Some(Answer::Torn);
    };
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let body = &answer[end + 4..];
    let mut lines = head.lines();
    let code = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        let value: usize = value.trim().parse().ok()?;
        name.eq_ignore_ascii_case("content-length").then_some(value)
    });
    if length.is_some_and(|length| body.len() != length) {
        return Some(Answer::Torn);
    }
    let body = body.to_vec();
    Some(Answer::Whole(Reply { code, body }))
}

#[cfg(test)]
mod tests;
