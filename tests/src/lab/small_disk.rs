//! A disk of its own for what a host's agent keeps, so small that it can be filled.

use anyhow::{Context, Result};

use super::Host;

pub struct SmallDisk<'a> {
    host: &'a Host,
    state: String,
}

impl<'a> SmallDisk<'a> {
    /// Before the agent's first start.
    pub fn of(host: &'a Host) -> Result<Self> {
        let state = host.directory().join("state");
        let state = state.to_str().context("a path")?.to_owned();
        let mount = r#"mkdir -p "$1" && mount -t tmpfs -o size=64k tmpfs "$1""#;
        host.done(&["sh", "-ec", mount, "sh", &state])?;
        Ok(Self { host, state })
    }

    pub fn fill(&self) -> Result<()> {
        let script = r#"cd "$1"; cat /dev/zero >filler 2>/dev/null || [ -s filler ]"#;
        self.host
            .done(&["sh", "-c", script, "sh", &self.state])
            .map(drop)
    }

    pub fn empty(&self) -> Result<()> {
        let filler = format!("{}/filler", self.state);
        self.host.done(&["rm", &filler]).map(drop)
    }
}
