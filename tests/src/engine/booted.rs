//! A Debian that boots: its first process is systemd, and its network is its machine's.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result, ensure};
use socket::Client;

use super::spaces::GROUPED;
use crate::{
    lab::{Host, Namespace, Running},
    process::Said,
    wait::patiently,
};

const PATIENCE: Duration = Duration::from_secs(10);

pub struct Booted<'a> {
    host: &'a Host,
    /// systemd, as the machine knows it.
    process: String,
    _running: Running,
}

impl<'a> Booted<'a> {
    /// What it writes is gone when it is; `debs` is its /debs.
    pub fn new(host: &'a Host, system: &Path, debs: &Path) -> Result<Self> {
        let group = format!("{}/booted", host.group()?);
        let mut words = vec!["sh", "-c", GROUPED, "grouped", &group];
        let system = system.to_string_lossy();
        let debs = format!("--bind-ro={}:/debs", debs.display());
        // Its network is to be changed, which nspawn knows only of a network of its own.
        words.extend(["env", "SYSTEMD_NSPAWN_API_VFS_WRITABLE=network"]);
        words.extend(["systemd-nspawn", "--boot", "-D", &system, &debs]);
        words.extend(["--volatile=overlay", "--capability=all"]);
        words.extend(["--register=no", "--keep-unit", "--console=pipe"]);
        fs::create_dir_all(host.directory())?;
        let log = host.directory().join("nspawn.log");
        let running = host.spawn_into(&words, &log)?;
        let process = patiently("systemd is there", || {
            let found = host.done(&["pgrep", "-x", "systemd"]);
            found.with_context(|| fs::read_to_string(&log).unwrap_or_default())
        })?;
        let booted = Self {
            host,
            process: process.trim().to_owned(),
            _running: running,
        };
        patiently("systemd has started everything", || {
            let state = booted.run("systemctl is-system-running")?;
            ensure!(state.stdout == "running\n", "{state:?}");
            Ok(())
        })?;
        Ok(booted)
    }

    pub fn run(&self, script: &str) -> Result<Said> {
        let enter = ["nsenter", "-t", &self.process, "-a"];
        self.host
            .run(&[&enter[..], &["sh", "-ec", script]].concat())
    }

    pub fn done(&self, script: &str) -> Result<String> {
        let said = self.run(script)?;
        ensure!(said.code == 0, "{script}: {said:?}");
        Ok(said.stdout)
    }

    /// What a property of a unit is.
    pub fn property(&self, unit: &str, name: &str) -> Result<String> {
        let value = self.done(&format!("systemctl show --value -p {name} {unit}"))?;
        Ok(value.trim().to_owned())
    }

    /// How its agent is asked.
    pub fn client(&self) -> Client {
        let path = format!("/proc/{}/root/run/weft/agent.sock", self.process);
        Client::new(&self.host.path(&path), PATIENCE)
    }

    /// A namespace that `ip netns` made there.
    pub fn netns(&self, name: &str) -> Result<Namespace> {
        let path = format!("/proc/{}/root/run/netns/{name}", self.process);
        Namespace::at(name.to_owned(), &self.host.path(&path))
    }
}
