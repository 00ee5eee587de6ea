//! Hosts, controllers and containers as network namespaces of this machine, joined by
//! a switch. Nothing of it is in the machine's own namespace and nothing has a name
//! there: it is held by processes that die with the test, however the test dies.

use std::{net::IpAddr, path::Path, sync::atomic::AtomicU32};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::{
    controller::{Controller, Store},
    etcd::Etcd,
    process::Said,
    trusted::Trusted,
};

mod agent;
mod attached;
pub mod by_hand;
mod container;
mod fault;
pub mod forged;
mod host;
pub mod icmp;
mod machine;
mod namespace;
mod nodes;
mod picture;
mod ping;
mod pinger;
mod place;
mod plan;
mod small_disk;
mod switch;
mod tcp;

pub use agent::Agent;
pub use attached::{Attached, wish};
pub use container::{CONTAINER_MTU, Container, after};
pub use host::{Host, UPLINK};
pub use namespace::{Namespace, Running};
pub use picture::{Part, Picture};
pub use ping::{Fragments, Pings, ping, ping_sized};
pub use pinger::{Lost, Pinged, Pinger};
pub use place::Place;
pub use plan::{Ground, Plan};
pub use small_disk::SmallDisk;
pub use switch::Switch;
pub use tcp::{Stream, Streamed, tcp};

pub struct Lab {
    pub plan: Plan,
    pub switch: Switch,
    hosts: Vec<Host>,
    pub controllers: Vec<Controller>,
    /// What the controllers share, if there are several.
    pub etcd: Option<Etcd>,
    /// What they are trusted by, if certificates are used.
    pub trusted: Option<Trusted>,
    directory: TempDir,
}

impl Lab {
    /// Hosts that reach each other and run nothing.
    pub fn new(hosts: u32) -> Result<Self> {
        Self::on(Ground::Switched, hosts)
    }

    pub fn on(ground: Ground, hosts: u32) -> Result<Self> {
        let plan = Plan::new(hosts, ground)?;
        let names = (1..=hosts).map(|number| format!("h{number}"));
        let names = std::iter::once("switch".to_owned()).chain(names);
        let mut namespaces = Namespace::several(names)?.into_iter();
        let switch = Switch::new(namespaces.next().context("a switch")?, plan)?;
        let machines: Vec<(u32, Namespace)> = (1..=hosts).zip(namespaces).collect();
        switch.attach(&machines)?;
        let directory = tempfile::Builder::new().prefix("weft-lab-").tempdir()?;
        let host = |(number, namespace): (u32, Namespace)| Host {
            number,
            namespace,
            plan,
            directory: directory.path().join(format!("h{number}")),
            containers: AtomicU32::new(0),
            machine: None,
        };
        Ok(Self {
            plan,
            hosts: machines.into_iter().map(host).collect(),
            switch,
            controllers: Vec::new(),
            etcd: None,
            trusted: None,
            directory,
        })
    }

    /// By its number, which begins at 1.
    pub fn host(&self, number: u32) -> &Host {
        let index = number.checked_sub(1).map(|index| index as usize);
        let host = index.and_then(|index| self.hosts.get(index));
        host.unwrap_or_else(|| panic!("there is no host {number}"))
    }

    pub fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// The disks of all hosts; gone when this is dropped.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// A machine on the switch that is none of the hosts.
    pub fn stranger(&self, number: u32) -> Result<Namespace> {
        ensure!(
            !self.plan.taken(number),
            "{number} belongs to somebody in this lab"
        );
        let namespace = Namespace::new(format!("stranger-{number}"))?;
        self.switch.attach(&[(number, namespace.clone())])?;
        Ok(namespace)
    }

    /// From here on controllers ask for certificates.
    pub fn trust(&mut self) -> Result<()> {
        self.trusted = Some(Trusted::new(None)?);
        Ok(())
    }

    /// The same by an authority of the operator's own, which these options say.
    pub fn trust_by(&mut self, authority: &[&str]) -> Result<()> {
        self.trusted = Some(Trusted::new(Some(authority))?);
        Ok(())
    }

    /// Controllers that run are started again, and ask for certificates now.
    pub fn begin_to_trust(&mut self, flags: &[&str]) -> Result<()> {
        if self.trusted.is_none() {
            self.trust()?;
        }
        let trusted = self.trusted.as_ref().context("it was made just now")?;
        for controller in std::mem::take(&mut self.controllers) {
            self.controllers.push(controller.certified(trusted, flags)?);
        }
        Ok(())
    }

    /// Starts one on the embedded store, on a machine of its own.
    pub fn start_controller(&mut self, flags: &[&str]) -> Result<()> {
        ensure!(self.controllers.is_empty(), "there is a controller already");
        let controller = self.another(0, Store::Embedded, flags)?;
        self.controllers.push(controller);
        Ok(())
    }

    /// Starts several on one etcd, each on a machine of its own.
    pub fn start_controllers(&mut self, count: u32, flags: &[&str]) -> Result<()> {
        ensure!(self.controllers.is_empty(), "there is a controller already");
        let etcd = self.start_etcd()?;
        for index in 0..count {
            let controller = self.another(index, Store::Etcd(&etcd), flags)?;
            self.controllers.push(controller);
        }
        self.etcd = Some(etcd);
        Ok(())
    }

    /// Starts an etcd on a machine of its own, for whoever is told of it.
    pub fn start_etcd(&self) -> Result<Etcd> {
        let number = self.plan.etcd();
        let namespace = Namespace::new("etcd".into())?;
        self.switch.attach(&[(number, namespace.clone())])?;
        let address = self.plan.v4(number);
        let tls = self.trusted.as_ref().map(|trusted| trusted.etcd(address));
        Etcd::start_in(&namespace, address, tls.transpose()?)
    }

    /// What `weft` says, asking the controllers, as JSON; of a command that must be done.
    pub fn weft(&self, arguments: &[&str]) -> Result<serde_json::Value> {
        let said = self.weft_said(arguments)?;
        ensure!(said.code == 0, "weft {arguments:?}: {said:?}");
        serde_json::from_str(&said.stdout).with_context(|| format!("{said:?}"))
    }

    /// The same however it ends.
    pub fn weft_said(&self, arguments: &[&str]) -> Result<Said> {
        let controller = self.controllers.first().context("there is no controller")?;
        let all = self.controller_urls()?;
        let asked = ["--controller", &all, "-o", "json"];
        controller.weft(&[arguments, &asked].concat())
    }

    /// Every controller, as the option of an agent or of `weft`.
    pub fn controller_urls(&self) -> Result<String> {
        let urls: Result<Vec<String>> = self.controllers.iter().map(|one| one.url()).collect();
        Ok(urls?.join(","))
    }

    fn another(&self, index: u32, store: Store<'_>, flags: &[&str]) -> Result<Controller> {
        let number = self.plan.controller(index);
        let namespace = Namespace::new(format!("controller-{index}"))?;
        self.switch.attach(&[(number, namespace.clone())])?;
        let address = IpAddr::V4(self.plan.v4(number));
        match &self.trusted {
            Some(trusted) => Controller::trusted(&namespace, address, store, trusted, flags),
            None => Controller::within(&namespace, address, store, flags),
        }
    }
}
