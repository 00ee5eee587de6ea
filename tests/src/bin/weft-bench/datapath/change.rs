//! One peer changes among many: what it costs the agent, and how long it takes until
//! the kernel knows.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use proto::v1::AcquireRequest;
use tests::{
    client::{Client, mac, underlay},
    lab::Host,
    process::keep,
    wait::DEADLINE,
};

use super::{
    batch::DEVICE,
    cpu::Cpu,
    fleet::{Fleet, node},
    trial::Trial,
};
use crate::rate::middle;

const CHANGES: usize = 51;
/// Whatever the agent does of a change, it has done by then.
const REST: Duration = Duration::from_millis(60);
/// Until one that was started to listen does so.
const PREPARED: Duration = Duration::from_secs(1);
/// Nobody has the MACs of these numbers.
const BEYOND: u32 = 1 << 24;

/// Medians.
#[derive(Debug, Clone, Copy)]
pub struct Change {
    pub cpu: Duration,
    /// Until the kernel has the new entries, after the request and after its answer.
    pub after_request: Duration,
    pub after_answer: Duration,
}

/// A process that prints what the kernel tells of neighbours.
struct Monitor {
    child: Child,
    lines: Receiver<(Instant, String)>,
}

pub fn change(fleet: &Fleet, trial: &Trial) -> Result<Change> {
    let mut neighbours = Monitor::start(fleet.with_agent())?;
    let pid = trial.agent().pid()?;
    let (mut cpu, mut request, mut answer) = (Vec::new(), Vec::new(), Vec::new());
    thread::sleep(PREPARED);
    fleet.client(async |client| {
        for number in (1..=CHANGES).map(|number| number * fleet.peers() / (CHANGES + 1)) {
            tokio::time::sleep(REST).await;
            let before = Cpu::of(pid)?;
            let asked = Instant::now();
            let mac = renew(&client, number).await?;
            let answered = Instant::now();
            let seen = neighbours.arrival(&mac)?;
            tokio::time::sleep(REST).await;
            cpu.push(Cpu::of(pid)?.since(&before));
            request.push(seen - asked);
            answer.push(seen.saturating_duration_since(answered));
        }
        Ok(())
    })?;
    Ok(Change {
        cpu: middle(cpu),
        after_request: middle(request),
        after_answer: middle(answer),
    })
}

/// A peer comes back with another MAC, as after its device was made anew; it is returned.
async fn renew(client: &Client, number: usize) -> Result<String> {
    let (node, number) = (node(number), u32::try_from(number)?);
    let request = AcquireRequest {
        node,
        underlay: underlay(number),
        mac: mac(number + BEYOND),
        ..AcquireRequest::default()
    };
    client.leases().acquire(request).await?;
    Ok(mac(number + BEYOND))
}

impl Monitor {
    fn start(host: &Host) -> Result<Self> {
        let mut command = host.command("ip");
        command.args(["monitor", "neigh", "dev", DEVICE]);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = keep(command)?;
        let stdout = child.stdout.take().context("the output was asked for")?;
        let (told, lines) = channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if told.send((Instant::now(), line)).is_err() {
                    break;
                }
            }
        });
        Ok(Self { child, lines })
    }

    /// When a neighbour was given this MAC.
    fn arrival(&mut self, mac: &str) -> Result<Instant> {
        loop {
            let line = self.lines.recv_timeout(DEADLINE);
            let (at, line) = line.with_context(|| format!("no neighbour has {mac}"))?;
            if line.contains(mac) && !line.starts_with("Deleted") {
                return Ok(at);
            }
        }
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
