//! An agent that has nothing to do for a while: its memory, and what it does all the
//! same.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;

use super::{cpu::Cpu, trial::Trial};

pub const LENGTH: Duration = Duration::from_secs(30);
/// Threads come and go: their time is counted this often.
const STEP: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy)]
pub struct Stay {
    /// In bytes, at its beginning and at its end.
    pub memory: u64,
    pub memory_later: u64,
    /// Of one core.
    pub cpu: f64,
    pub looks: f64,
}

pub fn stay(trial: &Trial) -> Result<Stay> {
    let agent = trial.agent();
    let memory = agent.memory()?;
    // It has not done everything yet that a start leaves to be done.
    thread::sleep(STEP * 2);
    let (looks, _) = trial.histogram("look_seconds")?;
    let began = Instant::now();
    let mut used = Duration::ZERO;
    let mut before = Cpu::of(agent.pid()?)?;
    while began.elapsed() < LENGTH {
        thread::sleep(STEP);
        let now = Cpu::of(agent.pid()?)?;
        used += now.since(&before);
        before = now;
    }
    let elapsed = began.elapsed();
    Ok(Stay {
        memory,
        memory_later: agent.memory()?,
        cpu: used.as_secs_f64() / elapsed.as_secs_f64(),
        looks: trial.histogram("look_seconds")?.0 - looks,
    })
}
