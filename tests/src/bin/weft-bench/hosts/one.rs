//! One more joins, and leaves.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use tests::crowd::Crowd;

const ROUNDS: usize = 5;
const PATIENCE: Duration = Duration::from_secs(30);

pub struct One {
    /// From the start of its process until all others have its routes.
    pub joined: Duration,
    /// Until it has theirs, and says so.
    pub ready: Duration,
    /// From `weft node remove` until nobody has a route to it.
    pub left: Duration,
}

/// The last host of a crowd of which so many are there.
pub fn joins_and_leaves(crowd: &mut Crowd, hosts: usize) -> Result<Vec<One>> {
    (0..ROUNDS).map(|_| round(crowd, hosts)).collect()
}

fn round(crowd: &mut Crowd, hosts: usize) -> Result<One> {
    let began = Instant::now();
    crowd.launch(hosts..hosts + 1)?;
    crowd.routed(0..hosts, hosts, PATIENCE)?;
    let joined = began.elapsed();
    crowd.routed(hosts..hosts + 1, hosts, PATIENCE)?;
    crowd.ready(hosts..hosts + 1)?;
    let ready = began.elapsed();
    crowd.agents[hosts].kill()?;

    let host = &crowd.lab.hosts()[hosts];
    let state = host.directory().join("state").display().to_string();
    let began = Instant::now();
    let said = crowd.lab.weft_said(&["node", "remove", host.node()])?;
    ensure!(said.code == 0, "{said:?}");
    crowd.routed(0..hosts, hosts - 1, PATIENCE)?;
    let left = began.elapsed();
    // A machine that was removed stays out: the next one is another.
    let forget = ["--state-dir", &state, "cleanup", "--forget"];
    let said = crowd.agents[hosts].run(&forget)?;
    ensure!(said.code == 0, "{said:?}");
    Ok(One {
        joined,
        ready,
        left,
    })
}
