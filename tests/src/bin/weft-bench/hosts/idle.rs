//! What agents and controller cost that have nothing to do.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use tests::crowd::Crowd;

use crate::{datapath::cpu::Cpu, rate::middle};

pub const LENGTH: Duration = Duration::from_secs(30);
/// Threads come and go: their time is counted this often.
const STEP: Duration = Duration::from_secs(5);

pub struct Idle {
    /// Bytes of memory of an agent.
    pub median: u64,
    pub largest: u64,
    /// Without what all agents of this machine share.
    pub own: u64,
    pub controller: u64,
    /// Of one core, all agents together.
    pub cpu: f64,
    pub controller_cpu: f64,
}

pub fn rest(crowd: &Crowd, hosts: usize) -> Result<Idle> {
    let agents = &crowd.agents[..hosts];
    let pids = agents.iter().map(|agent| agent.pid());
    let pids = pids.collect::<Result<Vec<u32>>>()?;
    let controller = &crowd.lab.controllers[0];
    let of_all = || {
        pids.iter()
            .map(|pid| Cpu::of(*pid))
            .collect::<Result<Vec<_>>>()
    };
    thread::sleep(STEP);
    let began = Instant::now();
    let (mut used, mut before) = (Duration::ZERO, of_all()?);
    let controller_before = Cpu::of(controller.pid()?)?;
    while began.elapsed() < LENGTH {
        thread::sleep(STEP);
        let now = of_all()?;
        let each = now
            .iter()
            .zip(&before)
            .map(|(now, before)| now.since(before));
        used += each.sum::<Duration>();
        before = now;
    }
    let elapsed = began.elapsed().as_secs_f64();
    let controller_used = Cpu::of(controller.pid()?)?.since(&controller_before);
    let memory = agents.iter().map(|agent| agent.memory());
    let memory = memory.collect::<Result<Vec<u64>>>()?;
    let own = pids
        .iter()
        .map(|pid| own(*pid))
        .collect::<Result<Vec<_>>>()?;
    Ok(Idle {
        largest: memory.iter().copied().max().context("no agent")?,
        median: middle(memory),
        own: middle(own),
        controller: controller.memory()?,
        cpu: used.as_secs_f64() / elapsed,
        controller_cpu: controller_used.as_secs_f64() / elapsed,
    })
}

/// Bytes that are no file's.
fn own(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("RssAnon:"));
    let kilobytes = line.and_then(|line| line.trim().strip_suffix(" kB"));
    Ok(kilobytes.context("RssAnon in /proc")?.parse::<u64>()? * 1024)
}
