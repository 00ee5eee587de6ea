//! The agent of this host, asked over its socket.

use std::{path::PathBuf, time::Duration};

use clap::Args;
use serde::{Serialize, de::DeserializeOwned};
use socket::client::Client;

use crate::failure::Failure;

/// Where it listens.
#[derive(Debug, Clone, Args)]
pub struct At {
    /// The socket of this host's agent
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        env = "WEFT_SOCKET",
        default_value = "/run/weft/agent.sock"
    )]
    socket: PathBuf,
}

#[derive(Debug, Clone)]
pub struct Agent(Client);

impl At {
    pub fn agent(&self, within: Duration) -> Agent {
        Agent(Client::new(&self.socket, within))
    }
}

impl Agent {
    pub fn ask<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        words: &impl Serialize,
    ) -> Result<T, Failure> {
        Ok(self.0.ask(method, path, Some(words))?)
    }

    /// Without words of our own.
    pub fn get<T: DeserializeOwned>(&self, method: &str, path: &str) -> Result<T, Failure> {
        Ok(self.0.ask(method, path, None::<&()>)?)
    }
}
