//! What a person asks of the running agent, over its socket: how it is, and to join or
//! leave a network.

use std::{
    io::{self, Write},
    path::Path,
};

use anyhow::{Context, bail};
use options::{NotReady, clock, table};
use overlay::name::NetworkName;

use self::ask::{AskError, Reply, ask};
use crate::{config::OutputFormat, status::Status};

mod ask;
mod page;

pub async fn status(socket: &Path, output: OutputFormat) -> anyhow::Result<()> {
    let body = answered(socket, "GET", "/status").await?;
    let status = serde_json::from_str(&body).context(
        "the agent that runs is of another version than this command; -o json prints what it says",
    );
    let (text, status): (String, Option<Status>) = match output {
        OutputFormat::Json => (body + "\n", status.ok()),
        OutputFormat::Table => {
            let status = status?;
            let page = page::page(&status, clock::now_ms(), table::terminal_width());
            (page, Some(status))
        }
    };
    print(&text)?;
    match status.filter(|status| !status.ready) {
        Some(status) => Err(NotReady(status.reason.unwrap_or_default()).into()),
        None => Ok(()),
    }
}

pub async fn join(socket: &Path, network: &NetworkName) -> anyhow::Result<()> {
    answered(socket, "PUT", &format!("/networks/{network}")).await?;
    let text = "until the agent is restarted; `weft-agent status` tells how far it is";
    Ok(print(&format!("joining network {network}, {text}\n"))?)
}

pub async fn leave(socket: &Path, network: &NetworkName) -> anyhow::Result<()> {
    answered(socket, "DELETE", &format!("/networks/{network}")).await?;
    Ok(print(&format!("left network {network}\n"))?)
}

/// Writes to standard output, where the reader may have read enough.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// What the agent says to a request that it grants.
async fn answered(socket: &Path, method: &str, path: &str) -> anyhow::Result<String> {
    let Reply { code, body } = match ask(socket, method, path, ask::PATIENCE).await {
        Ok(reply) => reply,
        Err(error @ (AskError::Nobody { .. } | AskError::Silent { .. })) => {
            return Err(NotReady(error.to_string()).into());
        }
        Err(
            error @ (AskError::Forbidden { .. }
            | AskError::Broken { .. }
            | AskError::Nonsense { .. }),
        ) => return Err(error.into()),
    };
    match code {
        200..300 => Ok(body),
        503 => Err(NotReady(body.trim().to_owned()).into()),
        _ => bail!("{}", body.trim()),
    }
}
