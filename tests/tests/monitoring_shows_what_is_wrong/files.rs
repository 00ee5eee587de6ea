//! The files themselves.

use std::{collections::BTreeSet, fs, process::Command};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::{
    process::{self, missing, said},
    prometheus::example,
};

use super::{fleet, nodes};

/// The alerts that there are, by their lines.
fn alerts() -> Result<Vec<String>> {
    let text = fs::read_to_string(example().join("weft.rules.yml"))?;
    let name = |line: &str| Some(line.trim().strip_prefix("- alert: ")?.to_owned());
    Ok(text.lines().filter_map(name).collect())
}

pub fn dashboard() -> Result<Value> {
    let text = fs::read_to_string(example().join("dashboard.json"))?;
    Ok(serde_json::from_str(&text)?)
}

/// Of every panel its title, and what it asks for.
pub fn panels() -> Result<Vec<(String, Vec<String>)>> {
    let dashboard = dashboard()?;
    let panels = dashboard["panels"].as_array().context("panels")?;
    let panel = |panel: &Value| {
        let title = panel["title"].as_str().context("a title")?;
        let targets = panel["targets"].as_array().context("targets")?;
        let asked = targets.iter().map(|target| target["expr"].as_str());
        let asked: Option<Vec<&str>> = asked.collect();
        let asked = asked.context("an expression")?;
        Ok((title.into(), asked.into_iter().map(String::from).collect()))
    };
    panels.iter().map(panel).collect()
}

#[test]
fn prometheus_takes_them() -> Result<()> {
    for (what, file) in [("config", "prometheus.yml"), ("rules", "weft.rules.yml")] {
        let mut command = process::mortal("promtool");
        let found = Command::new("promtool").arg("--version").output();
        found.map_err(|error| missing("promtool", error))?;
        command.args(["check", what]).arg(example().join(file));
        let said = said(command)?;
        ensure!(
            said.code == 0 && said.stdout.contains("SUCCESS"),
            "{said:?}"
        );
    }
    Ok(())
}

#[test]
fn every_alert_is_made_to_fire_and_says_what_to_do() -> Result<()> {
    let there = alerts()?;
    let tried = [fleet::TRIED, nodes::TRIED, nodes::TRIED_ALONE].concat();
    let names: BTreeSet<&str> = there.iter().map(String::as_str).collect();
    let tried: BTreeSet<&str> = tried.into_iter().collect();
    assert_eq!(names, tried);
    let text = fs::read_to_string(example().join("weft.rules.yml"))?;
    for field in ["summary: ", "description: ", "severity: "] {
        assert_eq!(text.matches(field).count(), there.len(), "{field}");
    }
    Ok(())
}

#[test]
fn the_dashboard_is_one_that_grafana_takes() -> Result<()> {
    let dashboard = dashboard()?;
    ensure!(dashboard["title"] == "Weft" && dashboard["schemaVersion"] == 38);
    ensure!(dashboard["templating"]["list"][0]["name"] == "datasource");
    let panels = dashboard["panels"].as_array().context("panels")?;
    let mut taken = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in panels {
        ensure!(ids.insert(panel["id"].as_u64()), "{panel}");
        ensure!(["stat", "timeseries"].contains(&panel["type"].as_str().unwrap_or_default()));
        // It answers a question, and says which.
        ensure!(
            panel["description"]
                .as_str()
                .is_some_and(|words| words.len() > 20)
        );
        ensure!(panel["datasource"]["uid"] == "${datasource}");
        let place = |field: &str| panel["gridPos"][field].as_u64().context("a place");
        let (x, y, w, h) = (place("x")?, place("y")?, place("w")?, place("h")?);
        ensure!(x + w <= 24 && w > 0 && h > 0, "{panel}");
        for spot in (y..y + h).flat_map(|y| (x..x + w).map(move |x| (x, y))) {
            ensure!(taken.insert(spot), "two panels are at {spot:?}: {panel}");
        }
        let targets = panel["targets"].as_array().context("targets")?;
        let names: BTreeSet<_> = targets.iter().map(|one| one["refId"].as_str()).collect();
        ensure!(!names.is_empty() && names.len() == targets.len(), "{panel}");
    }
    Ok(())
}
