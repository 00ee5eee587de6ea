//! One request to the agent's socket. It is HTTP/1.0, so that the answer comes in one
//! piece and ends where the connection does.

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    time::Duration,
};

use options::format_duration;
use thiserror::Error;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
    time::timeout,
};

/// Longer than an agent lets itself be waited for.
pub const PATIENCE: Duration = Duration::from_secs(15);
/// The peers of a hundred thousand nodes take a quarter of this.
const LONGEST: u64 = 256 << 20;

#[derive(Debug, Error)]
pub enum AskError {
    #[error(
        "no weft-agent answers at {}; is it running, and is --socket the same?",
        path.display()
    )]
    Nobody { path: PathBuf },
    #[error("{} is not open to this user; ask with sudo", path.display())]
    Forbidden { path: PathBuf },
    #[error(
        "the weft-agent at {} has not answered within {}",
        path.display(),
        format_duration(*.within)
    )]
    Silent { path: PathBuf, within: Duration },
    #[error("the weft-agent at {} ended before it had answered", path.display())]
    Broken {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("what answers at {} is no weft-agent", path.display())]
    Nonsense { path: PathBuf },
}

#[derive(Debug, PartialEq, Eq)]
pub struct Reply {
    pub code: u16,
    pub body: String,
}

pub async fn ask(
    socket: &Path,
    method: &str,
    path: &str,
    within: Duration,
) -> Result<Reply, AskError> {
    let at = || socket.to_owned();
    let exchanged = timeout(within, exchange(socket, method, path)).await;
    let answer = match exchanged {
        Ok(Ok(answer)) => answer,
        Ok(Err(source)) => {
            return Err(match source.kind() {
                ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
                    AskError::Nobody { path: at() }
                }
                ErrorKind::PermissionDenied => AskError::Forbidden { path: at() },
                _ => AskError::Broken { path: at(), source },
            });
        }
        Err(_) => return Err(AskError::Silent { path: at(), within }),
    };
    match read(&answer) {
        Some(Answer::Whole(reply)) => Ok(reply),
        Some(Answer::Torn) => Err(AskError::Broken {
            path: at(),
            source: ErrorKind::UnexpectedEof.into(),
        }),
        None => Err(AskError::Nonsense { path: at() }),
    }
}

async fn exchange(socket: &Path, method: &str, path: &str) -> io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(socket).await?;
    let request = format!("{method} {path} HTTP/1.0\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(LONGEST).read_to_end(&mut answer).await?;
    Ok(answer)
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
    let text = std::str::from_utf8(answer).ok()?;
    if !text.starts_with("HTTP/1.") {
        return None;
    }
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return Some(Answer::Torn);
    };
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
    Some(Answer::Whole(Reply {
        code,
        body: body.to_owned(),
    }))
}

#[cfg(test)]
mod tests;
