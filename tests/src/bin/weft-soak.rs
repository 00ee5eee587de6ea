//! weft-soak: three controllers and an etcd under clients and trouble, for as long
//! as one likes.

use std::{process::ExitCode, time::Duration};

use clap::Parser;
use tests::{
    dice::Dice,
    soak::{self, Plan},
};

/// Three controllers on one etcd, killed and restarted under load; then a checker
/// over everything the clients were told.
#[derive(Debug, Parser)]
#[command(name = "weft-soak", version)]
struct Options {
    /// How long
    #[arg(long = "for", default_value = "60s", value_parser = options::parse_duration, value_name = "TIME")]
    time: Duration,
    /// Clients at once
    #[arg(long, default_value_t = 64)]
    clients: usize,
    /// Nodes that each client speaks for
    #[arg(long, default_value_t = 4)]
    nodes: usize,
    /// How often etcd is killed and started again
    #[arg(long, default_value_t = 2)]
    etcd_restarts: u32,
    /// Repeats the throws of an earlier run [default: another each time]
    #[arg(long)]
    seed: Option<u64>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let options = Options::parse();
    let plan = Plan {
        clients: options.clients,
        nodes_of_each: options.nodes,
        time: options.time,
        etcd_restarts: options.etcd_restarts,
        seed: options.seed.unwrap_or_else(Dice::seed),
    };
    println!(
        "{} clients, {} nodes each, for {}, seed {}",
        plan.clients,
        plan.nodes_of_each,
        options::format_duration(plan.time),
        plan.seed
    );
    match soak::run(plan).await {
        Ok(report) => {
            println!("{report}");
            if report.violations.is_empty() {
                return ExitCode::SUCCESS;
            }
            eprintln!("{}", report.logs);
        }
        Err(error) => eprintln!("weft-soak: {error:#}"),
    }
    ExitCode::FAILURE
}
