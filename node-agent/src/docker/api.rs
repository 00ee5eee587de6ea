//! Docker's own interface, as far as it is asked: lists and events, over its socket.

use std::{
    io::{self, ErrorKind},
    path::Path,
    time::Duration,
};

use serde::de::DeserializeOwned;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
    time::timeout,
};

pub const LONGEST_LINE: u64 = 1 << 20;
const LONGEST_ANSWER: u64 = 64 << 20;
const WITHIN: Duration = Duration::from_secs(30);

/// A whole answer.
pub async fn ask<T: DeserializeOwned>(docker: &Path, path: &str) -> io::Result<T> {
    let whole = async {
        let mut body = Vec::new();
        let mut stream = open(docker, path).await?.take(LONGEST_ANSWER);
        stream.read_to_end(&mut body).await?;
        Ok(body)
    };
    let body = within(whole).await?;
    serde_json::from_slice(&body).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
}

/// An answer that goes on, line by line.
pub async fn follow(docker: &Path, path: &str) -> io::Result<BufReader<UnixStream>> {
    within(open(docker, path)).await
}

/// One request; what is left to read is its answer's body. HTTP/1.0: it comes as it
/// is, and ends where the connection does.
async fn open(docker: &Path, path: &str) -> io::Result<BufReader<UnixStream>> {
    let mut stream = UnixStream::connect(docker).await?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: docker\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut stream = BufReader::new(stream);
    let mut status = None;
    loop {
        let mut line = Vec::new();
        let read = (&mut stream)
            .take(LONGEST_LINE)
            .read_until(b'\n', &mut line)
            .await?;
        let line = String::from_utf8_lossy(&line);
        match (read, &status) {
            (0, _) => return Err(ErrorKind::UnexpectedEof.into()),
            (_, None) => status = Some(line.split(' ').nth(1).unwrap_or_default().to_owned()),
            (_, Some(_)) if line.trim().is_empty() => break,
            (_, Some(_)) => {}
        }
    }
    match status.as_deref() {
        Some("200") => Ok(stream),
        Some("404") => Err(ErrorKind::NotFound.into()),
        _ => Err(io::Error::other(format!(
            "Docker answers {status:?} to {path}"
        ))),
    }
}

async fn within<T>(answer: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let waited = timeout(WITHIN, answer).await;
    waited.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests;
