//! One line of JSON on a socket.

use std::{
    io::{BufRead, BufReader, Write},
    os::unix::net::UnixStream,
};

use anyhow::{Context, Result};
use serde::{Serialize, de::DeserializeOwned};

pub fn say(mut stream: &UnixStream, word: &impl Serialize) -> Result<()> {
    let mut line = serde_json::to_vec(word)?;
    line.push(b'\n');
    stream.write_all(&line).context("write to the socket")
}

pub fn hear<T: DeserializeOwned>(stream: &UnixStream) -> Result<T> {
    let mut line = String::new();
    let read = BufReader::new(stream).read_line(&mut line);
    read.context("read from the socket")?;
    serde_json::from_str(&line).with_context(|| format!("not a word of a lab: {line:?}"))
}
