//! Some pings, by the program of that name.

use std::net::IpAddr;

use anyhow::{Context, Result};

use super::Namespace;
use crate::process::Said;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pings {
    pub asked: u32,
    pub received: u32,
    /// All of it, for whoever wonders why.
    pub said: Said,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fragments {
    /// As every router likes, and the sender too.
    Allowed,
    /// "Do not fragment" is set, and the sender does not either.
    Never,
}

impl Pings {
    pub fn lost(&self) -> u32 {
        self.asked - self.received
    }
}

/// A few quick ones of usual size.
pub fn ping(from: &Namespace, to: impl Into<IpAddr>, count: u32) -> Result<Pings> {
    ping_sized(from, to, count, 56, Fragments::Allowed)
}

/// The size is that of the data; 8 bytes more are ICMP's, and 20 or 40 are IP's.
pub fn ping_sized(
    from: &Namespace,
    to: impl Into<IpAddr>,
    count: u32,
    size: u16,
    fragments: Fragments,
) -> Result<Pings> {
    let discovery = match fragments {
        Fragments::Allowed => "dont",
        Fragments::Never => "do",
    };
    let (to, count_text, size) = (to.into().to_string(), count.to_string(), size.to_string());
    // It waits for the last reply only, and a second is long for that.
    let timing = ["-n", "-i", "0.01", "-W", "1"];
    let which = ["-c", &count_text, "-s", &size, "-M", discovery, &to];
    let said = from.run(&[&["ping"], &timing[..], &which].concat())?;
    // Without a route to send on there is no summary.
    let summary = said.stdout.lines().find(|line| line.contains(" received"));
    let received = match summary {
        None => 0,
        Some(line) => received(line).with_context(|| format!("{said:?}"))?,
    };
    Ok(Pings {
        asked: count,
        received: received.min(count),
        said,
    })
}

fn received(summary: &str) -> Option<u32> {
    let before = summary.split(" received").next()?;
    before.rsplit(' ').next()?.parse().ok()
}
