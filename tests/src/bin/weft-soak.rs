//! weft-soak: Weft under clients, traffic and trouble, for as long as one likes.

use std::{
    fmt,
    process::{Child, Command, ExitCode, Stdio},
    time::Duration,
};

use anyhow::{Context, Result};
use clap::{Args, Parser, Subcommand, ValueEnum};
use tests::{
    dice::Dice,
    lab::{Ground, by_hand::Underlay},
    soak::{hosts, leases},
};

const EXAMPLES: &str = "\
Examples:
  Both soaks, half an hour each:
    weft-soak --for 30m
  Hosts only, behind a router, over IPv6:
    weft-soak hosts --for 10m --routed --underlay v6
  What an earlier run did, again (its seed is in its first line and in its report):
    weft-soak hosts --for 10m --seed 1234

It ends with 1 if anything was found that must not be. Hosts are network namespaces, so
it needs root; nothing of it stays, however it ends.";

/// Weft under everything that can befall it, and a judge over what came of it.
#[derive(Debug, Parser)]
#[command(name = "weft-soak", version, after_help = EXAMPLES)]
struct Options {
    #[command(flatten)]
    both: Both,
    /// Which soak [default: both, one after the other]
    #[command(subcommand)]
    which: Option<Which>,
}

#[derive(Debug, Args)]
struct Both {
    /// How long each takes
    #[arg(long = "for", global = true, default_value = "60s", value_parser = options::parse_duration, value_name = "TIME")]
    time: Duration,
    /// Repeats the throws of an earlier run [default: another each time]
    #[arg(long, global = true)]
    seed: Option<u64>,
}

#[derive(Debug, Subcommand)]
enum Which {
    /// Clients that acquire, renew and release, while controllers and etcd die
    Leases(OfLeases),
    /// Hosts with agents and containers under traffic, while everything befalls them
    #[command(after_help = "\
Example:
  weft-soak hosts --for 10m --hosts 12

Every act (agents, controllers and etcd killed, stopped and frozen; hosts cut off, parted,
slowed; addresses, devices, entries and rules changed; nodes, containers and networks that
come and go) says whose packets may be lost until everything is right again. Every other
loss is a violation; so is a kernel that differs from the leases at a quiet moment, a
process that grows, and a warning in a log that nothing explains.")]
    Hosts(OfHosts),
}

#[derive(Debug, Args)]
struct OfLeases {
    /// Clients at once
    #[arg(long, default_value_t = 64)]
    clients: usize,
    /// Nodes that each client speaks for
    #[arg(long, default_value_t = 4)]
    nodes: usize,
    /// How often etcd is killed and started again
    #[arg(long, default_value_t = 2)]
    etcd_restarts: u32,
}

#[derive(Debug, Args)]
struct OfHosts {
    /// How many hosts
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(2..=60))]
    hosts: u32,
    /// How many controllers, on one etcd
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(2..=5))]
    controllers: u32,
    /// Two links with a router between them, instead of one
    #[arg(long)]
    routed: bool,
    /// The family of the hosts' own addresses
    #[arg(long, value_enum, default_value = "v4")]
    underlay: Family,
    /// From one ping of a flow to the next
    #[arg(long, default_value = "20ms", value_parser = options::parse_duration, value_name = "TIME")]
    ping_every: Duration,
    /// From one quiet moment to the next
    #[arg(long, default_value = "20s", value_parser = options::parse_duration, value_name = "TIME")]
    round: Duration,
    /// Others use this machine, too: allow warnings that follow from a slow one alone
    #[arg(long)]
    busy: bool,
    /// Print every act with its times
    #[arg(long)]
    diary: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Family {
    V4,
    V6,
}

fn main() -> ExitCode {
    let options = Options::parse();
    match soak(&options) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("weft-soak: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Nothing was found.
fn soak(options: &Options) -> Result<bool> {
    let _cleaner = Cleaner::start()?;
    let both = &options.both;
    match &options.which {
        Some(Which::Leases(of)) => soak_leases(both, of),
        Some(Which::Hosts(of)) => soak_hosts(both, of),
        None => {
            let leases = soak_leases(both, &OfLeases::default())?;
            let hosts = soak_hosts(both, &OfHosts::default())?;
            Ok(leases && hosts)
        }
    }
}

fn soak_leases(both: &Both, of: &OfLeases) -> Result<bool> {
    let plan = leases::Plan {
        clients: of.clients,
        nodes_of_each: of.nodes,
        time: both.time,
        etcd_restarts: of.etcd_restarts,
        seed: both.seed.unwrap_or_else(Dice::seed),
    };
    println!(
        "{} clients, {} nodes each, for {}, seed {}",
        plan.clients,
        plan.nodes_of_each,
        options::format_duration(plan.time),
        plan.seed
    );
    let runtime = tokio::runtime::Runtime::new()?;
    let report = runtime.block_on(leases::run(plan))?;
    let good = report.violations.is_empty();
    told(&report, good);
    if !good {
        eprintln!("{}", report.logs);
    }
    Ok(good)
}

fn soak_hosts(both: &Both, of: &OfHosts) -> Result<bool> {
    let plan = hosts::Plan {
        hosts: of.hosts,
        controllers: of.controllers,
        ground: if of.routed {
            Ground::Routed
        } else {
            Ground::Switched
        },
        underlay: match of.underlay {
            Family::V4 => Underlay::V4,
            Family::V6 => Underlay::V6,
        },
        time: both.time,
        round: of.round,
        ping_every: of.ping_every,
        seed: both.seed.unwrap_or_else(Dice::seed),
        busy: of.busy,
        progress: true,
    };
    println!("{plan}, for {}", options::format_duration(plan.time));
    let report = hosts::run(plan)?;
    if of.diary {
        print!("{}", report.diary());
    }
    let good = report.violations.is_empty();
    told(&report, good);
    Ok(good)
}

fn told(report: &impl fmt::Display, good: bool) {
    println!("{report}");
    println!("{}", if good { "good" } else { "not good" });
}

/// Whatever ends this process, what it kept on disk goes: a process of its own waits
/// for that, whom no signal of a terminal reaches.
struct Cleaner {
    _waits: Child,
}

impl Cleaner {
    fn start() -> Result<Self> {
        const CLEAN: &str = "cat >/dev/null; sleep 0.5; rm -rf \"$1\"";
        let place = tempfile::Builder::new().prefix("weft-soak-").tempdir()?;
        let place = place.keep();
        let mut command = Command::new("setsid");
        command.args(["sh", "-c", CLEAN, "sh"]).arg(&place);
        command.stdin(Stdio::piped());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let waits = command.spawn().context("start setsid")?;
        let known = tempfile::env::override_temp_dir(&place);
        known.map_err(|before| anyhow::anyhow!("{} was in use", before.display()))?;
        Ok(Self { _waits: waits })
    }
}

impl Default for OfLeases {
    fn default() -> Self {
        Self {
            clients: 64,
            nodes: 4,
            etcd_restarts: 2,
        }
    }
}

impl Default for OfHosts {
    fn default() -> Self {
        Self {
            hosts: 8,
            controllers: 3,
            routed: false,
            underlay: Family::V4,
            ping_every: Duration::from_millis(20),
            round: Duration::from_secs(20),
            busy: false,
            diary: false,
        }
    }
}
