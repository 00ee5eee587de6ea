//! What containers are called. Docker tells no plugin; it tells whoever asks its own
//! socket, which this does apart from all that Docker waits for.

use std::{
    collections::BTreeMap,
    io::{self, ErrorKind},
    path::Path,
    time::Duration,
};

use overlay::endpoint::Who;
use serde::{Deserialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
    time::{sleep, timeout},
};
use tracing::{debug, info};

use super::notes::Notes;
use crate::endpoints::{Door, door::Name};

/// Where Docker itself listens.
pub const SOCKET: &str = "/run/docker.sock";
const PAUSE: Duration = Duration::from_secs(2);
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
const LONGEST_LINE: u64 = 1 << 20;
const LONGEST_ANSWER: u64 = 64 << 20;
/// `{"type":["network","container"],"event":["connect","rename"]}`
const EVENTS: &str = "/events?filters=%7B%22type%22%3A%5B%22network%22%2C%22container%22%5D%2C\
                      %22event%22%3A%5B%22connect%22%2C%22rename%22%5D%7D";

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    id: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
struct Event {
    #[serde(rename = "Type", default)]
    kind: String,
    #[serde(rename = "Actor", default)]
    actor: Actor,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Actor {
    #[serde(rename = "ID")]
    id: String,
    #[serde(rename = "Attributes")]
    attributes: BTreeMap<String, String>,
}

/// A container, as Docker tells of it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Container {
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    config: Config,
    #[serde(default)]
    network_settings: Settings,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Config {
    labels: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Settings {
    networks: Option<BTreeMap<String, Connected>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
struct Connected {
    #[serde(rename = "EndpointID")]
    endpoint_id: String,
    #[serde(rename = "Aliases")]
    aliases: Option<Vec<String>>,
    /// Of Docker 25 and newer, beside the aliases that were asked for.
    #[serde(rename = "DNSNames")]
    dns_names: Option<Vec<String>>,
}

/// Learns names for ever; where there is no Docker, it waits for one.
pub async fn follow(docker: &Path, door: Door, notes: Notes) {
    loop {
        if let Err(error) = listen(docker, &door, &notes).await {
            debug!(%error, "Docker does not tell the names of containers");
        }
        sleep(PAUSE).await;
    }
}

/// Until Docker ends the stream.
async fn listen(docker: &Path, door: &Door, notes: &Notes) -> io::Result<()> {
    let mut events = within(open(docker, EVENTS)).await?;
    info!("Docker tells the names of containers");
    // Those that were there before; what came meanwhile is in the stream.
    let there: Vec<Listed> = ask(docker, "/containers/json").await?;
    for listed in there {
        learn(docker, &listed.id, door, notes).await?;
    }
    loop {
        let mut line = Vec::new();
        let read = (&mut events)
            .take(LONGEST_LINE)
            .read_until(b'\n', &mut line)
            .await?;
        if read == 0 {
            return Ok(());
        }
        if let Ok(event) = serde_json::from_slice::<Event>(&line)
            && let Some(id) = event.container()
        {
            learn(docker, id, door, notes).await?;
        }
    }
}

/// Tells the owner how a container is called in each of our networks.
async fn learn(docker: &Path, id: &str, door: &Door, notes: &Notes) -> io::Result<()> {
    if id.is_empty() || !id.bytes().all(|c| c.is_ascii_alphanumeric()) {
        return Ok(());
    }
    let path = format!("/containers/{id}/json");
    let container: Container = match ask(docker, &path).await {
        // It is gone already.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        container => container?,
    };
    for (endpoint_id, who) in container.who() {
        let noted = notes.endpoint(&endpoint_id).await;
        let Some(noted) = noted.map_err(io::Error::other)? else {
            continue;
        };
        let Ok(key) = format!("docker/{endpoint_id}").parse() else {
            continue;
        };
        let network = noted.network;
        let name = Name { network, key, who };
        if let Err(refusal) = door.name(name).await {
            debug!(%refusal, container = id, "a name is not kept");
        }
    }
    Ok(())
}

impl Event {
    /// Which container may be called otherwise now.
    fn container(&self) -> Option<&str> {
        match self.kind.as_str() {
            "network" => self.actor.attributes.get("container").map(String::as_str),
            "container" => Some(&self.actor.id),
            _ => None,
        }
    }
}

impl Container {
    /// How it is called, by the ids of its endpoints. What is too long for us or too
    /// much is left out.
    pub fn who(&self) -> BTreeMap<String, Who> {
        let networks = self.network_settings.networks.iter().flatten();
        let joined = networks.filter(|(_, connected)| !connected.endpoint_id.is_empty());
        joined
            .map(|(_, connected)| (connected.endpoint_id.clone(), self.who_in(connected)))
            .collect()
    }

    fn who_in(&self, connected: &Connected) -> Who {
        let mut who = Who::default();
        let mut keep = |change: &dyn Fn(&mut Who)| {
            let mut more = who.clone();
            change(&mut more);
            if more.check().is_ok() {
                who = more;
            }
        };
        keep(&|who| who.container = Some(self.id.clone()));
        let name = self.name.trim_start_matches('/');
        keep(&|who| who.name = Some(name.to_owned()));
        let aliases = connected.aliases.iter().chain(&connected.dns_names);
        for alias in aliases.flatten().filter(|alias| *alias != name) {
            keep(&|who| {
                if !who.aliases.contains(alias) {
                    who.aliases.push(alias.clone());
                }
            });
        }
        for (label, value) in self.config.labels.iter().flatten() {
            keep(&|who| drop(who.labels.insert(label.clone(), value.clone())));
        }
        who
    }
}

async fn ask<T: DeserializeOwned>(docker: &Path, path: &str) -> io::Result<T> {
    let whole = async {
        let mut body = Vec::new();
        let mut stream = open(docker, path).await?.take(LONGEST_ANSWER);
        stream.read_to_end(&mut body).await?;
        Ok(body)
    };
    let body = within(whole).await?;
    serde_json::from_slice(&body).map_err(|error| io::Error::new(ErrorKind::InvalidData, error))
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
    let waited = timeout(ANSWER_WITHIN, answer).await;
    waited.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
}

#[cfg(test)]
mod tests;
