//! Bringing a cluster up, step by step before a person's eyes, and keeping it.

use std::{
    env, fs,
    io::{self, Write},
    os::unix::{fs::PermissionsExt, net::UnixListener},
    process::Command,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use options::BadUsage;
use tests::lab::{Ground, Lab};

use crate::{
    cluster::Cluster,
    drawing,
    home::Home,
    lines,
    words::{Machine, Reply, Request},
};

const POOLS: [&str; 2] = ["10.32.0.0/12", "fd77:32::/40"];
/// The network whose packets go over IPv6; `default` is the one over IPv4.
const SIX: &str = "six";
const POOLS_OF_SIX: [&str; 2] = ["10.64.0.0/12", "fd77:64::/40"];
const ASK_AGAIN: Duration = Duration::from_millis(50);

#[derive(Debug, Clone, clap::Args)]
pub struct Shape {
    /// Hosts, each with an agent
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=200))]
    hosts: u32,
    /// Containers on each host to begin with
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(0..=50))]
    containers: u32,
    /// Where controllers keep the leases
    #[arg(long, value_enum, default_value = "embedded")]
    store: Store,
    /// Controllers; several need --store etcd
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=9))]
    controllers: u32,
    /// Certificates: TLS on every line, also to etcd, and hosts join by tokens
    #[arg(long)]
    secure: bool,
    /// Whether hosts send the overlay's packets over IPv4 or IPv6
    #[arg(long, value_enum, default_value = "v4")]
    underlay: Underlay,
    /// Two links with a router between them; hosts with odd numbers are on the one
    #[arg(long)]
    routers: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Store {
    Embedded,
    Etcd,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Underlay {
    V4,
    V6,
}

/// Until somebody asks for its end.
pub fn up(home: &Home, shape: &Shape, detached: bool) -> Result<()> {
    if shape.controllers > 1 && shape.store == Store::Embedded {
        let many = "the embedded store has one controller: several need --store etcd";
        bail!(BadUsage(many.into()));
    }
    let _held = home.hold()?;
    // Every disk of it is there.
    if tempfile::env::override_temp_dir(&home.directory()).is_err() {
        bail!("a directory for temporary files was chosen already");
    }
    let mut cluster = bring_up(home, shape)?;
    // It appears under its name when it is nobody's but root's.
    let made = home.directory().join("socket.new");
    let listener = UnixListener::bind(&made).context("make a socket")?;
    fs::set_permissions(&made, fs::Permissions::from_mode(0o600))?;
    fs::rename(&made, home.socket())?;
    print!("\n{}", drawing::cluster(&cluster.status()));
    println!("\n{}", hints(home, &cluster));
    if detached {
        let nothing = fs::File::options()
            .read(true)
            .write(true)
            .open("/dev/null")?;
        rustix::stdio::dup2_stdin(&nothing)?;
        rustix::stdio::dup2_stdout(&nothing)?;
        rustix::stdio::dup2_stderr(&nothing)?;
    } else {
        println!("Ctrl-C ends it");
    }
    serve(&listener, &mut cluster)
}

/// The same in a process of its own; this one comes back when it is up.
pub fn apart(home: &Home) -> Result<()> {
    let mut command = Command::new("setsid");
    command.arg(env::current_exe().context("where this program is")?);
    command.args(env::args_os().skip(1)).arg("--detached");
    // Of the two words the later one decides.
    let mut child = command.spawn().context("start setsid")?;
    loop {
        if let Some(status) = child.try_wait()? {
            std::process::exit(status.code().unwrap_or(1));
        }
        if home.is_held() && home.ask(&Request::Status).is_ok() {
            return Ok(());
        }
        thread::sleep(ASK_AGAIN);
    }
}

fn bring_up(home: &Home, shape: &Shape) -> Result<Cluster> {
    let (ground, between) = match shape.routers {
        false => (Ground::Switched, "on one link"),
        true => (Ground::Routed, "on two links with a router between"),
    };
    let hosts = format!("{} hosts {between}", shape.hosts);
    let mut lab = step(&hosts, || Lab::on(ground, shape.hosts))?;
    if shape.secure {
        step("authorities, of etcd and of the fleet", || lab.trust())?;
    }
    let [v4, v6] = POOLS;
    let network = format!("{v4},{v6}");
    let flags = ["--default-network", network.as_str()];
    let store = match shape.store {
        Store::Embedded => {
            step("a controller on the embedded store", || {
                lab.start_controller(&flags)
            })?;
            "embedded store"
        }
        Store::Etcd => {
            let what = format!("etcd and {} controllers", shape.controllers);
            step(&what, || lab.start_controllers(shape.controllers, &flags))?;
            "etcd"
        }
    };
    // A log is shown by whoever asks for it.
    lab.controllers
        .iter_mut()
        .for_each(|controller| controller.hush());
    let (underlay, network) = match shape.underlay {
        Underlay::V4 => ("v4", "default"),
        Underlay::V6 => {
            let [v4, v6] = POOLS_OF_SIX;
            let pools = ["--pool", v4, "--pool", v6, "--underlay", "v6"];
            lab.weft(&[&["network", "create", SIX][..], &pools].concat())?;
            ("v6", SIX)
        }
    };
    let mut cluster = Cluster::new(home.name(), store, underlay, network, lab);
    step("their agents, ready", || cluster.start_agents())?;
    if shape.containers > 0 {
        let what = format!("containers on each: {}", shape.containers);
        step(&what, || {
            for host in (1..=shape.hosts).map(Machine::Host) {
                for _ in 0..shape.containers {
                    cluster.add(&host, None)?;
                }
            }
            Ok(())
        })?;
    }
    Ok(cluster)
}

fn serve(listener: &UnixListener, cluster: &mut Cluster) -> Result<()> {
    for stream in listener.incoming() {
        let stream = stream.context("accept on the socket")?;
        // One that asks nothing is not waited for.
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        let Ok(request) = lines::hear(&stream) else {
            continue;
        };
        let reply = match request {
            Request::Status => Ok(Reply::Status(cluster.status())),
            Request::Find(machine) => cluster.find(&machine).map(Reply::Found),
            Request::Act(act) => cluster.act(act).map(Reply::Done),
            Request::Down => {
                lines::say(&stream, &Reply::Done("going down".into()))?;
                return Ok(());
            }
        };
        let reply = reply.unwrap_or_else(|error| Reply::Refused(format!("{error:#}")));
        // Who does not wait for the answer has had the act all the same.
        drop(lines::say(&stream, &reply));
    }
    Ok(())
}

fn step<T>(what: &str, act: impl FnOnce() -> Result<T>) -> Result<T> {
    print!("{what:<40}");
    io::stdout().flush()?;
    let began = Instant::now();
    let done = act().inspect_err(|_| println!("failed"))?;
    println!("{:>6.1} s", began.elapsed().as_secs_f64());
    Ok(done)
}

fn hints(home: &Home, cluster: &Cluster) -> String {
    let said = env::var("WEFT_LAB").unwrap_or_else(|_| "lab".to_owned());
    let lab = match home.name() {
        name if name == said => "weft-lab".to_owned(),
        name => format!("weft-lab --name {name}"),
    };
    let mut hints = vec![
        format!("{lab} exec h1 -- weft-agent status"),
        format!("{lab} exec h1 -- weft lease list"),
        format!("{lab} kill h1"),
        format!("{lab} down"),
    ];
    let containers = cluster.status().links;
    let machines = containers.iter().flat_map(|link| &link.machines);
    let all: Vec<_> = machines.flat_map(|machine| &machine.containers).collect();
    if let [first, .., last] = all.as_slice()
        && let Some(address) = last.addresses.first()
    {
        let ping = format!("{lab} exec {} -- ping -c 3 {address}", first.container);
        hints.insert(0, ping);
    }
    format!("Try:\n  {}", hints.join("\n  "))
}
