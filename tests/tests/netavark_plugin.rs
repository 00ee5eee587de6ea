//! Podman's side of the plugin, as netavark starts it: JSON in, JSON out, and a container
//! on the overlay meanwhile.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::{
    lab::{Agent, Lab, Namespace},
    process::{self, Said},
};

const POOLS: &str = "10.40.0.0/16,fd77:40::/48";

/// A host with an agent, and the driver where Podman looks for it.
struct Ground {
    lab: Lab,
    agent: Agent,
    driver: PathBuf,
    _directory: TempDir,
}

impl Ground {
    fn new() -> Result<Self> {
        let mut lab = Lab::new(1)?;
        lab.start_controller(&["--default-network", POOLS])?;
        let agent = lab.agent(1, &[])?;
        let directory = tempfile::Builder::new()
            .prefix("weft-netavark-")
            .tempdir()?;
        let mut install = lab.host(1).command(process::weft("weft-cni")?);
        install.args(["install", "--netavark", "--plugin-dir"]);
        install.arg(directory.path());
        let said = process::said(install)?;
        ensure!(said.code == 0, "{said:?}");
        assert!(said.stdout.contains("podman network create -d weft"));
        Ok(Self {
            lab,
            agent,
            driver: directory.path().join("weft"),
            _directory: directory,
        })
    }

    fn say(&self, words: &[&str], stdin: &Value) -> Result<Said> {
        let mut command = self.lab.host(1).command(&self.driver);
        command.args(words);
        process::said_to(command, &stdin.to_string())
    }

    fn done(&self, words: &[&str], stdin: &Value) -> Result<Value> {
        let said = self.say(words, stdin)?;
        ensure!(said.code == 0, "{words:?}: {said:?}");
        if said.stdout.is_empty() {
            return Ok(Value::Null);
        }
        Ok(serde_json::from_str(&said.stdout)?)
    }

    fn refused(&self, words: &[&str], stdin: &Value) -> Result<String> {
        let said = self.say(words, stdin)?;
        ensure!(said.code == 1, "{words:?}: {said:?}");
        let error: Value = serde_json::from_str(&said.stdout)?;
        let error = error["error"].as_str().map(str::to_owned);
        error.context("the sentence of an error")
    }

    fn endpoints(&self) -> Result<Value> {
        let client = socket::Client::new(self.agent.socket(), Duration::from_secs(10));
        Ok(client.ask("GET", "/endpoints", None::<&()>)?)
    }

    /// What Podman says when a container comes, of a network as the driver made it.
    fn words(&self) -> Result<Value> {
        let network = json!({
            "name": "blue", "id": "4f2a", "driver": "weft",
            "subnets": null, "ipv6_enabled": false, "internal": false, "dns_enabled": true,
            "options": { "network": "default", "socket": self.agent.socket() },
            "ipam_options": {},
        });
        Ok(json!({
            "container_id": "c0ffee", "container_name": "web",
            "port_mappings": [
                { "container_port": 80, "host_ip": "", "host_port": 8080, "protocol": "tcp", "range": 1 },
            ],
            "network": self.done(&["create"], &network)?,
            "network_options": {
                "aliases": ["c0ffee"], "interface_name": "eth0",
                "static_ips": null, "static_mac": null, "options": null,
            },
        }))
    }
}

fn held(container: &Namespace) -> Result<String> {
    container.done(&["ip", "-o", "addr", "show", "dev", "eth0"])
}

#[test]
fn a_container_comes_and_goes() -> Result<()> {
    let ground = Ground::new()?;
    assert_eq!(
        ground.done(&["info"], &Value::Null)?["api_version"],
        "1.0.0"
    );
    let mut words = ground.words()?;
    assert_eq!(
        words["network"]["ipam_options"],
        json!({ "driver": "none" })
    );

    let container = Namespace::new("c1".into())?;
    let netns = format!("/proc/{}/ns/net", container.pid());
    let answer = ground.done(&["setup", &netns], &words)?;
    let interface = &answer["interfaces"]["eth0"];
    let subnets = interface["subnets"].as_array().context("subnets")?;
    assert_eq!(subnets.len(), 2, "{answer}");
    let said = held(&container)?;
    for subnet in subnets {
        let ipnet = subnet["ipnet"].as_str().context("an address")?;
        assert!(
            said.contains(ipnet.split('/').next().unwrap_or(ipnet)),
            "{said}"
        );
        assert!(subnet["gateway"].is_string(), "{answer}");
    }
    let link = container.json(&["ip", "-j", "link", "show", "dev", "eth0"])?;
    assert_eq!(link[0]["address"], interface["mac_address"]);
    let shown = ground.endpoints()?;
    assert_eq!(shown[0]["key"], "netavark/c0ffee/eth0");
    assert_eq!(shown[0]["who"]["name"], "web");
    assert_eq!(shown[0]["publish"][0]["host_port"], 8080);
    assert_eq!(ground.done(&["setup", &netns], &words)?, answer);

    assert_eq!(ground.done(&["teardown", &netns], &words)?, Value::Null);
    assert_eq!(ground.endpoints()?, json!([]));
    ground.done(&["teardown", &netns], &words)?;

    // What its user asked for.
    let first = subnets[0]["ipnet"].as_str().context("an address")?;
    let base = first.rsplit_once('.').context("IPv4 is first")?.0;
    let asked = format!("{base}.99");
    words["network_options"]["static_ips"] = json!([asked]);
    words["network_options"]["static_mac"] = json!("02:00:00:00:00:99");
    ground.done(&["setup", &netns], &words)?;
    let said = held(&container)?;
    assert!(said.contains(&format!(" {asked}/")), "{said}");
    Ok(())
}

#[test]
fn what_cannot_be_is_a_sentence() -> Result<()> {
    let mut ground = Ground::new()?;
    let mut words = ground.words()?;
    let container = Namespace::new("c1".into())?;
    let netns = format!("/proc/{}/ns/net", container.pid());
    let said = ground.refused(&["setup", "/nowhere"], &words)?;
    assert!(said.contains("/nowhere"), "{said}");
    let said = ground.refused(&["setup"], &words)?;
    assert!(said.contains("setup NETNS"), "{said}");
    let said = ground.refused(&["create"], &json!([]))?;
    assert!(said.contains("netavark"), "{said}");
    let mut own = words["network"].clone();
    own["subnets"] = json!([{ "subnet": "10.9.0.0/24" }]);
    let said = ground.refused(&["create"], &own)?;
    assert!(said.contains("--subnet"), "{said}");
    words["network"]["options"]["network"] = json!("nowhere");
    let said = ground.refused(&["setup", &netns], &words)?;
    assert!(said.contains("nowhere"), "{said}");
    words["network"]["options"]["network"] = json!("default");

    ground.done(&["setup", &netns], &words)?;
    ground.agent.kill()?;
    let said = ground.refused(&["teardown", &netns], &words)?;
    assert!(said.contains("not running"), "{said}");
    drop(container);
    ground.done(&["teardown", &netns], &words)?;
    assert!(fs::metadata(&netns).is_err());
    Ok(())
}
