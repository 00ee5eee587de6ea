//! What is up: a lab, the agents of its hosts, and containers by their names; and what a
//! person does to them.

use std::{collections::BTreeMap, net::IpAddr};

use anyhow::{Context, Result, bail, ensure};
use tests::{
    lab::{Agent, Container, Host, Lab, Namespace, after},
    trusted::Trusted,
};

use crate::{
    program::Program,
    words::{Act, Fault, Found, Machine},
};

mod faults;
mod status;

const NO_ETCD: &str = "this lab has no etcd";

pub struct Cluster {
    pub name: String,
    pub store: String,
    pub underlay: String,
    pub network: String,
    // Dropped in this order: containers and agents are on hosts.
    containers: BTreeMap<String, (u32, Container)>,
    agents: BTreeMap<u32, Agent>,
    lab: Lab,
    faults: Vec<Fault>,
}

impl Cluster {
    pub fn new(name: &str, store: &str, underlay: &str, network: &str, lab: Lab) -> Self {
        Self {
            name: name.to_owned(),
            store: store.to_owned(),
            underlay: underlay.to_owned(),
            network: network.to_owned(),
            containers: BTreeMap::new(),
            agents: BTreeMap::new(),
            lab,
            faults: Vec::new(),
        }
    }

    pub fn start_agents(&mut self) -> Result<()> {
        let agents = self.lab.agents(&["--networks", &self.network])?;
        for (host, mut agent) in self.lab.hosts().iter().zip(agents) {
            agent.hush();
            // Where its commands look for it, in the host's own /run.
            let (socket, state) = (agent.socket().display(), host.directory().join("state"));
            let state = state.display();
            let link = format!(
                "mkdir -p /run/weft && ln -s {socket} /run/weft/agent.sock && ln -s {state} /run/weft/state"
            );
            host.done(&["sh", "-c", &link])?;
            self.agents.insert(host.number, agent);
        }
        Ok(())
    }

    pub fn find(&self, machine: &Machine) -> Result<Found> {
        let namespace: &Namespace = match machine {
            Machine::Host(number) => self.host(*number)?,
            Machine::Container(name) => &self.container(name)?.1,
            Machine::Controllers => bail!("one of them: controller-1, ..."),
            Machine::Controller(number) => {
                let index = number.checked_sub(1).map(|index| index as usize);
                let controller = index.and_then(|index| self.lab.controllers.get(index));
                let controller = controller.with_context(|| format!("there is no {machine}"))?;
                controller.place().namespace()?
            }
            Machine::Etcd => {
                let etcd = self.lab.etcd.as_ref().context(NO_ETCD)?;
                etcd.place().namespace()?
            }
        };
        Ok(Found {
            pid: namespace.pid(),
            controllers: self.lab.controller_urls()?,
            credentials: self.lab.trusted.as_ref().map(Trusted::admin),
        })
    }

    /// What was done, in a sentence.
    pub fn act(&mut self, act: Act) -> Result<String> {
        match act {
            Act::Add(host, name) => self.add(&host, name),
            Act::Remove(name) => {
                self.container(&name)?;
                self.containers.remove(&name);
                Ok(format!("{name} is gone"))
            }
            Act::Program(deed, machine) => {
                let programs = self.programs(&machine)?.into_iter();
                let said: Result<Vec<String>> = programs.map(|mut one| one.touch(deed)).collect();
                Ok(said?.join("\n"))
            }
            Act::Befall(fault) => self.befall(fault),
            Act::Heal => self.heal(),
        }
    }

    /// With the next addresses of its host.
    pub fn add(&mut self, host: &Machine, name: Option<String>) -> Result<String> {
        let number = self.number_of_host(host)?;
        let mut free = (1..).map(|count| format!("c{count}"));
        let name = match name {
            Some(name) => name,
            None => free
                .find(|name| !self.containers.contains_key(name))
                .context("a free name")?,
        };
        ensure!(
            !self.containers.contains_key(&name),
            "there is a container {name} already"
        );
        let like = name.parse::<Machine>()?;
        ensure!(
            like == Machine::Container(name.clone()),
            "{name} is what a machine is called: choose another name"
        );
        let (addresses, mtu) = self.next_on(number)?;
        let container = self.host(number)?;
        let container = container.container_with(&name, &addresses, mtu)?;
        self.containers.insert(name.clone(), (number, container));
        let addresses: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
        Ok(format!("{name} on {host}: {}", addresses.join(", ")))
    }

    /// The first addresses of its subnets that no container has, and the MTU there: as
    /// the kernel has them, which needs no agent.
    fn next_on(&self, host: u32) -> Result<(Vec<IpAddr>, u32)> {
        let shown = ["ip", "-j", "addr", "show", "type", "vxlan"];
        let shown = self.host(host)?.json(&shown)?;
        let device = &shown[0];
        let mtu = device["mtu"].as_u64().with_context(|| {
            format!("h{host} is on no overlay yet: `weft-lab status` says how its agent is")
        })?;
        let bases = device["addr_info"].as_array().context("its addresses")?;
        let bases = bases.iter().filter(|info| info["scope"] == "global");
        let bases: Result<Vec<IpAddr>> = bases
            .map(|info| Ok(info["local"].as_str().context("an address")?.parse()?))
            .collect();
        let bases = bases?;
        let taken = |address: &IpAddr| {
            let mut containers = self.containers.values();
            containers.any(|(_, container)| container.addresses.contains(address))
        };
        // The first is the host's, the second may be a bridge's.
        let next = (2..).map(|count| bases.iter().map(|base| after(*base, count)).collect());
        let free = |addresses: &Vec<IpAddr>| !addresses.iter().any(taken);
        let addresses = { next }.find(free).context("a free address")?;
        Ok((addresses, u32::try_from(mtu)?))
    }

    fn programs(&mut self, machine: &Machine) -> Result<Vec<Program<'_>>> {
        let controllers = (1..).zip(&mut self.lab.controllers);
        let mut controllers = controllers.map(|(number, controller)| {
            let name = Machine::Controller(number).to_string();
            (number, Program::Weft(name, controller))
        });
        Ok(match machine {
            Machine::Host(number) => {
                let agent = self.agents.get_mut(number);
                let agent = agent.with_context(|| format!("there is no host {machine}"))?;
                vec![Program::Weft(format!("the agent of {machine}"), agent)]
            }
            Machine::Controllers => controllers.map(|(_, program)| program).collect(),
            Machine::Controller(wanted) => {
                let found = controllers.find(|(number, _)| number == wanted);
                let (_, program) = found.with_context(|| format!("there is no {machine}"))?;
                vec![program]
            }
            Machine::Etcd => {
                let etcd = self.lab.etcd.as_mut();
                vec![Program::Etcd(etcd.context(NO_ETCD)?)]
            }
            Machine::Container(name) => {
                bail!(
                    "{name} is not h1, h2, ..., controller-1, ... or etcd, where programs of Weft run"
                )
            }
        })
    }

    fn host(&self, number: u32) -> Result<&Host> {
        let host = self.lab.hosts().iter().find(|host| host.number == number);
        host.with_context(|| format!("there is no host h{number}"))
    }

    fn container(&self, name: &str) -> Result<&(u32, Container)> {
        let container = self.containers.get(name);
        container.with_context(|| format!("there is no machine and no container {name}"))
    }

    fn number_of_host(&self, machine: &Machine) -> Result<u32> {
        match machine {
            Machine::Host(number) => Ok(self.host(*number)?.number),
            other => bail!("{other} is not a host: hosts are h1, h2, ..."),
        }
    }
}
