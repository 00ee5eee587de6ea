//! Ten thousand agents on two controllers over one etcd, while nodes join, leave and
//! move, and while one of the controllers dies. The agents speak the real session at
//! the pace of real ones; only their kernels are missing.

mod agent;
mod fleet;
mod lag;

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use proto::v1::{
    AcquireRequest, RemoveNodeRequest, lease_service_client::LeaseServiceClient,
    node_service_client::NodeServiceClient,
};
use tests::{controller::Controller, etcd::Etcd};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep},
};
use tonic::transport::Channel;

use crate::{
    burst::most_within,
    datapath::cpu::Cpu,
    leases::{connect, make_network},
    simulated::{NETWORK, Node, memory_settled, place, settle_down},
    time,
};
use agent::{Agent, Moved};
use fleet::{Fleet, MARK, mac, name};
use lag::Quantiles;

pub const AGENTS: usize = 10_000;
const CONTROLLERS: usize = 2;
/// Changes a second.
const RATES: [u32; 2] = [20, 100];
const LENGTH: Duration = Duration::from_secs(20);
/// In the last part one controller dies after this.
const BEFORE_DEATH: Duration = Duration::from_secs(5);
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

/// A stretch of time, and what it cost.
struct Stretch {
    changes: usize,
    lags: Quantiles,
    messages: u64,
    /// Sessions that broke and were opened again.
    reopened: usize,
    /// Of one core.
    controllers: Vec<f64>,
    etcd: f64,
    clients: f64,
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

    /// Changes at this rate, until all have been told of all of them.
    async fn stretch(&mut self, rate: u32) -> Result<Stretch> {
        let before = self.used()?;
        let (first, messages) = (self.changes, self.fleet.messages.load(Ordering::Relaxed));
        let began = Instant::now();
        self.change(rate, LENGTH).await?;
        let elapsed = began.elapsed().as_secs_f64();
        let used = self.used()?;
        let messages = self.fleet.messages.load(Ordering::Relaxed) - messages;
        let reopened = self.fleet.openings(began).len();
        self.mark().await?;
        let share = |index: usize| {
            let used: Duration = used[index].since(&before[index]);
            used.as_secs_f64() / elapsed
        };
        Ok(Stretch {
            changes: self.changes - first,
            lags: self.fleet.lags.take(),
            messages,
            reopened,
            controllers: (2..used.len()).map(share).collect(),
            etcd: share(0),
            clients: share(1),
        })
    }

    async fn one_dies(&mut self, rate: u32) -> Result<()> {
        let count = self.witnesses.len();
        self.change(rate, BEFORE_DEATH).await?;
        self.mark().await?;
        self.fleet.lags.take();
        self.fleet.take_failures();
        let other = self.controllers[CONTROLLERS - 1].pid()?;
        let before = Cpu::of(other)?;
        let began = Instant::now();
        self.controllers[0].kill()?;
        let fleet = self.fleet.clone();
        let back = tokio::spawn(async move {
            // It takes a moment until they notice.
            let mut lost = 0;
            loop {
                let sessions = fleet.sessions.load(Ordering::Relaxed);
                lost = lost.max(count - sessions.min(count));
                if lost > 0 && sessions == count {
                    return (lost, began.elapsed(), Cpu::of(other));
                }
                sleep(ASK).await;
            }
        });
        self.change(rate, LENGTH).await?;
        let back = tokio::time::timeout(PATIENCE, back).await;
        let (lost, all, after) = back.context("not all came back")??;
        let busy = after?.since(&before);
        let openings = self.fleet.openings(began);
        self.mark().await?;
        let lags = self.fleet.lags.take();
        println!(
            "\nOne controller is killed at {rate} changes a second\n\n| what | figure |\n|---|---:|"
        );
        println!("| sessions lost at most | {lost} |");
        println!("| sessions opened | {} |", openings.len());
        println!("| all agents have one again | {} |", time(all));
        let most = most_within(&openings, Duration::from_secs(1));
        println!("| most in one second | {most} |");
        println!(
            "| CPU of the other controller until then | {} |",
            time(busy)
        );
        println!(
            "| from a change to an agent: p50, p99, last | {}, {}, {} |",
            time(lags.p50),
            time(lags.p99),
            time(lags.max)
        );
        for (failure, times) in self.fleet.take_failures() {
            println!("| attempts that failed: {failure} | {times} |");
        }
        println!();
        Ok(())
    }

    /// A quarter join, a quarter leave, half are elsewhere.
    async fn change(&mut self, rate: u32, length: Duration) -> Result<()> {
        let began = Instant::now();
        if rate == 0 {
            sleep(length).await;
            return Ok(());
        }
        let mut ticks = interval(Duration::from_secs(1) / rate);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut removals = JoinSet::new();
        while began.elapsed() < length {
            ticks.tick().await;
            let change = self.changes;
            match change % 4 {
                0 => self.join(change),
                2 if let Some(joined) = self.fleet.leaver() => {
                    self.fleet.removes(joined);
                    let (fleet, channel) = (self.fleet.clone(), self.channel.clone());
                    removals.spawn(async move { remove(&fleet, channel, joined).await });
                }
                _ => self.move_one(change),
            }
            self.changes += 1;
        }
        while let Some(removed) = removals.join_next().await {
            removed?;
        }
        self.check()
    }

    fn join(&mut self, change: usize) {
        let mut node = Node::new(self.witnesses.len() + change);
        node.name = name(change);
        node.mac = mac(change);
        // It stays where it is.
        let (_, moves) = mpsc::channel(1);
        self.fleet.happens(change);
        self.spawn(node, moves, Some(change), 0);
    }

    fn move_one(&self, change: usize) {
        let [.., b, c, d] = (change as u32).to_be_bytes();
        let moved = Moved {
            underlay: format!("100.{}.{c}.{d}", 64 + u32::from(b)),
            mac: mac(change),
        };
        // Far from the one before it.
        let witness = &self.witnesses[change * 7919 % self.witnesses.len()];
        self.fleet.happens(change);
        // One that is full is of an agent without a session, and moves often enough.
        drop(witness.try_send(moved));
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

impl Stretch {
    fn row(&self, rate: u32, agents: usize) -> String {
        let seconds = LENGTH.as_secs_f64();
        let percent = |share: &f64| format!("{:.0} %", share * 100.0);
        let controllers: Vec<String> = self.controllers.iter().map(percent).collect();
        let lag = |lag| match self.lags.count {
            0 => "-".into(),
            _ => time(lag),
        };
        format!(
            "| {rate} | {:.0} | {} | {} | {} | {:.1} | {} | {} | {} | {} |",
            self.changes as f64 / seconds,
            lag(self.lags.p50),
            lag(self.lags.p99),
            lag(self.lags.max),
            self.messages as f64 / agents as f64 / seconds,
            self.reopened,
            controllers.join(", "),
            percent(&self.etcd),
            percent(&self.clients)
        )
    }
}

/// The node that joined by this change; one that cannot be removed stays.
async fn remove(fleet: &Fleet, channel: Channel, joined: usize) {
    let request = RemoveNodeRequest { name: name(joined) };
    let removed = NodeServiceClient::new(channel).remove(request).await;
    if let Err(status) = removed {
        fleet.failed(&status);
    }
}
