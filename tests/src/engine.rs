//! Real container engines on the machines of a lab: Debian's packages as they come,
//! with an image that is made here.

use std::net::IpAddr;

use anyhow::{Context, Result, ensure};

use crate::lab::{Host, Namespace, Running};

mod containerd;
mod docker;
mod image;
mod podman;
mod service;
mod spaces;

pub use containerd::Containerd;
pub use docker::Docker;
pub use image::Image;
pub use podman::Podman;
pub use service::Service;
pub use spaces::{lxc, netns, nspawn, runc};

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
        Ok(Self {
            name: name.to_owned(),
            machine: host.clone(),
            enter: enter.iter().map(ToString::to_string).collect(),
            network: Namespace::at(name.to_owned(), &network)?,
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
        let ask = format!("printf 'GET / HTTP/1.0\\r\\n\\r\\n' | nc -w 5 {address} {port}");
        let answer = self.exec(&["/bin/sh", "-c", &ask])?;
        body(&answer).with_context(|| format!("{} asks {address}: {answer:?}", self.name))
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
    let url = match address {
        IpAddr::V4(address) => format!("http://{address}:{port}/"),
        IpAddr::V6(address) => format!("http://[{address}]:{port}/"),
    };
    let answer = from.done(&["curl", "--silent", "--show-error", "--max-time", "5", &url])?;
    Ok(answer.trim().to_owned())
}

/// The program of every container.
fn says(name: &str) -> String {
    format!("mkdir -p /www; echo {name} >/www/index.html; exec httpd -f -p 80 -h /www")
}

fn body(answer: &str) -> Result<String> {
    ensure!(answer.starts_with("HTTP/1."), "no answer");
    let answer = answer.replace('\r', "");
    let (_, body) = answer.split_once("\n\n").context("no content")?;
    Ok(body.trim().to_owned())
}
