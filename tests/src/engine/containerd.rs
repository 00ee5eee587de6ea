//! containerd on a machine: pods by its CRI as a kubelet asks for them, containers by
//! `ctr` as a person does.

use std::{collections::HashMap, path::PathBuf};

use anyhow::{Context, Result};

use super::{
    Contained, Image, Service,
    cri::{Container, Cri, LinuxPod, Name, Pod, PodMetadata, PortMapping},
    says,
};
use crate::lab::{Host, Namespace};

const CTR: [&str; 3] = ["ctr", "--address", "/run/weft-test/containerd.sock"];
/// Apart from where a dockerd would find it and use it for its own.
const CONFIG: &str = r#"
version = 2
root = "/var/lib/containerd"
state = "/run/weft-test/containerd"
[grpc]
address = "/run/weft-test/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "localhost/box:1"
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "/opt/cni/bin"
conf_dir = "/etc/cni/net.d"
"#;

pub struct Containerd {
    machine: Namespace,
    group: String,
    daemon: Service,
}

impl Containerd {
    /// On its disk is what another one left there.
    pub fn start(host: &Host) -> Result<Self> {
        let image = Image::of(host)?;
        host.write("/etc/containerd/config.toml", CONFIG)?;
        // It needs this one whatever the network is.
        host.done(&["mkdir", "-p", "/opt/cni/bin"])?;
        host.done(&[
            "ln",
            "-sf",
            "/usr/lib/cni/loopback",
            "/opt/cni/bin/loopback",
        ])?;
        let config = ["--config", "/etc/containerd/config.toml"];
        let command = [&["containerd", "--log-level", "warn"], &config[..]].concat();
        let log = host.directory().join("containerd.log");
        let mut containerd = Self {
            machine: (**host).clone(),
            group: format!("/{}", host.group()?),
            daemon: Service::new(host, &command, log),
        };
        containerd.restart()?;
        for namespace in ["default", "k8s.io"] {
            let import = ["-n", namespace, "images", "import", &image.archive()];
            containerd.done(&import)?;
        }
        Ok(containerd)
    }

    /// SIGKILL. Its containers go on.
    pub fn kill(&mut self) {
        self.daemon.kill();
    }

    /// Also after a death; ready.
    pub fn restart(&mut self) -> Result<()> {
        self.daemon.start(&[&CTR[..], &["version"]].concat())
    }

    /// Of a container, as the machine knows it.
    fn process(&self, namespace: &str, id: &str) -> Result<u32> {
        // "TASK  PID  STATUS", a line each.
        let tasks = self.done(&["-n", namespace, "tasks", "list"])?;
        let mut lines = tasks.lines().map(|line| line.split_whitespace());
        let of_it = lines.find_map(|mut fields| (fields.next()? == id).then(|| fields.next())?);
        Ok(of_it.with_context(|| tasks.clone())?.parse()?)
    }

    /// Where it is found from everywhere.
    pub fn socket(&self) -> PathBuf {
        self.machine.path(CTR[2])
    }

    /// What `ctr` prints of what must be done.
    pub fn done(&self, arguments: &[&str]) -> Result<String> {
        self.machine.done(&[&CTR[..], arguments].concat())
    }

    /// On the first network of /etc/cni/net.d.
    pub fn run(&self, name: &str) -> Result<Contained> {
        let group = format!("{}/{name}", self.group);
        let run = ["run", "--cni", "-d", "--cgroup", &group];
        let program = says(name);
        let image = [Image::name(), name, "/bin/sh", "-c", &program];
        self.done(&[&run[..], &image].concat())?;
        let process = self.process("default", name)?;
        let exec = ["tasks", "exec", "--exec-id", "ask", name];
        Contained::new(&self.machine, name, process, &[&CTR[..], &exec].concat())
    }

    /// A pod of one container, on the first network of /etc/cni/net.d: its id, too.
    pub fn pod(&self, name: &str, published: &[(u16, u16)]) -> Result<(String, Contained)> {
        let cri = self.cri();
        let ports = published.iter().map(|(host, container)| PortMapping {
            protocol: 0,
            container_port: i32::from(*container),
            host_port: i32::from(*host),
        });
        let pod = Pod {
            metadata: Some(PodMetadata {
                name: name.to_owned(),
                uid: name.to_owned(),
                namespace: "default".to_owned(),
            }),
            hostname: name.to_owned(),
            port_mappings: ports.collect(),
            annotations: HashMap::new(),
            linux: Some(LinuxPod {
                cgroup_parent: self.group.clone(),
            }),
        };
        let named = |name: &str| {
            Some(Name {
                name: name.to_owned(),
            })
        };
        let container = Container {
            metadata: named(name),
            image: named(Image::name()),
            command: ["/bin/sh", "-c", &says(name)].map(str::to_owned).to_vec(),
        };
        let pod_id = cri.run_pod(&pod)?;
        let id = cri.run(&pod_id, &pod, &container)?;
        let process = self.process("k8s.io", &id)?;
        let exec = ["-n", "k8s.io", "tasks", "exec", "--exec-id", "ask", &id];
        let enter = [&CTR[..], &exec].concat();
        let contained = Contained::new(&self.machine, name, process, &enter)?;
        Ok((pod_id, contained))
    }

    pub fn cri(&self) -> Cri {
        Cri::new(self.socket())
    }

    /// `ctr` leaves the network to whoever looks after it.
    pub fn remove(&self, name: &str) -> Result<()> {
        self.done(&["tasks", "delete", "--force", name])?;
        self.done(&["containers", "delete", name]).map(drop)
    }
}
