//! `make bench`: what the controller does in a second, and what agents do to a kernel
//! and to packets, beside what the same machine does without them. Prints the tables of
//! docs/benchmarks.md.

mod burst;
mod churn;
mod cni;
mod datapath;
mod hosts;
mod leases;
mod machine;
mod rate;
mod raw_etcd;
mod sessions;
mod simulated;

use std::time::Duration;

use anyhow::{Context, Result, bail};
use tests::{controller::Controller, etcd::Etcd};
use tokio::task::block_in_place;

use rate::{Rate, median};

/// What may be asked for by name; by default all.
const PARTS: [&str; 9] = [
    "leases",
    "sessions",
    "churn",
    "peers",
    "traffic",
    "forms",
    "bandwidth",
    "cni",
    "hosts",
];
const RUNS: usize = 3;
const CLIENTS: [usize; 3] = [1, 64, 512];
const SESSIONS: usize = 10_000;
/// The pools of the measured networks lie elsewhere.
const FLAGS: [&str; 2] = ["--default-network", "192.168.0.0/16"];

#[tokio::main]
async fn main() -> Result<()> {
    let asked: Vec<String> = std::env::args().skip(1).collect();
    let unknown = |asked: &&String| !PARTS.contains(&part(asked));
    if let Some(unknown) = asked.iter().find(unknown) {
        bail!("there is no part {unknown}; there are {}", PARTS.join(", "));
    }
    let wanted = |name| asked.is_empty() || asked.iter().any(|asked| part(asked) == name);
    if wanted("leases") {
        leases().await?;
    }
    if wanted("sessions") {
        sessions().await?;
    }
    if wanted("churn") {
        for agents in sizes(&asked, "churn", &[churn::AGENTS])? {
            churn::run(agents).await?;
        }
    }
    if wanted("peers") {
        block_in_place(datapath::peers::run)?;
    }
    if wanted("traffic") {
        block_in_place(datapath::traffic::run)?;
    }
    if wanted("forms") {
        block_in_place(datapath::forms::run)?;
    }
    if wanted("bandwidth") {
        block_in_place(datapath::bandwidth::run)?;
    }
    if wanted("cni") {
        block_in_place(cni::run)?;
    }
    if wanted("hosts") {
        let sizes = sizes(&asked, "hosts", &hosts::SIZES)?;
        block_in_place(|| hosts::run(&sizes))?;
    }
    Ok(())
}

/// `hosts=50,200` is the part `hosts` with these sizes.
fn part(asked: &str) -> &str {
    asked.split_once('=').map_or(asked, |(part, _)| part)
}

fn sizes(asked: &[String], name: &str, usual: &[usize]) -> Result<Vec<usize>> {
    let given = asked
        .iter()
        .find_map(|asked| asked.strip_prefix(name)?.strip_prefix('='));
    let Some(given) = given else {
        return Ok(usual.to_vec());
    };
    let sizes = given.split(',').map(str::parse);
    sizes
        .collect::<Result<_, _>>()
        .with_context(|| format!("{name}={given}: sizes"))
}

async fn leases() -> Result<()> {
    println!("Leases, each durable before it is acknowledged; medians of {RUNS} runs\n");
    println!("| store | clients | leases/s | p50 | p99 | raw puts/s | ratio |");
    println!("|---|---:|---:|---:|---:|---:|---:|");
    let mut embedded = Controller::embedded(&FLAGS)?;
    leases::make_network(&embedded.url()?, "bench").await?;
    for clients in CLIENTS {
        let mut runs = Vec::new();
        for run in 0..RUNS {
            let total = requests(clients);
            runs.push(leases::acquires(&embedded.url()?, "bench", clients, total, run).await?);
        }
        row("embedded", clients, &median(runs).context("no run")?, None);
    }
    embedded.hush();
    drop(embedded);

    let etcd = Etcd::start()?;
    let mut controller = Controller::etcd(&etcd, &FLAGS)?;
    leases::make_network(&controller.url()?, "bench").await?;
    for clients in CLIENTS {
        let (mut runs, mut raw) = (Vec::new(), Vec::new());
        // In turn, so that a slow minute of the machine slows both.
        for run in 0..RUNS {
            let total = requests(clients);
            raw.push(raw_etcd::puts(&etcd.endpoint(), clients, total, run).await?);
            runs.push(leases::acquires(&controller.url()?, "bench", clients, total, run).await?);
        }
        let raw = median(raw).context("no run")?;
        row(
            "etcd",
            clients,
            &median(runs).context("no run")?,
            Some(&raw),
        );
    }
    controller.hush();
    println!();
    Ok(())
}

async fn sessions() -> Result<()> {
    let mut controller = Controller::embedded(&FLAGS)?;
    let figures = sessions::run(&controller, SESSIONS).await?;
    controller.hush();
    println!(
        "{} sessions on one controller (embedded store)\n",
        figures.sessions
    );
    println!("| what | figure |");
    println!("|---|---:|");
    println!(
        "| all sessions open, their leases rewritten | {} |",
        time(figures.connected_in)
    );
    println!(
        "| memory a session | {:.1} KB |",
        figures.bytes_a_session as f64 / 1000.0
    );
    println!(
        "| one change to half of the sessions | {} |",
        time(figures.p50)
    );
    println!("| to 99 of 100 | {} |", time(figures.p99));
    println!("| to all | {} |", time(figures.all));
    println!(
        "| bytes of one change to one session | {} |",
        figures.bytes_a_change
    );
    println!(
        "| snapshot of {} peers: bytes | {} |",
        figures.snapshot_peers, figures.snapshot_bytes
    );
    println!(
        "| snapshot, from hello to its last part | {} |",
        time(figures.snapshot_in)
    );
    println!();
    Ok(())
}

/// Enough to last a few seconds.
fn requests(clients: usize) -> usize {
    match clients {
        1 => 1_000,
        2..=64 => 20_000,
        _ => 40_000,
    }
}

fn row(store: &str, clients: usize, rate: &Rate, raw: Option<&Rate>) {
    let (puts, ratio) = match raw {
        Some(raw) => (
            format!("{:.0}", raw.per_second),
            format!("{:.2}", rate.per_second / raw.per_second),
        ),
        None => ("-".into(), "-".into()),
    };
    println!(
        "| {store} | {clients} | {:.0} | {} | {} | {puts} | {ratio} |",
        rate.per_second,
        time(rate.p50),
        time(rate.p99)
    );
}

fn time(time: Duration) -> String {
    let ms = time.as_secs_f64() * 1000.0;
    if ms < 0.1 {
        format!("{:.1} us", ms * 1000.0)
    } else if ms < 1000.0 {
        format!("{ms:.1} ms")
    } else {
        format!("{:.2} s", ms / 1000.0)
    }
}
