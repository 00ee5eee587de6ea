//! Podman on a machine, with its networks by CNI as Debian 12 has it, or by netavark.

use anyhow::{Context, Result};

use super::{Contained, Image, says};
use crate::lab::{Host, Namespace};

/// A root of a lab may not raise its limits.
const CONFIG: &str = r#"
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=20000:20000"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
"#;
/// Debian 12's prefers netavark where that is installed, which has no plugins yet.
const CNI: &str = r#"
[network]
network_backend = "cni"
cni_plugin_dirs = ["/opt/cni/bin", "/usr/lib/cni"]
"#;

pub struct Podman {
    machine: Namespace,
    group: String,
}

impl Podman {
    pub fn with_cni(host: &Host) -> Result<Self> {
        Self::start(host, &format!("{CONFIG}{CNI}"))
    }

    pub fn with_netavark(host: &Host) -> Result<Self> {
        Self::start(host, CONFIG)
    }

    fn start(host: &Host, config: &str) -> Result<Self> {
        let image = Image::of(host)?;
        host.write("/etc/containers/containers.conf", config)?;
        let podman = Self {
            machine: (**host).clone(),
            group: format!("/{}", host.group()?),
        };
        if podman.done(&["image", "exists", Image::name()]).is_err() {
            podman.done(&["import", "-q", &image.layer(), Image::name()])?;
        }
        Ok(podman)
    }

    pub fn done(&self, arguments: &[&str]) -> Result<String> {
        let printed = self.machine.done(&[&["podman"], arguments].concat())?;
        Ok(printed.trim().to_owned())
    }

    pub fn run(&self, name: &str, network: &str, flags: &[&str]) -> Result<Contained> {
        let run = ["run", "-d", "--name", name, "--network", network];
        let program = says(name);
        let here = ["--cgroup-parent", &self.group];
        let image = [Image::name(), "/bin/sh", "-c", &program];
        self.done(&[&run[..], &here, flags, &image].concat())?;
        self.contained(name)
    }

    /// One that runs already.
    pub fn contained(&self, name: &str) -> Result<Contained> {
        let process = self.done(&["inspect", "-f", "{{.State.Pid}}", name])?;
        let process = process.parse().context("a process")?;
        Contained::new(&self.machine, name, process, &["podman", "exec", name])
    }
}
