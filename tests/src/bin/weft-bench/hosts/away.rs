//! The only controller is killed and comes back.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};
use tests::crowd::{Crowd, routes};

use crate::{burst::most_within, datapath::cpu::Cpu};

const ASK: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(60);

/// From the start of its process.
pub struct Back {
    pub ready: Duration,
    pub all: Duration,
    pub most_in_a_second: usize,
    pub cpu: Duration,
}

pub fn away(crowd: &mut Crowd, hosts: usize, length: Duration) -> Result<Back> {
    let controller = &mut crowd.lab.controllers[0];
    controller.kill()?;
    thread::sleep(length);
    let began = Instant::now();
    controller.launch()?;
    let mut opened: Vec<Duration> = Vec::new();
    let mut ready = None;
    while opened.len() < hosts {
        thread::sleep(ASK);
        if ready.is_none() {
            let answer = controller.ops("/readyz");
            ready = answer
                .is_ok_and(|answer| answer.status == 200)
                .then(|| began.elapsed());
        }
        let sessions = controller.metric("weft_sessions").unwrap_or(0.0) as usize;
        let at = began.elapsed();
        opened.resize(sessions.max(opened.len()), at);
        ensure!(at < PATIENCE, "{sessions} of {hosts} are back after {at:?}");
    }
    let all = began.elapsed();
    let cpu = Cpu::of(controller.pid()?)?.total();
    crowd.ready(0..hosts)?;
    for host in crowd.hosts(0..hosts) {
        let routes = routes(host)?;
        ensure!(routes == hosts - 1, "{}: {routes} routes", host.node());
    }
    Ok(Back {
        ready: ready.unwrap_or(all),
        all,
        most_in_a_second: most_within(&opened, Duration::from_secs(1)),
        cpu,
    })
}
