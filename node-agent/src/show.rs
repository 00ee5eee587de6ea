//! What a person asks of the running agent, over its socket: how it is, and to join or
//! leave a network.

use std::{
    io::{self, Write},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context, bail};
use options::{NotReady, clock, table};
use overlay::{
    doctor::{Finding, State, summary},
    name::NetworkName,
};
use socket::{AskError, Client, Reply};
use tokio::time::sleep;

use crate::{
    access::Access,
    config::{Options, OutputFormat},
    doctor::Doctor,
    status::{NetworkState, Status},
};

mod page;

const OTHER_VERSION: &str =
    "the agent that runs is of another version than this command; -o json prints what it says";
/// For a network to be joined.
const PATIENCE: Duration = Duration::from_secs(5);
/// Longer than an agent lets itself be waited for.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// It tries every peer.
const DOCTOR_WITHIN: Duration = Duration::from_secs(40);
const AGAIN: Duration = Duration::from_millis(50);

pub fn status(socket: &Path, output: OutputFormat) -> anyhow::Result<()> {
    let body = answered(socket, "GET", "/status")?;
    let status = serde_json::from_str(&body).context(OTHER_VERSION);
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

/// Until it is there. What a controller refuses is not joined, and why is the error.
pub async fn join(socket: &Path, network: &NetworkName) -> anyhow::Result<()> {
    let path = format!("/networks/{network}");
    let was_joined = joined(socket, network)?.is_some();
    answered(socket, "PUT", &path)?;
    let began = Instant::now();
    loop {
        let reason = match joined(socket, network)? {
            Some((NetworkState::Programmed, _)) => {
                return Ok(print(&format!(
                    "joined network {network}, until the agent is restarted\n"
                ))?);
            }
            Some((NetworkState::Waiting, Some(reason))) if !was_joined => {
                answered(socket, "DELETE", &path)?;
                bail!("{reason}");
            }
            Some((_, reason)) => reason,
            None => None,
        };
        if began.elapsed() > PATIENCE {
            let reason = reason.unwrap_or_else(|| "no controller has told of it yet".to_owned());
            let text = format!("network {network}: {reason}; the agent goes on trying");
            return Err(NotReady(text).into());
        }
        sleep(AGAIN).await;
    }
}

pub fn leave(socket: &Path, network: &NetworkName) -> anyhow::Result<()> {
    answered(socket, "DELETE", &format!("/networks/{network}"))?;
    Ok(print(&format!("left network {network}\n"))?)
}

/// The running agent looks, or this process where none answers.
pub async fn doctor(options: &Options, output: OutputFormat) -> anyhow::Result<()> {
    let findings: Vec<Finding> =
        match answer_within(DOCTOR_WITHIN, &options.socket, "POST", "/doctor") {
            Ok(body) => serde_json::from_str(&body).context(OTHER_VERSION)?,
            Err(error) if error.is::<NotReady>() => {
                let doctor = Doctor {
                    state_dir: options.state_dir.clone(),
                    controllers: options.controller.clone(),
                    access: Access::found(&options.state_dir)?,
                    reconciler: None,
                };
                doctor.examine().await?
            }
            Err(error) => return Err(error),
        };
    print(&match output {
        OutputFormat::Json => serde_json::to_string_pretty(&findings)? + "\n",
        OutputFormat::Table => {
            let rows = findings.iter().map(|finding| {
                let Finding { state, about, .. } = finding;
                vec![state.to_string(), about.clone(), finding.sentence()]
            });
            table::aligned(rows)
        }
    })?;
    if findings.iter().any(|finding| finding.state == State::Wrong) {
        bail!("{}", summary(&findings));
    }
    Ok(())
}

/// Writes to standard output, where the reader may have read enough.
pub fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// How a network is, and why; none: the agent is not to join it.
fn joined(
    socket: &Path,
    network: &NetworkName,
) -> anyhow::Result<Option<(NetworkState, Option<String>)>> {
    let body = answered(socket, "GET", "/status")?;
    let status: Status = serde_json::from_str(&body).context(OTHER_VERSION)?;
    let mut networks = status.networks.into_iter();
    let found = networks.find(|one| one.network == *network);
    Ok(found.map(|one| (one.state, one.reason)))
}

/// What the agent says to a request that it grants.
fn answered(socket: &Path, method: &str, path: &str) -> anyhow::Result<String> {
    answer_within(ANSWER_WITHIN, socket, method, path)
}

fn answer_within(
    within: Duration,
    socket: &Path,
    method: &str,
    path: &str,
) -> anyhow::Result<String> {
    let Reply { code, body } = match Client::new(socket, within).send(method, path, &[]) {
        Ok(reply) => reply,
        Err(error @ (AskError::Nobody { .. } | AskError::Silent { .. })) => {
            return Err(NotReady(error.to_string()).into());
        }
        Err(error) => return Err(error.into()),
    };
    let body = String::from_utf8(body).context("what answers there is no weft-agent")?;
    match code {
        200..300 => Ok(body),
        503 => Err(NotReady(body.trim().to_owned()).into()),
        _ => bail!("{}", body.trim()),
    }
}
