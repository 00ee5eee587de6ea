//! A host: a namespace with an uplink, a disk of its own, and containers.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    ops::Deref,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
};

use anyhow::{Context, Result};

use super::{CONTAINER_MTU, Container, Namespace, Plan, machine::Machine};

/// The name of every machine's device on the switch.
pub const UPLINK: &str = "eth0";

pub struct Host {
    pub number: u32,
    pub(super) namespace: Namespace,
    pub(super) plan: Plan,
    pub(super) directory: PathBuf,
    /// How many there have been.
    pub(super) containers: AtomicU32,
    /// Of one that is a whole machine.
    pub(super) machine: Option<Machine>,
}

impl Host {
    /// What its agent calls it.
    pub fn node(&self) -> &str {
        self.namespace.name()
    }

    pub fn uplink(&self) -> &'static str {
        UPLINK
    }

    pub fn v4(&self) -> Ipv4Addr {
        self.plan.v4(self.number)
    }

    pub fn v6(&self) -> Ipv6Addr {
        self.plan.v6(self.number)
    }

    /// Its agent's state and socket are here, also while no agent runs.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// With a routed interface of each family that it is given an address of.
    pub fn container(&self, name: &str, addresses: &[IpAddr]) -> Result<Container> {
        self.container_with(name, addresses, CONTAINER_MTU)
    }

    pub fn container_with(&self, name: &str, addresses: &[IpAddr], mtu: u32) -> Result<Container> {
        let count = self.next_container();
        Container::attach(self, count, name, addresses, mtu)
            .with_context(|| format!("container {name} on {}", self.node()))
    }

    /// Counts from 0.
    pub(super) fn next_container(&self) -> u32 {
        self.containers.fetch_add(1, Ordering::Relaxed)
    }
}

impl Deref for Host {
    type Target = Namespace;

    fn deref(&self) -> &Namespace {
        &self.namespace
    }
}
