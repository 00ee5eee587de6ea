//! The ground of a soak, shared by all who act on it: hosts, the way to `weft`, what
//! is written down, and what goes on between containers.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{
        Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{
    Plan,
    diary::{Act, Diary, Doing, Loses},
    kernel::{self, Overlay},
    lease::Lease,
    processes::Processes,
    traffic::Traffic,
};
use crate::{
    controller::Said,
    lab::{Container, Host, Lab, Place, after, ping},
    process,
    wait::patiently,
};

/// The first in a subnet is the host's, the second may be a bridge's.
const FIRST_CONTAINER: u32 = 2;

pub struct Stage {
    pub plan: Plan,
    pub lab: Lab,
    pub overlay: Overlay,
    pub start: Instant,
    /// The same by the clock that stands in logs.
    pub start_ms: u64,
    pub diary: Diary,
    pub traffic: Traffic,
    pub processes: Processes,
    pub(super) desk: Desk,
    /// Held by who changes leases; shared by who needs them to stay as they are.
    fleet: RwLock<()>,
    /// The containers that stay, of the hosts that have an agent.
    homes: Mutex<BTreeMap<u32, Vec<Container>>>,
    containers: AtomicU32,
    violations: Mutex<Vec<Violation>>,
    broken: AtomicBool,
}

/// Where an operator sits.
pub struct Desk {
    pub place: Place,
    pub controllers: String,
}

/// Something that must not be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    pub at: Duration,
    pub what: String,
}

impl Stage {
    pub fn new(plan: Plan, lab: Lab, overlay: Overlay, desk: Desk) -> Self {
        let start = Instant::now();
        Self {
            plan,
            lab,
            overlay,
            start,
            start_ms: options::clock::now_ms(),
            diary: Diary::new(start),
            traffic: Traffic::new(start),
            processes: Processes::new(start),
            desk,
            fleet: RwLock::default(),
            homes: Mutex::default(),
            containers: AtomicU32::new(0),
            violations: Mutex::default(),
            broken: AtomicBool::new(false),
        }
    }

    pub fn host(&self, number: u32) -> &Host {
        self.lab.host(number)
    }

    pub fn begin(&self, act: Act, what: impl Into<String>, hosts: &[u32], loses: Loses) -> Doing {
        self.diary.begin(act, what.into(), hosts, loses)
    }

    pub fn violation(&self, what: impl Into<String>) {
        let violation = Violation {
            at: self.start.elapsed(),
            what: what.into(),
        };
        eprintln!("violation at {:.3?}: {}", violation.at, violation.what);
        locked(&self.violations).push(violation);
    }

    pub fn violations(&self) -> Vec<Violation> {
        locked(&self.violations).clone()
    }

    /// Something could not be done: there is no sense in going on.
    pub fn breaks(&self, error: &anyhow::Error) {
        self.violation(format!("{error:#}"));
        self.broken.store(true, Ordering::Relaxed);
    }

    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Relaxed)
    }

    /// Nobody's lease changes while it is held.
    pub fn leases_stay(&self) -> RwLockReadGuard<'_, ()> {
        self.fleet.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn leases_change(&self) -> RwLockWriteGuard<'_, ()> {
        self.fleet.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// What an operator is told, asking all controllers.
    pub fn weft_said(&self, arguments: &[&str]) -> Result<Said> {
        self.said(&self.desk.controllers, arguments)
    }

    /// The same again and again while there is nobody to answer.
    pub fn weft(&self, arguments: &[&str]) -> Result<Value> {
        let what = format!("weft {}", arguments.join(" "));
        patiently(&what, || self.ask(&self.desk.controllers, arguments))
    }

    /// What one of the controllers answers now.
    pub fn ask(&self, controllers: &str, arguments: &[&str]) -> Result<Value> {
        let said = self.said(controllers, arguments)?;
        ensure!(said.code == 0, "{said:?}");
        if said.stdout.trim().is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&said.stdout).with_context(|| format!("{said:?}"))
    }

    pub fn leases(&self, network: &str) -> Result<Vec<Lease>> {
        Lease::all(&self.weft(&["lease", "list"])?, network)
    }

    pub fn lease(&self, network: &str, host: u32) -> Result<Lease> {
        let node = self.host(host).node();
        patiently(&format!("{node} has a lease in {network}"), || {
            let leases = self.leases(network)?;
            let found = leases.into_iter().find(|lease| lease.node == node);
            found.context("there is none")
        })
    }

    /// A container of its own for whoever asks, in a host's subnets of some network.
    pub fn container(&self, host: u32, network: &str) -> Result<Container> {
        let lease = self.lease(network, host)?;
        let count = self.containers.fetch_add(1, Ordering::Relaxed);
        // As many as fit in a /24, over and over: no more than a few live at a time.
        let place = FIRST_CONTAINER + count % 250;
        let address = |subnet: &String| Ok(after(super::lease::base(subnet)?, place));
        let addresses: Vec<IpAddr> = lease.subnets.iter().map(address).collect::<Result<_>>()?;
        let name = format!("{host}-{count}");
        let mtu = self.overlay.mtu;
        self.host(host).container_with(&name, &addresses, mtu)
    }

    pub fn homes(&self) -> BTreeMap<u32, Vec<Container>> {
        locked(&self.homes).clone()
    }

    /// Gives a host its containers, or takes them.
    pub fn settle(&self, host: u32, containers: Option<Vec<Container>>) {
        let mut homes = locked(&self.homes);
        match containers {
            Some(containers) => homes.insert(host, containers),
            None => homes.remove(&host),
        };
    }

    /// All hosts that have an agent and containers.
    pub fn inhabited(&self) -> Vec<u32> {
        locked(&self.homes).keys().copied().collect()
    }

    /// Waits until the containers of two hosts reach each other, either way and in
    /// either family.
    pub fn reach(&self, one: u32, other: u32) -> Result<()> {
        let homes = self.homes();
        let (Some(here), Some(there)) = (homes.get(&one), homes.get(&other)) else {
            return Ok(());
        };
        for (from, to) in [(&here[0], &there[0]), (&there[0], &here[0])] {
            for address in &to.addresses {
                let what = format!("{} reaches {address}", from.name());
                patiently(&what, || {
                    let pings = ping(from, *address, 1)?;
                    ensure!(pings.lost() == 0, "{}", pings.said.stdout);
                    Ok(())
                })?;
            }
        }
        Ok(())
    }

    pub fn reach_all(&self, host: u32) -> Result<()> {
        for other in self.inhabited() {
            if other != host {
                self.reach(host, other)?;
            }
        }
        Ok(())
    }

    /// Waits until every other host sends to this address what is for the MAC, or
    /// until none sends it anywhere.
    pub fn all_send(&self, host: u32, mac: &str, to: Option<IpAddr>) -> Result<()> {
        for other in self.inhabited() {
            if other == host {
                continue;
            }
            patiently(&format!("h{other} follows h{host}"), || {
                let found = kernel::leads_to(self.host(other), &self.overlay.device, mac)?;
                ensure!(found == to, "{mac} is at {found:?} and not at {to:?}");
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Waits until all other hosts hold everything for this lease, and nothing for what
    /// it was before.
    pub fn all_hold(&self, host: u32, now: Option<&Lease>, before: Option<&Lease>) -> Result<()> {
        let objects = |lease: Option<&Lease>| match lease {
            Some(lease) => kernel::of_peer(&self.overlay, lease),
            None => Ok(kernel::Objects::new()),
        };
        let (now, before) = (objects(now)?, objects(before)?);
        for other in self.inhabited() {
            if other == host {
                continue;
            }
            patiently(&format!("h{other} follows h{host}"), || {
                let seen = kernel::seen(self.host(other), &self.overlay.device)?;
                let missing: Vec<&String> = now.difference(&seen).collect();
                ensure!(missing.is_empty(), "missing: {missing:?}");
                let mut stale = before.difference(&now).filter(|line| seen.contains(*line));
                let stale = stale.next();
                ensure!(stale.is_none(), "stale: {stale:?}");
                Ok(())
            })?;
        }
        Ok(())
    }

    pub fn sleep(&self, time: Duration) {
        thread::sleep(time);
    }

    fn said(&self, controllers: &str, arguments: &[&str]) -> Result<Said> {
        let mut command = self.desk.place.command(process::weft("weft")?);
        command.args(["--controller", controllers]);
        command.args(arguments).args(["-o", "json"]);
        process::said(command)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
