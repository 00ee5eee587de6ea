//! A daemon of an engine: its log is shown when a test fails.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, ensure};

use crate::{
    lab::{Namespace, Running},
    wait::patiently,
};

/// Lines of a log that are shown.
const TAIL: usize = 60;

pub struct Service {
    machine: Namespace,
    command: Vec<String>,
    log: PathBuf,
    running: Option<Running>,
}

impl Service {
    /// It is not started yet.
    pub fn new(machine: &Namespace, command: &[&str], log: PathBuf) -> Self {
        Self {
            machine: machine.clone(),
            command: command.iter().map(ToString::to_string).collect(),
            log,
            running: None,
        }
    }

    /// Also after a death; it is there when a command of its own succeeds.
    pub fn start(&mut self, there: &[&str]) -> Result<()> {
        ensure!(self.running.is_none(), "{} runs already", self.command[0]);
        let command: Vec<&str> = self.command.iter().map(String::as_str).collect();
        let mut running = self.machine.spawn_into(&command, &self.log)?;
        let waited = patiently(&format!("{} is there", command[0]), || {
            if let Some(status) = running.child().try_wait()? {
                return Ok(Some(status));
            }
            self.machine.done(there).map(|_| None)
        });
        let ended = waited.with_context(|| self.tail())?;
        self.running = Some(running);
        ensure!(
            ended.is_none(),
            "{} ended: {}",
            self.command[0],
            self.tail()
        );
        Ok(())
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.running = None;
    }

    fn tail(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text);
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(TAIL)..].join("\n")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.kill();
        eprintln!("--- {}\n{}", self.log.display(), self.tail());
    }
}
