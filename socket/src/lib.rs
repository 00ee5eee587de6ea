//! The agent's unix socket, seen by this host's tools: [`words`] are what is asked and
//! answered, [`client`] asks. A shim that is started for every container needs nothing
//! else, and no runtime.

pub mod client;
pub mod words;

pub use client::{AskError, Client, Reply};
