//! The network configuration that comes by standard input.

use std::path::PathBuf;

use overlay::name::NetworkName;
use serde_json::{Map, Value, json};
use socket::words::Attach;

use crate::{
    call::{Arguments, Attachment},
    failure::{Code, Failure},
    loose::{self, Loose},
    outcome::Outcome,
    runtime::Runtime,
    version::Version,
};

/// The network of a configuration that names none.
pub const NETWORK: &str = "default";
/// Where an agent listens if nobody says otherwise.
pub const SOCKET: &str = "/run/weft/agent.sock";
/// By which configuration an endpoint came: two may lead to one network.
pub const CONF_LABEL: &str = "cni.dev/network";

/// What every verb needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conf {
    pub version: Version,
    /// The engine's name of the network.
    pub name: String,
    pub network: NetworkName,
    pub socket: PathBuf,
}

/// What ADD is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Wish {
    /// It ends only when the fleet has been told.
    pub told: bool,
    /// For the container's resolv.conf.
    pub dns: Map<String, Value>,
    pub runtime: Runtime,
    pub previous: Option<Outcome>,
}

/// What standard input holds, and the version it is in.
#[derive(Debug, Clone, PartialEq)]
pub struct Stdin(Map<String, Value>);

impl Stdin {
    pub fn read(bytes: &[u8]) -> Result<Self, Failure> {
        loose::read(bytes, "standard input is no network configuration").map(Self)
    }

    /// In the words of whoever wrote it.
    pub fn said_version(&self) -> Option<&str> {
        Loose::new(&self.0).get("cniVersion")?.as_str()
    }

    pub fn version(&self) -> Result<Version, Failure> {
        let said = self.said_version().unwrap_or("0.1.0");
        Version::named(said).ok_or_else(|| {
            let spoken = Version::ALL.map(Version::as_str).join(", ");
            let details = format!("cniVersion is {said}; spoken here are {spoken}");
            Failure::new(
                Code::Version,
                "that version of CNI is not spoken here",
                details,
            )
        })
    }

    /// What another plugin made before, or an earlier ADD.
    pub fn previous(&self) -> Result<Option<Outcome>, Failure> {
        let conf = Loose::new(&self.0);
        match conf.get("prevResult") {
            None => Ok(None),
            Some(Value::Object(previous)) => Outcome::read(&Loose::new(previous)).map(Some),
            Some(other) => Err(conf.wrong("prevResult", "no result", other)),
        }
    }

    /// The attachments that an engine knows of, as GC tells them.
    pub fn valid(&self) -> Result<Vec<Attachment>, Failure> {
        const KEY: &str = "cni.dev/valid-attachments";
        let conf = Loose::new(&self.0);
        if conf.get(KEY).is_none() {
            return Err(Failure::config(format!("{KEY}: GC needs it")));
        }
        let one = |valid: &Loose<'_>| {
            let container = valid.text("containerID")?.unwrap_or_default();
            let interface = valid.text("ifname")?.unwrap_or_default();
            let attachment = Attachment::new(container, interface, "");
            attachment.map_err(|failure| {
                Failure::config(format!(
                    "{}: {}",
                    valid.path("containerID"),
                    failure.details
                ))
            })
        };
        conf.objects(KEY)?.iter().map(one).collect()
    }
}

impl Conf {
    pub fn read(stdin: &Stdin) -> Result<Self, Failure> {
        let version = stdin.version()?;
        let conf = Loose::new(&stdin.0);
        let name = conf.text("name")?;
        let name = name.ok_or_else(|| Failure::config("name: the network has none"))?;
        let network = conf.text("network")?.unwrap_or(NETWORK);
        let network = network
            .parse()
            .map_err(|error| Failure::config(format!("network: {error}")))?;
        Ok(Self {
            version,
            name: name.into(),
            network,
            socket: conf.text("socket")?.unwrap_or(SOCKET).into(),
        })
    }
}

impl Wish {
    pub fn read(stdin: &Stdin, conf: &Conf) -> Result<Self, Failure> {
        let said = Loose::new(&stdin.0);
        refuse_ipam(&said)?;
        let runtime = Runtime::read(&said, &conf.name)?;
        let dns = match &runtime.dns {
            Some(dns) => dns.clone(),
            None => dns(&said.object("dns")?)?,
        };
        Ok(Self {
            told: said.flag("told")?,
            dns,
            runtime,
            previous: stdin.previous()?,
        })
    }

    /// What the agent is asked for.
    pub fn attach(
        &self,
        conf: &Conf,
        attachment: &Attachment,
        arguments: &Arguments,
    ) -> Result<Attach, Failure> {
        let runtime = self.runtime.clone().beside(arguments)?;
        let mut who = runtime.who(&attachment.container, arguments);
        who.labels.insert(CONF_LABEL.into(), conf.name.clone());
        who.check()
            .map_err(|error| Failure::config(error.to_string()))?;
        Ok(Attach {
            network: conf.network.clone(),
            key: attachment.key(),
            netns: attachment.netns.clone(),
            interface: attachment.interface.clone(),
            addresses: runtime.addresses,
            mac: runtime.mac,
            who,
            publish: runtime.publish,
            bandwidth: runtime.bandwidth,
            hand: false,
            told: self.told,
        })
    }
}

/// Whoever names a plugin for addresses believes that it gives them.
fn refuse_ipam(conf: &Loose<'_>) -> Result<(), Failure> {
    let ipam = conf.object("ipam")?;
    if ipam.is_empty() {
        return Ok(());
    }
    let value = conf.get("ipam").cloned().unwrap_or_default();
    Err(Failure::new(
        Code::Unsupported,
        "addresses come from the agent: leave \"ipam\" out",
        conf.wrong("ipam", "not used", &value).details,
    ))
}

fn dns(said: &Loose<'_>) -> Result<Map<String, Value>, Failure> {
    let mut dns = Map::new();
    for key in ["nameservers", "search", "options"] {
        let texts = said.texts(key)?;
        if !texts.is_empty() {
            dns.insert(key.into(), json!(texts));
        }
    }
    if let Some(domain) = said.text("domain")? {
        dns.insert("domain".into(), json!(domain));
    }
    Ok(dns)
}

#[cfg(test)]
mod tests;
