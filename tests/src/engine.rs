//! Real container engines on the machines of a lab: Debian's packages as they come,
//! with an image that is made here.

use std::{
    fs,
    net::{IpAddr, SocketAddr},
    path::Path,
};

use anyhow::{Context, Result, ensure};

use crate::{
    lab::{Host, Namespace, Running},
    ops,
    wait::patiently,
};

mod booted;
mod containerd;
pub mod cri;
mod docker;
mod image;
mod podman;
mod service;
mod spaces;

pub use booted::Booted;
pub use containerd::Containerd;
pub use docker::Docker;
pub use image::Image;
pub use podman::Podman;
pub use service::Service;
pub use spaces::{lxc, lxc_with, netns, nspawn, plain, runc};

/// A running container, which says its name to whoever asks at port 80.
pub struct Contained {
    pub name: String,
    machine: Namespace,
    /// What runs a program in it, by its engine.
    enter: Vec<String>,
    network: Namespace,
    /// Where it is not a child of the machine's own.
    _running: Option<Running>,
}

impl Contained {
    /// The process is named as its machine knows it.
    fn new(host: &Namespace, name: &str, process: u32, enter: &[&str]) -> Result<Self> {
        let network = host.path(&format!("/proc/{process}/ns/net"));
        Self::within(host, name, &network, enter)
    }

    fn within(host: &Namespace, name: &str, network: &Path, enter: &[&str]) -> Result<Self> {
        let network = Namespace::at(name.to_owned(), network)?;
        patiently(&format!("{name} answers"), || network.inside(listens))?;
        Ok(Self {
            name: name.to_owned(),
            machine: host.clone(),
            enter: enter.iter().map(ToString::to_string).collect(),
            network,
            _running: None,
        })
    }

    /// Its network, as the machine's own tools see it.
    pub fn network(&self) -> &Namespace {
        &self.network
    }

    /// Runs a program in it to its end, by its engine.
    pub fn exec(&self, arguments: &[&str]) -> Result<String> {
        let enter: Vec<&str> = self.enter.iter().map(String::as_str).collect();
        self.machine.done(&[&enter[..], arguments].concat())
    }

    /// What the container says that has this address, asked from within this one.
    pub fn asks(&self, address: IpAddr, port: u16) -> Result<String> {
        let said = self.asks_all(&[address], port)?;
        said.into_iter().next().context("an answer")
    }

    /// The same of several, at once for the engine; of whoever does not answer nothing.
    pub fn asks_all(&self, addresses: &[IpAddr], port: u16) -> Result<Vec<String>> {
        let ask = |address: &IpAddr| {
            let get = "printf 'GET / HTTP/1.0\\r\\n\\r\\n'";
            format!("echo \"$({get} | busybox nc -w 5 {address} {port} | tail -n 1)\"\n")
        };
        let all: String = addresses.iter().map(ask).collect();
        let answers = self.exec(&["/bin/sh", "-c", &all])?;
        Ok(answers.lines().map(str::to_owned).collect())
    }

    /// All of them that others may use.
    pub fn addresses(&self) -> Result<Vec<IpAddr>> {
        let all = ["ip", "-j", "addr", "show", "scope", "global"];
        let links = self.network.json(&all)?;
        let links = links.as_array().cloned().unwrap_or_default();
        let addresses = links
            .iter()
            .flat_map(|link| link["addr_info"].as_array().cloned().unwrap_or_default());
        // Of those that it does not show there is an empty one.
        let shown = addresses.filter_map(|address| address["local"].as_str()?.parse().ok());
        Ok(shown.collect())
    }

    pub fn v4(&self) -> Result<IpAddr> {
        let addresses = self.addresses()?;
        let first = addresses.iter().find(|address| address.is_ipv4());
        first
            .copied()
            .with_context(|| format!("{} has no IPv4 address", self.name))
    }

    pub fn v6(&self) -> Result<IpAddr> {
        let addresses = self.addresses()?;
        let first = addresses.iter().find(|address| address.is_ipv6());
        first
            .copied()
            .with_context(|| format!("{} has no IPv6 address", self.name))
    }
}

/// What somebody answers at an address, asked from a machine.
pub fn ask(from: &Host, address: IpAddr, port: u16) -> Result<String> {
    let answer = from.inside(|| ops::get(SocketAddr::new(address, port), "/"));
    let answer = answer.with_context(|| format!("{} asks {address}", from.node()))?;
    Ok(answer.body.trim().to_owned())
}

/// Does somebody listen at port 80?
fn listens() -> Result<()> {
    let mut sockets = fs::read_to_string("/proc/thread-self/net/tcp")?;
    sockets += &fs::read_to_string("/proc/thread-self/net/tcp6")?;
    // "sl local_address rem_address st", the port and the state in hexadecimal.
    let mut lines = sockets.lines().map(|line| line.split_whitespace());
    let there = lines.any(|mut fields| {
        let is_there = fields.nth(1).is_some_and(|local| local.ends_with(":0050"));
        is_there && fields.nth(1) == Some("0A")
    });
    ensure!(there, "nobody listens at port 80");
    Ok(())
}

/// The program of every container.
fn says(name: &str) -> String {
    format!("mkdir -p /www; echo {name} >/www/index.html; exec httpd -f -p 80 -h /www")
}
