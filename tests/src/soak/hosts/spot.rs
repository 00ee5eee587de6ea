//! A host as the one who acts on it has it: its agent, and whether it is there at all.

use anyhow::{Result, ensure};

use super::stage::Stage;
use crate::lab::Agent;

/// Containers that stay on a host.
const HOMES: usize = 2;

pub struct Spot {
    pub number: u32,
    pub agent: Agent,
    /// Its agent is never killed, so that one sees what becomes of an old one.
    pub elder: bool,
    /// It is no node: it has no agent and nothing of Weft.
    pub away: bool,
}

impl Spot {
    pub fn name(&self) -> String {
        format!("agent h{}", self.number)
    }

    pub fn launch(&mut self, stage: &Stage) -> Result<()> {
        self.agent.launch()?;
        stage.processes.started(&self.name(), self.agent.pid()?);
        Ok(())
    }

    pub fn kill(&mut self, stage: &Stage) -> Result<()> {
        stage.processes.ended(&self.name());
        self.agent.kill()
    }

    /// By SIGTERM.
    pub fn stop(&mut self, stage: &Stage) -> Result<()> {
        stage.processes.ended(&self.name());
        self.agent.terminate()?;
        let status = self.agent.ended()?;
        ensure!(status.code() == Some(0), "{} ended, {status}", self.name());
        Ok(())
    }

    /// With a lease it is given its containers.
    pub fn settle(&self, stage: &Stage) -> Result<()> {
        let network = &stage.overlay.network;
        let containers = (0..HOMES).map(|_| stage.container(self.number, network));
        let containers = containers.collect::<Result<_>>()?;
        stage.settle(self.number, Some(containers));
        Ok(())
    }
}
