//! What all of these stand on.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tempfile::TempDir;
use tests::{
    cni::{Attachment, List, REFERENCE, Refused, Runtime},
    lab::{Agent, Lab, Namespace, Place},
    process,
};

const POOLS: &str = "10.40.0.0/16,fd77:40::/48";
pub const VERSIONS: [&str; 4] = ["0.3.1", "0.4.0", "1.0.0", "1.1.0"];

/// A host with an agent, and the plugin installed beside the reference ones.
pub struct Ground {
    pub lab: Lab,
    pub agent: Agent,
    pub runtime: Runtime,
    pub list: List,
    pub directory: TempDir,
}

impl Ground {
    pub fn new() -> Result<Self> {
        let mut lab = Lab::new(1)?;
        lab.start_controller(&["--default-network", POOLS])?;
        let agent = lab.agent(1, &[])?;
        let directory = tempfile::Builder::new().prefix("weft-cni-").tempdir()?;
        let place = Place::In((**lab.host(1)).clone());
        let [conf, bin, cache] = ["net.d", "bin", "cache"].map(|name| directory.path().join(name));
        let mut install = place.command(process::weft("weft-cni")?);
        install.arg("install").arg("--conf-dir").arg(&conf);
        install.arg("--bin-dir").arg(&bin);
        install.arg("--socket").arg(agent.socket());
        let said = process::said(install)?;
        ensure!(said.code == 0, "{said:?}");
        let list = List::read(&conf.join("10-weft.conflist"), &VERSIONS)?;
        let runtime = Runtime::new(place, &[&bin, REFERENCE.as_ref()], &cache);
        Ok(Self {
            lab,
            agent,
            runtime,
            list,
            directory,
        })
    }

    pub fn say(&self, variables: &[(&str, &str)], stdin: &Value) -> Result<Refused> {
        let said = self.runtime.say("weft", variables, &stdin.to_string())?;
        ensure!(said.code == 1, "{said:?}");
        Refused::read("weft", "said", &said)
    }

    /// What the agent has, by their keys.
    pub fn endpoints(&self) -> Result<BTreeSet<String>> {
        let all: Value = self.ask("GET", "/endpoints")?;
        let all = all.as_array().context("a list")?;
        let keys = all.iter().filter_map(|one| one["key"].as_str());
        Ok(keys.map(str::to_owned).collect())
    }

    pub fn ask(&self, method: &str, path: &str) -> Result<Value> {
        let within = Duration::from_secs(10);
        let client = socket::Client::new(self.agent.socket(), within);
        Ok(client.ask(method, path, None::<&()>)?)
    }

    /// The devices of the host's ends.
    pub fn devices(&self) -> Result<Vec<String>> {
        let links = self.lab.host(1).json(&["ip", "-j", "link"])?;
        let names = links.as_array().into_iter().flatten();
        let names = names.filter_map(|link| link["ifname"].as_str());
        let ours = names.filter(|name| name.starts_with("wv"));
        Ok(ours.map(str::to_owned).collect())
    }
}

pub fn container(name: &str) -> Result<(Namespace, Attachment)> {
    let namespace = Namespace::new(name.into())?;
    let netns = format!("/proc/{}/ns/net", namespace.pid());
    Ok((namespace, Attachment::new(name, netns)))
}

/// The addresses of an interface, but for those that the kernel makes itself.
pub fn held(namespace: &Namespace, interface: &str) -> Result<BTreeSet<String>> {
    let links = namespace.json(&["ip", "-j", "addr", "show", "dev", interface])?;
    let all = links[0]["addr_info"].as_array().context("addresses")?;
    let all = all.iter().filter(|info| info["scope"] == "global");
    let all = all.filter_map(|info| info["local"].as_str());
    Ok(all.map(str::to_owned).collect())
}
