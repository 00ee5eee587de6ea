//! What containers are called. Docker tells no plugin; it tells whoever asks its own
//! socket, which this does apart from all that Docker waits for.

use std::{
    collections::BTreeMap,
    io::{self, ErrorKind},
    path::Path,
    time::Duration,
};

use overlay::endpoint::Who;
use serde::Deserialize;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    net::UnixStream,
    time::sleep,
};
use tracing::{debug, info};

use super::{
    api::{LONGEST_LINE, ask, follow as open},
    key,
    notes::Notes,
    stale::{Kept, Known},
};
use crate::endpoints::{Door, door::Name};

/// Where Docker itself listens.
pub const SOCKET: &str = "/run/docker.sock";
const PAUSE: Duration = Duration::from_secs(2);
/// A container that is still not there after this is not starting.
const STALE_AFTER: Duration = Duration::from_secs(120);
/// `{"type":["network","container"],"event":["connect","rename","start"]}`: one that was
/// starting when it was connected is not listed yet, and starts later.
const EVENTS: &str = "/events?filters=%7B%22type%22%3A%5B%22network%22%2C%22container%22%5D%2C\
                      %22event%22%3A%5B%22connect%22%2C%22rename%22%2C%22start%22%5D%7D";

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
    #[serde(rename = "MacAddress")]
    mac_address: String,
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
    let mut events = open(docker, EVENTS).await?;
    info!("Docker tells the names of containers");
    // Those that were there before; what came meanwhile is in the stream.
    let kept = Kept::read(door, notes).await?;
    let stale = kept.without(&learn_all(docker, door, notes).await?);
    // Neither is ever dropped before the other has ended with an error.
    tokio::select! {
        heard = hear(&mut events, docker, door, notes) => heard,
        failed = sweep(stale, docker, door, notes) => failed,
    }
}

async fn hear(
    events: &mut BufReader<UnixStream>,
    docker: &Path,
    door: &Door,
    notes: &Notes,
) -> io::Result<()> {
    loop {
        let mut line = Vec::new();
        let mut one = (&mut *events).take(LONGEST_LINE);
        if one.read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        if let Ok(event) = serde_json::from_slice::<Event>(&line)
            && let Some(id) = event.container()
        {
            learn(docker, id, door, notes).await?;
        }
    }
}

/// What Docker did not know when it was asked first, and does not know by now.
async fn sweep(stale: Kept, docker: &Path, door: &Door, notes: &Notes) -> io::Result<()> {
    sleep(STALE_AFTER).await;
    let now = Kept::read(door, notes).await?;
    let now = now.without(&learn_all(docker, door, notes).await?);
    stale.still(&now).forget(door, notes).await?;
    std::future::pending().await
}

async fn learn_all(docker: &Path, door: &Door, notes: &Notes) -> io::Result<Known> {
    let there: Vec<Listed> = ask(docker, "/containers/json").await?;
    let mut known = Known::default();
    for listed in there {
        if let Some(container) = learn(docker, &listed.id, door, notes).await? {
            container.is_known(&mut known);
        }
    }
    Ok(known)
}

/// Tells the owner how a container is called in each of our networks.
async fn learn(
    docker: &Path,
    id: &str,
    door: &Door,
    notes: &Notes,
) -> io::Result<Option<Container>> {
    if id.is_empty() || !id.bytes().all(|c| c.is_ascii_alphanumeric()) {
        return Ok(None);
    }
    let path = format!("/containers/{id}/json");
    let container: Container = match ask(docker, &path).await {
        // It is gone already.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        container => container?,
    };
    for (endpoint_id, who) in container.who() {
        let noted = notes.endpoint(&endpoint_id).await;
        let Some(noted) = noted.map_err(io::Error::other)? else {
            continue;
        };
        let Ok(key) = key::of(&endpoint_id) else {
            continue;
        };
        let network = noted.network;
        let name = Name { network, key, who };
        if let Err(refusal) = door.name(name).await {
            debug!(%refusal, container = id, "a name is not kept");
        }
    }
    Ok(Some(container))
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

    fn is_known(&self, known: &mut Known) {
        for connected in self
            .network_settings
            .networks
            .iter()
            .flatten()
            .map(|(_, c)| c)
        {
            known.endpoints.insert(connected.endpoint_id.clone());
            known.macs.insert(connected.mac_address.clone());
        }
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

#[cfg(test)]
mod tests;
