//! weft-lab: a cluster on this machine to play with. Hosts, controllers and containers
//! are network namespaces; `weft-lab up` holds them, and every other command asks it.

mod cluster;
mod drawing;
mod home;
mod inside;
mod lines;
mod matrix;
mod program;
mod up;
mod words;

use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand, ValueEnum};
use options::Exit;
use serde::Serialize;

use home::Home;
use up::Shape;
use words::{Act, Deed, Fault, Machine, Reply, Request};

/// A Weft cluster on this machine: hosts, controllers and containers in network namespaces.
#[derive(Debug, Parser)]
#[command(name = "weft-lab", version, after_help = EXAMPLES)]
struct Options {
    /// Which lab; several can be up at once
    #[arg(
        long,
        global = true,
        env = "WEFT_LAB",
        value_name = "NAME",
        default_value = "lab",
        value_parser = home::parse_name
    )]
    name: String,
    /// Where labs keep their disks and sockets
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        default_value = "/var/lib/weft-lab"
    )]
    labs: PathBuf,
    #[command(flatten)]
    common: options::Common,
    #[command(subcommand)]
    verb: Verb,
}

const EXAMPLES: &str = "\
Examples:
  weft-lab up --hosts 3 --containers 2 --detach
  weft-lab status
  weft-lab exec c1 -- ping -c 3 10.32.1.2
  weft-lab exec h1 -- weft-agent status
  weft-lab kill h1                  # its agent; containers do not notice
  weft-lab partition h1 h2
  weft-lab down

Machines are h1, h2, ...; controller-1, ...; etcd; and containers by their names.
Exit codes: 0 done, 1 failed, 2 bad usage, 3 no such lab is up; `exec` ends as its command does";

#[derive(Debug, Subcommand)]
enum Verb {
    /// Bring a cluster up and keep it until Ctrl-C or `weft-lab down`
    #[command(
        after_help = "Example:\n  weft-lab up --hosts 5 --store etcd --controllers 3 --routers"
    )]
    Up {
        #[command(flatten)]
        shape: Shape,
        /// Come back as soon as it is up, and leave it running
        #[arg(long)]
        detach: bool,
        /// Was started by --detach: says nothing more once it is up
        #[arg(long, hide = true)]
        detached: bool,
    },
    /// End a cluster; nothing of it is left
    Down,
    /// Draw the cluster
    Status {
        /// How to print it
        #[arg(short, long, value_enum, default_value = "table")]
        output: Format,
    },
    /// Run a command on a machine or in a container
    #[command(after_help = "Example:\n  weft-lab exec h2 -- ip route show proto 77")]
    Exec {
        machine: Machine,
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// A shell on a machine or in a container
    Shell { machine: Machine },
    /// Containers: network namespaces with an address of the overlay
    #[command(subcommand)]
    Container(ContainerVerb),
    /// Ping between all pairs of containers; the matrix shows round trips in milliseconds
    #[command(after_help = "Example:\n  weft-lab ping -6")]
    Ping {
        /// Over IPv6
        #[arg(short = '6', long)]
        ipv6: bool,
    },
    /// Kill a program as SIGKILL does: the agent of a host, a controller, etcd
    Kill { machine: Machine },
    /// Ask a program to end, and wait until it has
    Stop { machine: Machine },
    /// Start a program that was killed or stopped
    Start { machine: Machine },
    /// Freeze a program: it keeps its connections and answers nothing
    Pause { machine: Machine },
    /// Let a frozen program go on
    Resume { machine: Machine },
    /// Let two machines not hear each other; `controllers` stands for all of them
    #[command(after_help = "Example:\n  weft-lab partition h1 controllers")]
    Partition {
        one: Machine,
        other: Machine,
        /// Only what the first sends is lost
        #[arg(long)]
        one_way: bool,
    },
    /// Pull the cable of a host
    Unplug { host: Machine },
    /// Let the uplink of a host carry no more than this a second
    #[command(after_help = "Example:\n  weft-lab slow h2 10mbit")]
    Slow {
        host: Machine,
        #[arg(value_parser = parse_rate)]
        rate: String,
    },
    /// Let one packet of six between two hosts of one link be lost
    Lossy { one: Machine, other: Machine },
    /// Let no large packet of a host arrive at another of its link
    #[command(after_help = "Example:\n  weft-lab hole h1 h3")]
    Hole { from: Machine, to: Machine },
    /// Undo every partition, pulled cable, slow or lossy link, and hole
    Heal,
    /// Which labs are up
    List {
        /// How to print them
        #[arg(short, long, value_enum, default_value = "table")]
        output: Format,
    },
}

#[derive(Debug, Subcommand)]
enum ContainerVerb {
    /// Start one on a host
    #[command(after_help = "Example:\n  weft-lab container add h1 web")]
    Add {
        host: Machine,
        /// [default: c and the next number]
        container: Option<String>,
    },
    /// End one
    Remove { container: String },
    /// Which there are
    List {
        /// How to print them
        #[arg(short, long, value_enum, default_value = "table")]
        output: Format,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
}

fn parse_rate(text: &str) -> Result<String, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = &text[digits.len()..];
    let good = digits.parse::<u32>().is_ok_and(|number| number > 0)
        && ["kbit", "mbit", "gbit"].contains(&unit);
    good.then(|| text.to_owned())
        .ok_or_else(|| "a rate is such as 512kbit, 10mbit or 1gbit".to_owned())
}

fn main() -> Exit {
    let options: Options = options::parse();
    run(options).unwrap_or_else(|error| {
        eprintln!("weft-lab: {error:#}");
        Exit::of(&error)
    })
}

fn run(options: Options) -> anyhow::Result<Exit> {
    let home = Home::new(&options.labs, &options.name);
    let act = |act| home.ask(&Request::Act(act));
    let reply = match options.verb {
        Verb::Up {
            detach: true,
            detached: false,
            ..
        } => return up::apart(&home).map(|()| Exit::Done),
        Verb::Up {
            shape, detached, ..
        } => return up::up(&home, &shape, detached).map(|()| Exit::Done),
        Verb::Exec { machine, command } => return inside::exec(&home, &machine, &command),
        Verb::Shell { machine } => return inside::shell(&home, &machine),
        Verb::Ping { ipv6 } => return matrix::pings(&home, !ipv6),
        Verb::List { output } => return list(&options.labs, output),
        Verb::Down => return home.down().map(|()| Exit::Done),
        Verb::Status { output } => return print(output, &home.status()?, drawing::cluster),
        Verb::Container(ContainerVerb::List { output }) => {
            let status = home.status()?;
            let rows = drawing::container_rows(&status);
            return print(output, &rows, |rows| drawing::containers(rows));
        }
        Verb::Container(ContainerVerb::Add { host, container }) => act(Act::Add(host, container)),
        Verb::Container(ContainerVerb::Remove { container }) => act(Act::Remove(container)),
        Verb::Kill { machine } => act(Act::Program(Deed::Kill, machine)),
        Verb::Stop { machine } => act(Act::Program(Deed::Stop, machine)),
        Verb::Start { machine } => act(Act::Program(Deed::Start, machine)),
        Verb::Pause { machine } => act(Act::Program(Deed::Pause, machine)),
        Verb::Resume { machine } => act(Act::Program(Deed::Resume, machine)),
        Verb::Partition {
            one,
            other,
            one_way,
        } => act(Act::Befall(Fault::Part {
            one,
            other,
            one_way,
        })),
        Verb::Unplug { host } => act(Act::Befall(Fault::Unplug(host))),
        Verb::Lossy { one, other } => act(Act::Befall(Fault::Lossy(one, other))),
        Verb::Hole { from, to } => act(Act::Befall(Fault::Hole(from, to))),
        Verb::Slow { host, rate } => act(Act::Befall(Fault::Slow(host, rate))),
        Verb::Heal => act(Act::Heal),
    };
    if let Reply::Done(said) = reply? {
        println!("{said}");
    }
    Ok(Exit::Done)
}

fn list(labs: &Path, output: Format) -> anyhow::Result<Exit> {
    // One that comes up or goes down at this moment is not up.
    let up = Home::all(labs)?.into_iter().map(|home| home.status());
    let up: Vec<words::Status> = up.filter_map(Result::ok).collect();
    let rows: Vec<_> = up.iter().map(drawing::lab_row).collect();
    print(output, &rows, |rows| drawing::labs(rows))
}

fn print<T: Serialize>(
    output: Format,
    what: &T,
    draw: impl FnOnce(&T) -> String,
) -> anyhow::Result<Exit> {
    match output {
        Format::Table => print!("{}", draw(what)),
        Format::Json => println!("{}", serde_json::to_string_pretty(what)?),
    }
    Ok(Exit::Done)
}
