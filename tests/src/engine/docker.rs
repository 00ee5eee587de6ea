//! dockerd on a machine, and its command.

use anyhow::{Context, Result};
use serde_json::Value;

use super::{Contained, Image, Service, says};
use crate::lab::{Host, Namespace};

/// Debian's, whatever else is installed.
const DOCKER: [&str; 3] = ["/usr/bin/docker", "-H", "unix:///run/docker.sock"];

pub struct Docker {
    machine: Namespace,
    daemon: Service,
}

impl Docker {
    /// On its disk is what another one left there.
    pub fn start(host: &Host, flags: &[&str]) -> Result<Self> {
        let image = Image::of(host)?;
        let group = format!("/{}", host.group()?);
        let command = [
            "/usr/sbin/dockerd",
            "-H",
            "unix:///run/docker.sock",
            "--log-level",
            "warn",
            // The machine has no systemd.
            "--exec-opt",
            "native.cgroupdriver=cgroupfs",
            "--cgroup-parent",
            &group,
        ];
        let log = host.directory().join("dockerd.log");
        let mut docker = Self {
            machine: (**host).clone(),
            daemon: Service::new(host, &[&command[..], flags].concat(), log),
        };
        docker.restart()?;
        if docker.done(&["image", "inspect", Image::name()]).is_err() {
            docker.done(&["import", &image.layer(), Image::name()])?;
        }
        Ok(docker)
    }

    /// SIGKILL. Its containers go on.
    pub fn kill(&mut self) {
        self.daemon.kill();
    }

    /// Also after a death; ready.
    pub fn restart(&mut self) -> Result<()> {
        self.daemon.start(&[&DOCKER[..], &["version"]].concat())
    }

    /// What a command of it prints that must be done.
    pub fn done(&self, arguments: &[&str]) -> Result<String> {
        let printed = self.machine.done(&[&DOCKER[..], arguments].concat())?;
        Ok(printed.trim().to_owned())
    }

    /// The same for one that may fail.
    pub fn said(&self, arguments: &[&str]) -> Result<crate::process::Said> {
        self.machine.run(&[&DOCKER[..], arguments].concat())
    }

    pub fn run(&self, name: &str, network: &str, flags: &[&str]) -> Result<Contained> {
        let run = ["run", "-d", "--name", name, "--network", network];
        let program = says(name);
        // A dockerd that was killed ends its containers, and waits for them as long.
        let end = ["--stop-timeout", "0"];
        let image = [Image::name(), "/bin/sh", "-c", &program];
        self.done(&[&run[..], &end, flags, &image].concat())?;
        self.contained(name)
    }

    /// One that runs already.
    pub fn contained(&self, name: &str) -> Result<Contained> {
        let of_it = self.inspect(name)?;
        let process = of_it["State"]["Pid"].as_u64().context("a process")?;
        let enter = [&DOCKER[..], &["exec", name]].concat();
        Contained::new(&self.machine, name, u32::try_from(process)?, &enter)
            .with_context(|| of_it["State"].to_string())
    }

    pub fn inspect(&self, name: &str) -> Result<Value> {
        let all: Value = serde_json::from_str(&self.done(&["inspect", name])?)?;
        Ok(all[0].clone())
    }
}
