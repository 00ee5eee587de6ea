//! All agents start at once on hosts where nothing is.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tests::{
    crowd::{Crowd, holds},
    lab::ping,
};

use crate::{datapath::cpu::Cpu, machine};

const PATIENCE: Duration = Duration::from_secs(120);
/// Hosts that are looked at with `ip` and `bridge`.
const SAMPLE: usize = 10;

pub struct Cold {
    /// From the start of the first process until every host has routes to all others.
    pub everywhere: Duration,
    /// Until the last agent says so.
    pub ready: Duration,
    pub ended: usize,
    pub complaints: usize,
    /// CPU time.
    pub agents: Duration,
    pub controller: Duration,
    pub etcd: Duration,
    pub machine: Duration,
}

pub fn start(crowd: &mut Crowd, hosts: usize) -> Result<Cold> {
    let controller = crowd.lab.controllers[0].pid()?;
    let etcd = crowd.lab.etcd.as_ref().context("etcd")?.pid()?;
    let before = (machine::busy()?, Cpu::of(controller)?, Cpu::of(etcd)?);
    let began = Instant::now();
    crowd.launch(0..hosts)?;
    let launched = began.elapsed();
    crowd.routed(0..hosts, hosts - 1, PATIENCE)?;
    let everywhere = began.elapsed();
    crowd.ready(0..hosts)?;
    let ready = began.elapsed();
    let machine = machine::busy()?.saturating_sub(before.0);
    let mut agents = Duration::ZERO;
    for agent in &crowd.agents[..hosts] {
        agents += Cpu::of(agent.pid()?)?.total();
    }
    let cold = Cold {
        everywhere,
        ready,
        ended: crowd.ended(0..hosts)?,
        complaints: 0,
        agents,
        controller: Cpu::of(controller)?.since(&before.1),
        etcd: Cpu::of(etcd)?.since(&before.2),
        machine,
    };
    eprintln!("processes started within {launched:?}, routes {everywhere:?}, ready {ready:?}");
    look_closer(crowd, hosts)?;
    let complaints = crowd.complaints()?;
    for line in complaints.iter().take(SAMPLE) {
        eprintln!("{line}");
    }
    Ok(Cold {
        complaints: complaints.len(),
        ..cold
    })
}

/// That the routes are there is what was timed; that the rest is, is seen here.
fn look_closer(crowd: &Crowd, hosts: usize) -> Result<()> {
    let step = hosts.div_ceil(SAMPLE);
    for host in crowd.hosts(0..hosts).iter().step_by(step) {
        holds(host, hosts - 1)?;
    }
    let last = u32::try_from(hosts)?;
    let (one, other) = (crowd.lab.container_on(1)?, crowd.lab.container_on(last)?);
    let pings = ping(&one, other.v4(), 3)?;
    ensure!(pings.lost() == 0, "{pings:?}");
    Ok(())
}
