//! An agent whose host can be made as new again.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use tests::lab::{Agent, Host};

/// How often it is asked whether it is ready.
const ASK: Duration = Duration::from_millis(2);
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Trial {
    agent: Agent,
    state: String,
}

/// A start of an agent.
#[derive(Debug, Clone, Copy)]
pub struct Start {
    /// From the start of the process.
    pub ready: Duration,
    /// Of that, what it spent on changing the kernel.
    pub programming: Duration,
}

impl Trial {
    pub fn new(host: &Host, controllers: &str) -> Result<Self> {
        let mut agent = Agent::new(host, controllers, &[])?;
        agent.hush();
        let state = host.directory().join("state");
        Ok(Self {
            agent,
            state: state.display().to_string(),
        })
    }

    pub fn agent(&self) -> &Agent {
        &self.agent
    }

    pub fn start(&mut self) -> Result<Start> {
        let began = Instant::now();
        self.agent.launch()?;
        loop {
            let answer = self.agent.ops("/readyz");
            let ready = began.elapsed();
            if answer.is_ok_and(|answer| answer.status == 200) {
                let programming = self.agent.metric("weft_agent_apply_seconds_sum")?;
                let programming = Duration::from_secs_f64(programming);
                return Ok(Start { ready, programming });
            }
            ensure!(ready < PATIENCE, "not ready:\n{}", self.agent.log());
            thread::sleep(ASK);
        }
    }

    /// What is in the kernel stays there.
    pub fn kill(&mut self) -> Result<()> {
        self.agent.kill()
    }

    /// As if there had never been an agent, but for its identity.
    pub fn wipe(&mut self) -> Result<()> {
        self.kill()?;
        let said = self.agent.run(&["--state-dir", &self.state, "cleanup"])?;
        ensure!(said.code == 0, "{said:?}");
        Ok(())
    }

    /// Of a histogram: how many there were, and the sum of them in seconds.
    pub fn histogram(&self, name: &str) -> Result<(f64, f64)> {
        let of = |part| self.agent.metric(&format!("weft_agent_{name}_{part}"));
        let count = of("count").context("a histogram")?;
        Ok((count, of("sum")?))
    }
}
