//! What a container engine does with CNI plugins: lists of them, each one's answer handed
//! to the next, the last one's kept for CHECK and DEL, as the reference library does it.

use std::{
    collections::BTreeSet,
    error::Error,
    fmt, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value, json};

use crate::{
    lab::Place,
    process::{self, Said},
};

/// Where Debian has the reference plugins.
pub const REFERENCE: &str = "/usr/lib/cni";

/// A list of plugins, in one version.
#[derive(Debug, Clone)]
pub struct List {
    pub name: String,
    pub version: String,
    pub plugins: Vec<Value>,
}

/// One container's interface, and what the engine says of it.
#[derive(Debug, Clone, Default)]
pub struct Attachment {
    pub id: String,
    pub interface: String,
    /// The path of its namespace.
    pub netns: String,
    /// `CNI_ARGS`.
    pub arguments: String,
    /// What goes to the plugins that are capable of it.
    pub capabilities: Map<String, Value>,
}

/// An engine: where it runs, finds plugins, and keeps their answers.
#[derive(Debug, Clone)]
pub struct Runtime {
    place: Place,
    path: Vec<PathBuf>,
    cache: PathBuf,
}

/// What a plugin says when it fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    pub plugin: String,
    pub verb: &'static str,
    pub version: String,
    pub code: u64,
    pub msg: String,
    pub details: String,
}

impl List {
    pub fn new(name: &str, version: &str, plugins: &[Value]) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            plugins: plugins.to_vec(),
        }
    }

    /// As it is in a file; the newest of the versions that both know.
    pub fn read(path: &Path, known: &[&str]) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let list: Value = serde_json::from_str(&text)?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        // An engine that knows no `cniVersions` is one that reads the other.
        let versions = list["cniVersions"].as_array();
        let common = versions.into_iter().flatten().filter_map(text);
        let common = common.filter(|version| known.contains(&version.as_str()));
        let version = common.max().or_else(|| text(&list["cniVersion"]));
        let plugins = list["plugins"].as_array().context("plugins of a list")?;
        Ok(Self {
            name: text(&list["name"]).context("the name of a list")?,
            version: version.context("the version of a list")?,
            plugins: plugins.clone(),
        })
    }

    pub fn at(&self, version: &str) -> Self {
        let version = version.to_owned();
        Self {
            version,
            ..self.clone()
        }
    }

    /// What one of them is told.
    pub fn conf(
        &self,
        plugin: &Value,
        attachment: Option<&Attachment>,
        more: &[(&str, Value)],
    ) -> Value {
        let mut conf = plugin.clone();
        conf["name"] = json!(self.name);
        conf["cniVersion"] = json!(self.version);
        let capable = |key: &str| plugin["capabilities"][key] == true;
        let said = attachment.map(|attachment| &attachment.capabilities);
        let said = said.into_iter().flatten().filter(|(key, _)| capable(key));
        let said: Map<String, Value> = said
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        if !said.is_empty() {
            conf["runtimeConfig"] = Value::Object(said);
        }
        for (key, value) in more {
            if !value.is_null() {
                conf[*key] = value.clone();
            }
        }
        conf
    }
}

impl Attachment {
    pub fn new(id: &str, netns: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            interface: "eth0".into(),
            netns: netns.into(),
            ..Self::default()
        }
    }

    pub fn capable(mut self, key: &str, value: Value) -> Self {
        self.capabilities.insert(key.into(), value);
        self
    }
}

impl Runtime {
    pub fn new(place: Place, path: &[&Path], cache: &Path) -> Self {
        Self {
            place,
            path: path.iter().map(|path| path.to_path_buf()).collect(),
            cache: cache.to_owned(),
        }
    }

    /// All plugins in order; the last one's result, which is kept.
    pub fn add(&self, list: &List, attachment: &Attachment) -> Result<Value> {
        let mut result = Value::Null;
        for plugin in &list.plugins {
            let conf = list.conf(plugin, Some(attachment), &[("prevResult", result)]);
            let said = self.run("ADD", plugin, Some(attachment), &conf)?;
            result = serde_json::from_str(&said).with_context(|| said)?;
        }
        fs::create_dir_all(&self.cache)?;
        fs::write(self.kept(list, attachment), result.to_string())?;
        Ok(result)
    }

    /// All plugins, the last one first, with what is kept.
    pub fn del(&self, list: &List, attachment: &Attachment) -> Result<()> {
        let kept = self.result(list, attachment)?.unwrap_or_default();
        let previous = if list.version == "0.3.1" {
            Value::Null
        } else {
            kept
        };
        for plugin in list.plugins.iter().rev() {
            let conf = list.conf(
                plugin,
                Some(attachment),
                &[("prevResult", previous.clone())],
            );
            let said = self.run("DEL", plugin, Some(attachment), &conf)?;
            ensure!(said.is_empty(), "DEL says {said}");
        }
        drop(fs::remove_file(self.kept(list, attachment)));
        Ok(())
    }

    pub fn check(&self, list: &List, attachment: &Attachment) -> Result<()> {
        let kept = self.result(list, attachment)?;
        let kept = kept.context("CHECK is for what was added")?;
        for plugin in &list.plugins {
            let conf = list.conf(plugin, Some(attachment), &[("prevResult", kept.clone())]);
            let said = self.run("CHECK", plugin, Some(attachment), &conf)?;
            ensure!(said.is_empty(), "CHECK says {said}");
        }
        Ok(())
    }

    /// All of the list's that are not among these may go.
    pub fn gc(&self, list: &List, valid: &[&Attachment]) -> Result<()> {
        let valid = valid.iter();
        let valid = valid.map(|one| json!({ "containerID": one.id, "ifname": one.interface }));
        let valid = Value::Array(valid.collect());
        for plugin in &list.plugins {
            let more = [("cni.dev/valid-attachments", valid.clone())];
            let said = self.run("GC", plugin, None, &list.conf(plugin, None, &more))?;
            ensure!(said.is_empty(), "GC says {said}");
        }
        Ok(())
    }

    pub fn status(&self, list: &List) -> Result<()> {
        for plugin in &list.plugins {
            let said = self.run("STATUS", plugin, None, &list.conf(plugin, None, &[]))?;
            ensure!(said.is_empty(), "STATUS says {said}");
        }
        Ok(())
    }

    pub fn versions(&self, plugin: &str, version: &str) -> Result<Value> {
        let conf = json!({ "cniVersion": version });
        let said = self.run("VERSION", &json!({ "type": plugin }), None, &conf)?;
        serde_json::from_str(&said).with_context(|| said)
    }

    /// What ADD said, if it is kept.
    pub fn result(&self, list: &List, attachment: &Attachment) -> Result<Option<Value>> {
        let text = match fs::read_to_string(self.kept(list, attachment)) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        Ok(serde_json::from_str(&text)?)
    }

    /// One plugin with these words, whatever it makes of them.
    pub fn say(&self, plugin: &str, variables: &[(&str, &str)], stdin: &str) -> Result<Said> {
        let mut command = self.place.command(self.find(plugin)?);
        command.envs(variables.iter().copied());
        process::said_to(command, stdin)
    }

    /// The command that runs it, for whoever wants to see it run.
    pub fn command(
        &self,
        verb: &str,
        plugin: &str,
        attachment: Option<&Attachment>,
    ) -> Result<Command> {
        let mut command = self.place.command(self.find(plugin)?);
        command.env("CNI_COMMAND", verb);
        let path = std::env::join_paths(&self.path)?;
        command.env("CNI_PATH", path);
        if let Some(attachment) = attachment {
            command.env("CNI_CONTAINERID", &attachment.id);
            command.env("CNI_IFNAME", &attachment.interface);
            command.env("CNI_NETNS", &attachment.netns);
            command.env("CNI_ARGS", &attachment.arguments);
        }
        Ok(command)
    }

    fn run(
        &self,
        verb: &'static str,
        plugin: &Value,
        attachment: Option<&Attachment>,
        conf: &Value,
    ) -> Result<String> {
        let plugin = plugin["type"].as_str().context("the type of a plugin")?;
        let command = self.command(verb, plugin, attachment)?;
        let said = process::said_to(command, &conf.to_string())?;
        if said.code == 0 {
            return Ok(said.stdout);
        }
        Err(Refused::read(plugin, verb, &said)?.into())
    }

    fn find(&self, plugin: &str) -> Result<PathBuf> {
        let mut places = self.path.iter().map(|path| path.join(plugin));
        let found = places.find(|place| place.is_file());
        found.with_context(|| format!("there is no plugin {plugin} in {:?}", self.path))
    }

    fn kept(&self, list: &List, attachment: &Attachment) -> PathBuf {
        let Attachment { id, interface, .. } = attachment;
        self.cache.join(format!("{}-{id}-{interface}", list.name))
    }
}

impl Refused {
    pub fn read(plugin: &str, verb: &'static str, said: &Said) -> Result<Self> {
        let error: Value = serde_json::from_str(&said.stdout)
            .with_context(|| format!("{plugin} {verb}: {said:?}"))?;
        let text = |key: &str| error[key].as_str().unwrap_or_default().to_owned();
        Ok(Self {
            plugin: plugin.into(),
            verb,
            version: text("cniVersion"),
            code: error["code"].as_u64().context("the code of an error")?,
            msg: text("msg"),
            details: text("details"),
        })
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            plugin, verb, code, ..
        } = self;
        write!(
            f,
            "{plugin} {verb}: code {code}: {}; {}",
            self.msg, self.details
        )
    }
}

impl Error for Refused {}

/// The refusal that an outcome is.
pub fn refused<T: fmt::Debug>(outcome: Result<T>) -> Result<Refused> {
    match outcome {
        Ok(done) => anyhow::bail!("this should have been refused: {done:?}"),
        Err(error) => error.downcast::<Refused>(),
    }
}

/// The addresses in a result, without the length of their prefix.
pub fn addresses(result: &Value) -> BTreeSet<String> {
    let ips = result["ips"].as_array().into_iter().flatten();
    let addresses = ips.filter_map(|ip| ip["address"].as_str()?.split('/').next());
    addresses.map(str::to_owned).collect()
}
