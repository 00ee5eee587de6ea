//! Many hosts with a real agent each, one etcd, and a controller: what a fleet does
//! that a few hosts do not.

use std::{
    fs,
    net::Ipv4Addr,
    ops::Range,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, ensure};

use crate::{
    controller::Controller,
    lab::{Agent, Host, Lab, Namespace, Place, UPLINK},
};

/// The device of the network that all join.
pub const DEVICE: &str = "weft1";
/// How often a host is asked for what it does not have yet.
const ASK: Duration = Duration::from_millis(3);
/// Hosts that are prepared at once.
const AT_ONCE: usize = 4;

pub struct Crowd {
    pub lab: Lab,
    /// Of the hosts from the first on, started or not.
    pub agents: Vec<Agent>,
}

impl Crowd {
    /// The controllers run, no agent does.
    pub fn new(hosts: u32, controllers: u32, flags: &[&str]) -> Result<Self> {
        let mut lab = Lab::new(hosts)?;
        lab.start_controllers(controllers, flags)?;
        introduce(&lab)?;
        let urls = lab.controller_urls()?;
        // One kernel has room for a thousand neighbours on all underlays together, which
        // probes between so many hosts would use up.
        let quiet = ["--probe-every", "off"];
        let hosts = lab.hosts().iter();
        let agents = hosts.map(|host| Agent::new(host, &urls, &quiet));
        let agents = agents.collect::<Result<_>>()?;
        Ok(Self { lab, agents })
    }

    pub fn hosts(&self, which: Range<usize>) -> &[Host] {
        &self.lab.hosts()[which]
    }

    /// Starts agents as fast as processes start, and waits for none.
    pub fn launch(&mut self, which: Range<usize>) -> Result<()> {
        self.agents[which]
            .iter_mut()
            .try_for_each(|agent| agent.launch())
    }

    /// Waits until each of these hosts has routes to so many peers; that this asks one
    /// host after the other leaves the machine to the agents.
    pub fn routed(&mut self, which: Range<usize>, peers: usize, patience: Duration) -> Result<()> {
        let began = Instant::now();
        for index in which {
            let host = self.lab.hosts().get(index).context("a host")?;
            loop {
                let routes = routes(host)?;
                if routes == peers {
                    break;
                }
                let agent = &mut self.agents[index];
                if let Some(status) = agent.has_ended()? {
                    return Err(anyhow!("{} ended, {status}:\n{}", host.node(), agent.log()));
                }
                ensure!(
                    began.elapsed() < patience,
                    "{}: {routes} routes of {peers} after {patience:?}:\n{}",
                    host.node(),
                    agent.log()
                );
                thread::sleep(ASK);
            }
        }
        Ok(())
    }

    /// Waits until each of these agents says that it is ready.
    pub fn ready(&mut self, which: Range<usize>) -> Result<()> {
        self.agents[which]
            .iter_mut()
            .try_for_each(|agent| agent.ready())
    }

    /// Logs need not be shown when this is dropped.
    pub fn hush(&mut self) {
        let agents = self.agents.iter_mut();
        agents.for_each(|agent| agent.hush());
        let controllers = self.lab.controllers.iter_mut();
        controllers.for_each(|controller| controller.hush());
    }

    /// How many of these agents have ended by themselves.
    pub fn ended(&mut self, which: Range<usize>) -> Result<usize> {
        let ended = self.agents[which].iter_mut().map(|agent| agent.has_ended());
        let ended = ended.collect::<Result<Vec<_>>>()?;
        Ok(ended.into_iter().flatten().count())
    }

    /// What agents and controllers said at WARN or ERROR, but for what their flags ask
    /// for: a lab speaks plain text, and every start says so.
    pub fn complaints(&self) -> Result<Vec<String>> {
        let agents = self.agents.iter().map(|agent| agent.complaints());
        let controllers = self.lab.controllers.iter().map(|one| one.complaints());
        let all = agents.chain(controllers).collect::<Result<Vec<_>>>()?;
        let unasked = |line: &String| !line.contains("as --insecure says");
        Ok(all.into_iter().flatten().filter(unasked).collect())
    }
}

/// The routes of a host through the overlay, counted by the kernel's own list.
pub fn routes(host: &Host) -> Result<usize> {
    let path = format!("/proc/{}/net/route", host.pid());
    let list = fs::read(&path).with_context(|| path)?;
    let of_device = |line: &&[u8]| {
        line.strip_prefix(DEVICE.as_bytes())
            .is_some_and(|rest| rest.starts_with(b"\t"))
    };
    Ok(list.split(|byte| *byte == b'\n').filter(of_device).count())
}

/// Everything that a host holds for so many peers, as the system's own tools show it.
pub fn holds(host: &Host, peers: usize) -> Result<()> {
    let lists: [&[&str]; 3] = [
        &["ip", "-j", "route", "show", "proto", "77", "dev", DEVICE],
        &["bridge", "-j", "fdb", "show", "dev", DEVICE],
        &[
            "ip",
            "-j",
            "neigh",
            "show",
            "dev",
            DEVICE,
            "nud",
            "permanent",
        ],
    ];
    for list in lists {
        let shown = host.json(list)?;
        let count = shown.as_array().map_or(0, Vec::len);
        ensure!(
            count == peers,
            "{}: {list:?} shows {count} instead of {peers}",
            host.node()
        );
    }
    Ok(())
}

/// Hosts and controllers know each other's MAC for good. The kernel has one table, over
/// all namespaces, of the neighbours that had to be asked for, and it ends at 1024; those
/// that it is told of do not count.
fn introduce(lab: &Lab) -> Result<()> {
    let mut known = Vec::new();
    for (index, controller) in (0..).zip(&lab.controllers) {
        let address = lab.plan.v4(lab.plan.controller(index));
        known.push(neighbour(address, &mac(inside(controller)?)?));
    }
    let hosts = lab.hosts();
    thread::scope(|scope| {
        let part = hosts.len().div_ceil(AT_ONCE).max(1);
        let parts: Vec<_> = hosts
            .chunks(part)
            .map(|part| scope.spawn(|| part.iter().try_for_each(|host| host.ip(&known))))
            .collect();
        let ended = |part: thread::ScopedJoinHandle<'_, Result<()>>| part.join().expect("no panic");
        parts.into_iter().try_for_each(ended)
    })?;
    let hosts = hosts
        .iter()
        .map(|host| Ok(neighbour(host.v4(), &mac(host)?)));
    let hosts = hosts.collect::<Result<Vec<String>>>()?;
    for controller in &lab.controllers {
        inside(controller)?.ip(&hosts)?;
    }
    Ok(())
}

fn inside(controller: &Controller) -> Result<&Namespace> {
    match controller.place() {
        Place::In(namespace) => Ok(namespace),
        Place::Here => Err(anyhow!("the controller of a lab has a machine of its own")),
    }
}

fn mac(machine: &Namespace) -> Result<String> {
    let path = format!(
        "/proc/{}/root/sys/class/net/{UPLINK}/address",
        machine.pid()
    );
    let mac = fs::read_to_string(&path).with_context(|| path)?;
    Ok(mac.trim().to_owned())
}

fn neighbour(address: Ipv4Addr, mac: &str) -> String {
    format!("neigh replace {address} lladdr {mac} dev {UPLINK} nud permanent")
}
