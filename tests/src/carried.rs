//! What a store holds, as its backup says it.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::{
    lab::Place,
    process::{self, Said},
};

/// The records of a backup, and the order in which returned subnets wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Carried {
    /// Lines without their revision, sorted.
    pub records: Vec<String>,
    pub queue: Vec<String>,
}

/// Runs `weft-controller` in a place to its end.
pub fn controller(place: &Place, arguments: &[&str]) -> Result<Said> {
    let mut command = place.command(process::weft("weft-controller")?);
    command.args(arguments);
    process::said(command)
}

/// The same for one that must be done.
pub fn done(place: &Place, arguments: &[&str]) -> Result<Said> {
    let said = controller(place, arguments)?;
    ensure!(said.code == 0, "{arguments:?}: {said:?}");
    Ok(said)
}

impl Carried {
    /// Backs the store up that the flags tell of.
    pub fn of(place: &Place, store: &[&str]) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let file = directory.path().join("backup");
        let name = file.to_str().context("a path")?;
        done(place, &[&["backup", name][..], store].concat())?;
        Self::read(&file)
    }

    pub fn read(file: &Path) -> Result<Self> {
        let text = fs::read_to_string(file)?;
        let lines: Vec<Value> = text
            .lines()
            .map(serde_json::from_str)
            .collect::<Result<_, _>>()?;
        let mut carried = Self {
            records: Vec::new(),
            queue: Vec::new(),
        };
        for mut line in lines {
            let Some(record) = line
                .as_object_mut()
                .filter(|line| line.contains_key("revision"))
            else {
                continue;
            };
            if record.contains_key("weft") {
                continue;
            }
            record.remove("revision");
            if let Some(key) = record.get("key").and_then(Value::as_str)
                && key.starts_with("free/")
            {
                carried.queue.push(key.to_owned());
            }
            carried.records.push(line.to_string());
        }
        carried.records.sort();
        Ok(carried)
    }
}
