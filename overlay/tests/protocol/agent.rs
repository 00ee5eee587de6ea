//! Machines and their streams.

use crate::names::{Machine, Publish};

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Agent {
    pub machine: Machine,
    /// The sessions it tried, each with what it said of its address.
    pub tried: Vec<(u16, Publish)>,
    /// The stream it is opening.
    pub opening: Option<Stream>,
    pub live: Option<Stream>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stream {
    pub ctl: usize,
    pub name: u8,
    pub sid: u16,
}

impl Agent {
    /// The sessions it had tried when it first asked for this one.
    pub fn previous(&self, sid: u16) -> Vec<u16> {
        let tried = self.tried.iter().map(|(tried, _)| *tried);
        tried.take_while(|tried| *tried != sid).collect()
    }
}
