//! Engines that speak Docker's API on a socket.

use std::{path::Path, time::Duration};

use serde::Deserialize;
use socket::client::{AskError, Client};

use super::{Known, Name, Said};

/// By the places of their sockets.
pub const ENGINES: [(&str, &str); 2] = [
    ("docker", "run/docker.sock"),
    ("podman", "run/podman/podman.sock"),
];

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Container {
    id: String,
    name: Option<String>,
    state: State,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    pid: u32,
}

/// What went wrong, in the engine's words.
#[derive(Debug, Deserialize)]
struct Complaint {
    message: String,
}

pub fn ask(socket: &Path, name: &Name, within: Duration) -> Said {
    let client = Client::new(socket, within);
    let path = format!("/containers/{name}/json");
    let reply = match client.send("GET", &path, b"") {
        Ok(reply) => reply,
        Err(error) => return Said::Silent(why(&error).into()),
    };
    match reply.code {
        200 => match serde_json::from_slice(&reply.body) {
            Ok(container) => running(container),
            Err(_) => Said::Silent("its answer makes no sense".into()),
        },
        404 => Said::Nothing,
        code => {
            let complaint: Option<Complaint> = serde_json::from_slice(&reply.body).ok();
            let message = complaint.map(|complaint| complaint.message);
            if message.as_ref().is_some_and(|message| {
                // Docker has no code of its own for this.
                let message = message.to_lowercase();
                message.contains("multiple") || message.contains("more than one")
            }) {
                return Said::Several;
            }
            Said::Silent(message.unwrap_or_else(|| format!("its answer is {code}")))
        }
    }
}

fn running(container: Container) -> Said {
    if container.state.pid == 0 {
        return Said::Stopped;
    }
    // Docker's names begin with a slash.
    let name = container
        .name
        .map(|name| name.trim_start_matches('/').to_owned());
    Said::Running(Known {
        pid: container.state.pid,
        id: container.id,
        name: name.filter(|name| !name.is_empty()),
    })
}

fn why(error: &AskError) -> &'static str {
    match error {
        AskError::Nobody { .. } => "it does not run",
        AskError::Forbidden { .. } => "its socket is not open to this user",
        AskError::Silent { .. } => "it does not answer",
        AskError::Broken { .. } | AskError::Nonsense { .. } | AskError::Refused(_) => {
            "its answer makes no sense"
        }
    }
}
