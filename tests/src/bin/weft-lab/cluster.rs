//! What is up: a lab, the agents of its hosts, and containers by their names; and what a
//! person does to them.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use tests::lab::{Agent, Container, Host, Lab, Namespace, after};

use crate::{
    program::{Program, process, state},
    words::{Act, ContainerStatus, Found, Link, Machine, MachineStatus, State, Status},
};

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
    cuts: Vec<String>,
    unplugged: BTreeSet<u32>,
    slow: BTreeMap<u32, String>,
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
            cuts: Vec::new(),
            unplugged: BTreeSet::new(),
            slow: BTreeMap::new(),
        }
    }

    pub fn start_agents(&mut self) -> Result<()> {
        let agents = self.lab.agents(&["--networks", &self.network])?;
        for (host, mut agent) in self.lab.hosts().iter().zip(agents) {
            agent.hush();
            // Where its commands look for it, in the host's own /run.
            let socket = agent.socket().display();
            let link = format!("mkdir -p /run/weft && ln -s {socket} /run/weft/agent.sock");
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
                Ok(said?.join(
                    "
",
                ))
            }
            Act::Part {
                one,
                other,
                one_way,
            } => self.part(&one, &other, one_way),
            Act::Unplug(host) => {
                let number = self.number_of_host(&host)?;
                self.lab.uplink_down(number)?;
                self.unplugged.insert(number);
                Ok(format!("{host} is unplugged"))
            }
            Act::Slow(host, rate) => {
                let number = self.number_of_host(&host)?;
                self.lab.slow(number, &rate)?;
                let said = format!("{host} carries {rate}");
                self.slow.insert(number, rate);
                Ok(said)
            }
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

    pub fn status(&self) -> Status {
        let plan = self.lab.plan;
        let links = plan.links().map(|link| {
            let here = |number: &u32| plan.link(*number) == link;
            let machines = self.machines();
            let machines = machines.into_iter().filter(|(number, _)| here(number));
            Link {
                subnets: plan.subnets(link),
                machines: machines.map(|(_, machine)| machine).collect(),
            }
        });
        let slow = self
            .slow
            .iter()
            .map(|(host, rate)| format!("h{host} carries {rate}"));
        let unplugged = self
            .unplugged
            .iter()
            .map(|host| format!("h{host} is unplugged"));
        Status {
            name: self.name.clone(),
            store: self.store.clone(),
            underlay: self.underlay.clone(),
            network: self.network.clone(),
            links: links.collect(),
            faults: self
                .cuts
                .iter()
                .cloned()
                .chain(unplugged)
                .chain(slow)
                .collect(),
        }
    }

    fn machines(&self) -> Vec<(u32, MachineStatus)> {
        let plan = self.lab.plan;
        let mut all = Vec::new();
        let mut tell = |number: u32, machine: Machine, (state, reason): (State, Option<String>)| {
            all.push((
                number,
                MachineStatus {
                    machine: machine.to_string(),
                    address: plan.v4(number).into(),
                    state,
                    reason,
                    subnets: Vec::new(),
                    containers: Vec::new(),
                },
            ));
        };
        if let Some(etcd) = &self.lab.etcd {
            tell(plan.etcd(), Machine::Etcd, (process(etcd.pid().ok()), None));
        }
        for (index, controller) in (0..).zip(&self.lab.controllers) {
            tell(
                plan.controller(index),
                Machine::Controller(index + 1),
                state(controller),
            );
        }
        for (number, agent) in &self.agents {
            tell(*number, Machine::Host(*number), state(agent));
        }
        for (number, machine) in &mut all {
            let agent = self.agents.get(number);
            let runs = matches!(machine.state, State::Ready | State::NotReady);
            if let Some(agent) = agent.filter(|_| runs) {
                machine.subnets = subnets(agent).unwrap_or_default();
            }
            let here = |(_, (host, _)): &(&String, &(u32, Container))| host == number;
            let containers = self.containers.iter().filter(here);
            machine.containers = containers
                .map(|(name, (_, container))| ContainerStatus {
                    container: name.clone(),
                    addresses: container.addresses.clone(),
                })
                .collect();
        }
        all
    }

    fn programs(&mut self, machine: &Machine) -> Result<Vec<Program<'_>>> {
        let controllers = (1..).zip(&mut self.lab.controllers);
        let mut controllers = controllers.map(|(number, controller)| {
            let name = Machine::Controller(number).to_string();
            (number, Program::Weft(name, &mut **controller))
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

    fn part(&mut self, one: &Machine, other: &Machine, one_way: bool) -> Result<String> {
        let (ones, others) = (self.numbers(one)?, self.numbers(other)?);
        ensure!(
            ones.iter().all(|number| !others.contains(number)),
            "a machine cannot be parted from itself"
        );
        for one in &ones {
            for other in &others {
                self.lab.switch.cut_one_way(*one, *other)?;
                if !one_way {
                    self.lab.switch.cut_one_way(*other, *one)?;
                }
            }
        }
        let said = match one_way {
            true => format!("nothing of {one} arrives at {other}"),
            false => format!("{one} and {other} do not hear each other"),
        };
        self.cuts.push(said.clone());
        Ok(said)
    }

    fn heal(&mut self) -> Result<String> {
        self.lab.heal()?;
        self.cuts.clear();
        for host in std::mem::take(&mut self.unplugged) {
            self.lab.uplink_up(host)?;
        }
        for host in std::mem::take(&mut self.slow).into_keys() {
            self.lab.fast(host)?;
        }
        Ok("every machine hears every other".to_owned())
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

    /// On the switch.
    fn numbers(&self, machine: &Machine) -> Result<Vec<u32>> {
        let plan = self.lab.plan;
        let count = u32::try_from(self.lab.controllers.len())?;
        match machine {
            Machine::Host(number) => Ok(vec![self.host(*number)?.number]),
            Machine::Controllers => Ok((0..count).map(|index| plan.controller(index)).collect()),
            Machine::Controller(number) => {
                ensure!((1..=count).contains(number), "there is no {machine}");
                Ok(vec![plan.controller(number - 1)])
            }
            Machine::Etcd => {
                ensure!(self.lab.etcd.is_some(), NO_ETCD);
                Ok(vec![plan.etcd()])
            }
            Machine::Container(name) => {
                self.container(name)?;
                bail!("{name} is on no link of its own: part its host")
            }
        }
    }
}

fn subnets(agent: &Agent) -> Result<Vec<String>> {
    let status = agent.status()?;
    let all = status["networks"].as_array().into_iter().flatten();
    let subnets = all.flat_map(|network| network["subnets"].as_array().into_iter().flatten());
    let text = |subnet: &Value| subnet.as_str().map(ToOwned::to_owned);
    Ok(subnets.filter_map(text).collect())
}
