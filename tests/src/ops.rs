//! The HTTP side of a program as an operator's tool asks it.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use anyhow::{Context, Result};

/// A process that is stopped takes connections and answers nothing.
const PATIENCE: Duration = Duration::from_secs(5);

/// An answer: its status and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub body: String,
}

pub fn get(address: SocketAddr, path: &str) -> Result<Answer> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)
        .with_context(|| format!("connect to {address}"))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // To this version nobody answers in chunks.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: weft\r\n\r\n")?;
    let mut text = String::new();
    stream
        .read_to_string(&mut text)
        .with_context(|| format!("read {path} of {address}"))?;
    let (head, body) = text.split_once("\r\n\r\n").context("an HTTP answer")?;
    let status = head.split(' ').nth(1).context("an HTTP status")?;
    Ok(Answer {
        status: status.parse().context("an HTTP status")?,
        body: body.to_owned(),
    })
}

/// One number of `/metrics`, by its whole name with labels.
pub fn metric(address: SocketAddr, name: &str) -> Result<f64> {
    let answer = get(address, "/metrics")?;
    let value = answer
        .body
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value
        .with_context(|| format!("{name} is not among the metrics:\n{}", answer.body))?
        .parse()
        .with_context(|| format!("the value of {name}"))
}
