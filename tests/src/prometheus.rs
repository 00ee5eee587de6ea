//! A real Prometheus that watches a lab as examples/monitoring has it: from a machine of its
//! own, with the files as they are shipped, only quicker.

use std::{
    collections::BTreeSet,
    fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    lab::{Lab, Namespace, Running},
    ops,
    process::{self, Said},
    wait::patiently,
};

/// Nothing else is on the loopback of its machine.
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);
/// Its number on the switch.
const NUMBER: u32 = 150;
/// In place of every interval and of every time that an alert waits.
const OFTEN: &str = "500ms";
const SOON: &str = "1s";

pub struct Prometheus {
    // Killed first: what it writes to is in the directory.
    _running: Running,
    place: Namespace,
    directory: TempDir,
}

/// The folder that is shipped.
pub fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/monitoring")
}

impl Prometheus {
    /// Of the lab's controllers, and of all hosts whose agents have a lease; it sees them.
    pub fn watch(lab: &Lab) -> Result<Self> {
        let directory = tempfile::Builder::new()
            .prefix("weft-prometheus-")
            .tempdir()?;
        let here = directory.path();
        for file in ["prometheus.yml", "weft.rules.yml"] {
            fs::write(
                here.join(file),
                quick(&fs::read_to_string(example().join(file))?),
            )?;
        }
        let controllers: Result<Vec<Value>> = (1..)
            .zip(&lab.controllers)
            .map(|(number, controller)| {
                let target = controller.ops_address()?.to_string();
                let labels = json!({ "node": format!("controller-{number}") });
                Ok(json!({ "targets": [target], "labels": labels }))
            })
            .collect();
        let controllers = serde_json::to_string(&controllers?)?;
        fs::write(here.join("controllers.json"), controllers)?;
        let agents = targets(lab)?;
        ensure!(agents.code == 0, "{agents:?}");
        fs::write(here.join("agents.json"), agents.stdout)?;

        let place = lab.stranger(NUMBER)?;
        let (config, data) = (here.join("prometheus.yml"), here.join("data"));
        let config = format!("--config.file={}", config.display());
        let data = format!("--storage.tsdb.path={}", data.display());
        let listen = format!("--web.listen-address={LISTEN}");
        let command = ["prometheus", &config, &data, &listen];
        let _running = place.spawn_into(&command, &here.join("log"))?;
        let prometheus = Self {
            _running,
            place,
            directory,
        };
        let all = lab.controllers.len() + lab.hosts().len();
        patiently("Prometheus sees everybody", || {
            let up = prometheus.query("up == 1");
            let up = up.with_context(|| prometheus.log())?;
            ensure!(up.len() == all, "{} of {all}: {up:?}", up.len());
            Ok(())
        })?;
        Ok(prometheus)
    }

    /// What an expression shows now, series by series.
    pub fn query(&self, expression: &str) -> Result<Vec<Value>> {
        let answer = self.ask(&format!("/api/v1/query?query={}", escaped(expression)))?;
        let series = answer["data"]["result"].as_array();
        series.cloned().with_context(|| format!("{answer}"))
    }

    /// The names of the alerts that fire, or are about to.
    pub fn alerts(&self) -> Result<BTreeSet<String>> {
        let answer = self.ask("/api/v1/alerts")?;
        let alerts = answer["data"]["alerts"].as_array();
        let alerts = alerts.with_context(|| format!("{answer}"))?;
        let name = |alert: &Value| Some(alert["labels"]["alertname"].as_str()?.to_owned());
        Ok(alerts.iter().filter_map(name).collect())
    }

    /// Those of one name that fire, as somebody would read them.
    pub fn firing(&self, name: &str) -> Result<Vec<String>> {
        let answer = self.ask("/api/v1/alerts")?;
        let alerts = answer["data"]["alerts"].as_array();
        let alerts = alerts.with_context(|| format!("{answer}"))?.iter();
        let fires = alerts
            .filter(|alert| alert["labels"]["alertname"] == name && alert["state"] == "firing");
        let words = fires.map(|alert| {
            let word = |field: &str| alert["annotations"][field].as_str().unwrap_or_default();
            format!("{}. {}", word("summary"), word("description"))
        });
        Ok(words.collect())
    }

    fn ask(&self, path: &str) -> Result<Value> {
        let answer = self.place.inside(|| ops::get(LISTEN, path))?;
        ensure!(answer.status == 200, "{path}: {answer:?}");
        serde_json::from_str(&answer.body).with_context(|| answer.body)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

/// What the shipped script prints of a lab.
fn targets(lab: &Lab) -> Result<Said> {
    let controller = lab.controllers.first().context("a controller")?;
    let mut command = controller.place().command(example().join("targets"));
    let weft = process::weft("weft")?;
    let beside = weft.parent().context("a directory")?.display();
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{beside}:{path}"));
    command.args(["--controller", &lab.controller_urls()?]);
    if let Some(credentials) = controller.credentials() {
        command.arg("--credentials").arg(credentials);
    }
    process::said(command)
}

/// The same file with every time that something waits made short.
fn quick(text: &str) -> String {
    let line = |line: &str| {
        let (indent, words) = line.split_at(line.len() - line.trim_start().len());
        let (key, _) = words.split_once(": ").unwrap_or((words, ""));
        match key {
            "for" => format!("{indent}{key}: {SOON}\n"),
            "scrape_interval" | "evaluation_interval" => format!("{indent}{key}: {OFTEN}\n"),
            _ => format!("{line}\n"),
        }
    };
    text.lines().map(line).collect()
}

fn escaped(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}
