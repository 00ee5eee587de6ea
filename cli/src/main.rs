//! `weft`: what an operator types.

use std::{path::PathBuf, time::Duration};

use clap::{Parser, Subcommand};
use options::Exit;

use crate::{
    connect::{Address, Connection, Reach},
    failure::Failure,
    output::{Format, Output},
};

mod agent;
mod ask;
mod attach;
mod connect;
mod detach;
mod doctor;
mod endpoint;
mod events;
mod failure;
mod ipam;
mod lease;
mod login;
mod mesh;
mod network;
mod node;
mod operator;
mod output;
mod perf;
mod seconds;
mod status;
mod subnet;
mod support;
mod test;
mod token;
mod top;
mod trace;
mod trial;
mod watch;

/// Networks, leases and nodes of a Weft overlay.
#[derive(Debug, Parser)]
#[command(name = "weft", version, after_help = EXAMPLES)]
struct Weft {
    #[command(flatten, next_help_heading = "Options of every command")]
    shared: Shared,
    #[command(flatten, next_help_heading = "Options of every command")]
    common: options::Common,
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  weft status --wait
  weft network create blue --pool 10.64.0.0/16
  weft lease acquire --node web-1 --network blue --ttl 8h
  weft lease list -o json
  weft mesh
  weft events --level warn
  weft token create --node web-2
  weft attach --netns web --publish 8080:80

Exit codes: 0 done, 1 failed, 2 bad usage, 3 not ready (try again later)";

#[derive(Debug, clap::Args)]
struct Shared {
    /// Where controllers listen; the first that answers is asked
    #[arg(
        long,
        global = true,
        env = "WEFT_CONTROLLER",
        value_name = "URL[,URL]",
        value_delimiter = ',',
        default_value = "http://127.0.0.1:7440"
    )]
    controller: Vec<Address>,

    /// The certificate by which a controller knows who asks [default: in ~/.config/weft]
    #[arg(long, global = true, env = "WEFT_CREDENTIALS", value_name = "FILE")]
    credentials: Option<PathBuf>,

    /// How to print what is listed or shown
    #[arg(
        short,
        long,
        global = true,
        value_name = "FORMAT",
        default_value = "table"
    )]
    output: Format,

    /// How long to wait for an answer
    #[arg(
        long,
        global = true,
        value_name = "TIME",
        value_parser = options::parse_duration,
        default_value = "10s"
    )]
    timeout: Duration,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Overlay networks: a VNI and pools of subnets
    #[command(subcommand)]
    Network(network::Verb),
    /// Leases: which node holds which subnets
    #[command(subcommand)]
    Lease(lease::Verb),
    /// Subnets promised to a node before it comes
    #[command(subcommand)]
    Subnet(subnet::Verb),
    /// The hosts that take part
    #[command(subcommand)]
    Node(node::Verb),
    /// Containers: what is attached to the networks, on all nodes
    #[command(subcommand)]
    Endpoint(endpoint::Verb),
    /// Tokens: how hosts are let in
    #[command(subcommand)]
    Token(token::Verb),
    /// Operators: who may ask, and who may change
    #[command(subcommand)]
    Operator(operator::Verb),
    /// Become an operator, by a token
    Login(login::Login),
    /// How the whole fleet is
    Status(status::Ask),
    /// What keeps this host, or another, from being part of the overlay, and what to do about it
    Doctor(doctor::Doctor),
    /// What a packet from one to another meets on both hosts, and what of it is wrong
    Trace(trace::Trace),
    /// Put up an endpoint on every node, and send packets between all of them
    Test(test::Test),
    /// Measure from one node to another, over the overlay and beside it
    Perf(perf::Perf),
    /// Loss and latency between nodes
    Mesh(mesh::Mesh),
    /// What happened, at controllers and on nodes
    Events(events::Events),
    /// One archive of all that helps to find a fault, without secrets
    SupportBundle(support::Bundle),
    /// What goes over the networks now, and between whom
    Top(top::Top),
    /// Join a network namespace of this host to a network
    Attach(Box<attach::Attach>),
    /// End what `weft attach` began
    Detach(detach::Detach),
    /// The addresses that this host gives to containers
    Ipam(ipam::Ipam),
}

fn main() -> Exit {
    let weft: Weft = options::parse();
    start(weft).unwrap_or_else(|failure| {
        if !matches!(failure, Failure::ReaderGone) {
            output::note(&format!("weft: {}", options::sentence(&failure)));
        }
        failure.exit()
    })
}

fn start(weft: Weft) -> Result<Exit, Failure> {
    weft.common.init_tracing(None)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Failure::Runtime)?;
    let result = runtime.block_on(run(weft));
    // A name that is still being looked up must not hold up the end.
    runtime.shutdown_background();
    result
}

async fn run(weft: Weft) -> Result<Exit, Failure> {
    let output = Output::new(weft.shared.output);
    let reach = Reach {
        addresses: weft.shared.controller,
        credentials: weft.shared.credentials.unwrap_or_else(connect::credentials),
        timeout: weft.shared.timeout,
    };
    let connect = || Connection::open(&reach);
    let within = weft.shared.timeout;
    let done = match weft.command {
        Command::Network(verb) => network::run(verb, &connect().await?, &output).await,
        Command::Lease(verb) => lease::run(verb, &connect().await?, &output).await,
        Command::Subnet(verb) => subnet::run(verb, &connect().await?, &output).await,
        Command::Node(verb) => node::run(verb, &reach, &output).await,
        Command::Token(verb) => token::run(verb, &connect().await?, &output).await,
        Command::Operator(verb) => operator::run(verb, &connect().await?, &output).await,
        Command::Login(login) => login::run(login, &reach, &output).await,
        Command::Endpoint(verb) => endpoint::run(verb, &reach, &output).await,
        Command::Status(ask) => return status::run(ask, &reach, &output).await,
        Command::Doctor(doctor) => return doctor::run(doctor, &reach, &output).await,
        Command::Trace(ask) => return trace::run(ask, &reach, &output).await,
        Command::Test(test) => return test::run(test, &reach, &output).await,
        Command::Perf(perf) => perf::run(perf, &reach, &output).await,
        Command::Top(top) => top::run(top, &reach, &output).await,
        Command::Mesh(mesh) => mesh::run(mesh, &reach, &output).await,
        Command::Events(events) => events::run(events, &reach, &output).await,
        Command::SupportBundle(bundle) => support::run(bundle, &reach, &output).await,
        // These ask the agent of this host, and nothing else is under way meanwhile.
        Command::Attach(attach) => attach::run(*attach, within, &output),
        Command::Detach(detach) => detach::run(detach, within, &output),
        Command::Ipam(ipam) => return ipam::run(&ipam, within, &output),
    };
    done.map(|()| Exit::Done)
}

#[cfg(test)]
mod tests;
