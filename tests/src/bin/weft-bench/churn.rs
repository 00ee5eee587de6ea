//! Ten thousand agents on two controllers over one etcd, while nodes join, leave and
//! move, and while one of the controllers dies. The agents speak the real session at
//! the pace of real ones; only their kernels are missing.

mod agent;
mod change;
mod death;
mod fleet;
mod lag;
mod stretch;

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use proto::v1::{AcquireRequest, lease_service_client::LeaseServiceClient};
use tests::{controller::Controller, etcd::Etcd};
use tokio::{sync::mpsc, task::JoinSet, time::sleep};
use tonic::transport::Channel;

use crate::{
    datapath::cpu::Cpu,
    leases::{connect, make_network},
    simulated::{NETWORK, Node, memory_settled, place, settle_down},
    time,
};
use agent::{Agent, Moved};
use fleet::{Fleet, MARK};

pub const AGENTS: usize = 10_000;
const CONTROLLERS: usize = 2;
/// Changes a second.
const RATES: [u32; 2] = [20, 100];
const LENGTH: Duration = Duration::from_secs(20);
const PATIENCE: Duration = Duration::from_secs(120);
const ASK: Duration = Duration::from_millis(20);

struct Churn {
    controllers: Vec<Controller>,
    etcd: Etcd,
    fleet: Arc<Fleet>,
    witnesses: Vec<mpsc::Sender<Moved>>,
    agents: JoinSet<Result<()>>,
    changes: usize,
    marks: usize,
    /// To the controller that lives on.
    channel: Channel,
}

pub async fn run(count: usize) -> Result<()> {
    let load = std::fs::read_to_string("/proc/loadavg").context("/proc/loadavg")?;
    println!(
        "{count} agents on {CONTROLLERS} controllers over one etcd; load average before: {}\n",
        load.split(' ').next().unwrap_or_default()
    );
    println!("| what | figure |\n|---|---:|");
    let mut churn = Churn::new(count).await?;
    println!(
        "\n| changes a second | of it done | from a change to an agent: p50 | p99 | last \
         | messages an agent and second | sessions that broke | CPU of each controller | of etcd | of the agents |\n\
         |---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
    );
    println!("{}", churn.stretch(0).await?.row(0, count));
    for rate in RATES {
        println!("{}", churn.stretch(rate).await?.row(rate, count));
    }
    for (failure, times) in churn.fleet.take_failures() {
        println!("\nfailed: {failure}: {times}");
    }
    churn.one_dies(RATES[0]).await?;
    let snapshots = churn.fleet.snapshots.load(Ordering::Relaxed);
    ensure!(snapshots == 0, "{snapshots} snapshots to who needed none");
    churn.agents.shutdown().await;
    Ok(())
}

impl Churn {
    async fn new(count: usize) -> Result<Self> {
        let etcd = Etcd::start()?;
        let start = |_| {
            let mut controller = Controller::etcd(&etcd, &super::FLAGS)?;
            controller.hush();
            Ok(controller)
        };
        let controllers: Vec<Controller> = (0..CONTROLLERS).map(start).collect::<Result<_>>()?;
        let urls: Vec<String> = controllers
            .iter()
            .map(|one| one.url())
            .collect::<Result<_>>()?;
        let last = urls.last().context("a controller")?.clone();
        make_network(&last, NETWORK).await?;
        settle_down(&last, count).await?;
        let (cluster, revision) = place(&last).await?;
        let mut before = Vec::new();
        for controller in &controllers {
            before.push(controller.memory()?);
        }
        let mut churn = Self {
            fleet: Arc::new(Fleet::new(urls, cluster)),
            channel: connect(&last).await?,
            controllers,
            etcd,
            witnesses: Vec::new(),
            agents: JoinSet::new(),
            changes: 0,
            marks: 0,
        };
        let began = Instant::now();
        for number in 0..count {
            let (witness, moves) = mpsc::channel(4);
            churn.witnesses.push(witness);
            churn.spawn(Node::new(number), moves, None, revision);
        }
        churn.all_are_there(count).await?;
        println!("| all sessions open | {} |", time(began.elapsed()));
        churn.fleet.open_the_gate();
        let mut bytes = 0;
        for (controller, before) in churn.controllers.iter().zip(before) {
            bytes += memory_settled(controller).await?.saturating_sub(before);
        }
        println!(
            "| memory a session | {:.1} KB |",
            bytes as f64 / 1e3 / count as f64
        );
        churn.mark().await?;
        churn.fleet.lags.take();
        Ok(churn)
    }

    fn spawn(
        &mut self,
        node: Node,
        moves: mpsc::Receiver<Moved>,
        newcomer: Option<usize>,
        revision: u64,
    ) {
        let agent = Agent {
            fleet: self.fleet.clone(),
            node,
            moves,
            newcomer,
            revision,
        };
        self.agents.spawn(agent.live());
    }

    async fn all_are_there(&mut self, count: usize) -> Result<()> {
        let began = Instant::now();
        loop {
            let there = self.fleet.sessions.load(Ordering::Relaxed);
            if there == count {
                return Ok(());
            }
            let waited = began.elapsed();
            ensure!(
                waited < PATIENCE,
                "{there} of {count} sessions after {waited:?}: {:?}",
                self.fleet.take_failures()
            );
            self.check()?;
            sleep(ASK).await;
        }
    }

    /// Nobody gave up.
    fn check(&mut self) -> Result<()> {
        while let Some(ended) = self.agents.try_join_next() {
            ended.context("an agent")??;
        }
        Ok(())
    }

    /// Waits until all witnesses have been told of everything.
    async fn mark(&mut self) -> Result<()> {
        let count = self.witnesses.len();
        self.marks += 1;
        self.fleet.marked.store(0, Ordering::Relaxed);
        let number = self.marks;
        let request = AcquireRequest {
            network: NETWORK.into(),
            node: format!("{MARK}{number}"),
            underlay: format!("172.31.255.{number}"),
            mac: format!("02:dd:00:00:00:{number:02x}"),
            ..AcquireRequest::default()
        };
        LeaseServiceClient::new(self.channel.clone())
            .acquire(request)
            .await?;
        let began = Instant::now();
        loop {
            let marked = self.fleet.marked.load(Ordering::Relaxed);
            if marked == count {
                return Ok(());
            }
            let waited = began.elapsed();
            ensure!(
                waited < PATIENCE,
                "{marked} of {count} know all after {waited:?}"
            );
            self.check()?;
            sleep(ASK).await;
        }
    }

    /// CPU time of etcd, of this process, of each controller.
    fn used(&self) -> Result<Vec<Cpu>> {
        let mut pids = vec![self.etcd.pid()?, std::process::id()];
        for controller in &self.controllers {
            pids.push(controller.pid()?);
        }
        pids.into_iter().map(Cpu::of).collect()
    }
}
