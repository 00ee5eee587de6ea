//! Puts the agent together: identity, last good state, kernel, session, doors.

use std::{fs, net::IpAddr, time::Duration};

use anyhow::Context;
use options::{BadUsage, Notify, Process};
use overlay::{name::NodeName, trust::Token};
use proto::v1;
use tokio::{
    net::{TcpListener, lookup_host},
    sync::{mpsc, watch},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::{
    access::Access,
    cleanup,
    config::{Options, Verb, host},
    docker,
    doctor::Doctor,
    dry_run,
    endpoints::{
        Door, Grounds, Owner,
        owner::{self, Fleet},
    },
    identity::Identity,
    kept::Kept,
    kernel::{Kernel, uplink::UplinkAsk},
    local::{self, Doors},
    lock::{KernelLock, StateLock},
    metrics::Metrics,
    probe::Prober,
    reconcile::{Listeners, Reconciler, Settings},
    session::{Endpoints, Joins, Known, Member, SessionError, keep},
    show, subnet_env,
    support::Support,
    trial::Trials,
};

/// What the events of this agent take, in memory and each of their two files.
pub const EVENTS: usize = 1 << 20;
/// What was told and is yet to be taken in.
const BACKLOG: usize = 64;
/// A controller's name that is not resolved by then does not help to find the uplink.
const RESOLVE_WITHIN: Duration = Duration::from_secs(3);

pub async fn run(
    options: Options,
    stop: CancellationToken,
    process: Process,
) -> anyhow::Result<()> {
    match &options.verb {
        None if options.dry_run => dry_run::run(&options).await,
        None => serve(options, stop, process).await,
        Some(Verb::Status { output }) => show::status(&options.socket, *output),
        Some(Verb::Join(join)) => match (&join.network, join.token()?) {
            (Some(network), _) => show::join(&options.socket, network).await,
            (None, Some(token)) if join.exit => enter(&options, &token).await,
            (None, Some(token)) => {
                enter(&options, &token).await?;
                serve(options, stop, process).await
            }
            (None, None) => Ok(()),
        },
        Some(Verb::Doctor { output }) => show::doctor(&options, *output).await,
        Some(Verb::Leave { network }) => show::leave(&options.socket, network),
        Some(Verb::Cleanup { forget }) => {
            cleanup::run(&options.state_dir, &options.socket, *forget)
        }
    }
}

/// Joins the fleet by a token.
async fn enter(options: &Options, token: &Token) -> anyhow::Result<()> {
    if let Some(url) = options
        .controller
        .iter()
        .find(|url| !url.starts_with("https://"))
    {
        let problem = format!(
            "a token is shown to nobody in plain text: say --controller https:// and not {url}"
        );
        return Err(BadUsage(problem).into());
    }
    let node = node_name(options)?;
    let _alone = StateLock::take(&options.state_dir)?;
    let id = Identity::open(&options.state_dir)?.id();
    Access::at(&options.state_dir)
        .join(&options.controller, token, &node, id)
        .await
}

async fn serve(options: Options, stop: CancellationToken, process: Process) -> anyhow::Result<()> {
    options.check_plain_text()?;
    let node = node_name(&options)?;
    let _alone = (StateLock::take(&options.state_dir)?, KernelLock::take()?);
    process.events.keep_in(&options.state_dir);
    let mut identity = Identity::open(&options.state_dir)?;
    info!(%node, id = %identity.id(), networks = options.networks.len(), "starting");
    let access = Access::open(&options.state_dir, &node, identity.id())?;
    if options
        .controller
        .iter()
        .any(|url| url.starts_with("https://"))
        && !access.is_there()
    {
        return Err(SessionError::NotJoined.into());
    }

    let metrics = Metrics::default();
    let (ask, requests) = mpsc::channel(BACKLOG);
    let (attach, containers) = mpsc::channel(BACKLOG);
    let (grounds, grounded) = watch::channel(Grounds::new());
    // What is attached here, and what the fleet knows of it.
    let (endpoints, attached) = watch::channel(Endpoints::default());
    let (known, knows) = watch::channel(Known::default());
    let lent = options.subnet_env.as_ref();
    let lent = lent.and_then(|_| options.networks.first().cloned());
    let subnet_env = subnet_env::keep(
        options.subnet_env.clone().zip(lent.clone()),
        grounded.clone(),
    );
    let owner = owner::Settings {
        bridges: options.bridge.iter().cloned().collect(),
        lent: lent.clone(),
        look_every: options.look_every,
    };
    let owner = Owner::open(
        owner,
        &options.state_dir,
        grounded,
        ask.clone(),
        Fleet::new(endpoints, knows, metrics.clone()),
    )?;
    let (asking, asked) = mpsc::channel(BACKLOG);
    let door = Door::new(attach, metrics.clone());
    let doors = Doors {
        requests: ask.clone(),
        endpoints: door.clone(),
        probes: asking,
        doctor: Doctor {
            state_dir: options.state_dir.clone(),
            controllers: options.controller.clone(),
            access: access.clone(),
            reconciler: Some(ask.clone()),
        },
        trials: Trials::new(door, ask.clone()),
        metrics: metrics.clone(),
        events: process.events,
        support: Support {
            mac: identity.mac(),
            in_force: process.in_force,
        },
    };
    let socket = local::listen(&options.socket).context("--socket")?;
    let docker = docker::serve(
        options.docker.clone(),
        &options.state_dir,
        doors.endpoints.clone(),
    );
    let ops = TcpListener::bind(options.ops_listen)
        .await
        .with_context(|| format!("cannot listen on --ops-listen {}", options.ops_listen))?;

    let (joins, mut joined) = watch::channel(Joins::new());
    let (report, reported) = watch::channel(v1::Report::default());
    let (probes, probed) = watch::channel(Default::default());
    let prober = Prober {
        node: node.clone(),
        every: options.probe_every.0,
        grounds: grounds.subscribe(),
        reconciler: ask,
        told: probes,
        metrics: metrics.clone(),
    };
    let (kept, words) = Kept::open(&options.state_dir)?;
    let settings = Settings {
        node: node.clone(),
        id: identity.id(),
        mac: identity.mac(),
        uplink: uplink_ask(&options).await,
        offload: options.checksum_offload,
        hold_losses: options.hold_losses,
        look_every: options.look_every,
    };
    let mut reconciler = Reconciler::new(
        settings,
        Kernel::open()?,
        kept,
        Listeners {
            joins,
            report,
            grounds,
            probed,
        },
        metrics,
        Notify::from_environment(),
    );
    for network in &options.networks {
        reconciler.join(network.clone());
    }
    let held = reconciler.restore(words);
    joined.mark_changed();
    let member = Member {
        node,
        version: env!("CARGO_PKG_VERSION").into(),
        joins: joined,
        report: reported,
        endpoints: attached,
        known,
        doors: doors.clone().socket(),
    };
    let (told, heard) = mpsc::channel(BACKLOG);
    let urls = options.controller;
    let (renewing, renewed_at) = (access.clone(), urls.clone());
    let certificate = doors.metrics.certificate.clone();
    // A task of its own: a round in the kernel does not keep the session waiting.
    let session =
        tokio::spawn(async move { keep(&urls, &access, member, &mut identity, held, &told).await });
    // Whatever ends first ends the agent; what was not taken in yet is told again.
    tokio::select! {
        done = reconciler.run(heard, requests, stop) => done,
        done = owner.run(containers) => done,
        done = prober.run(asked) => done,
        () = renewing.keep(&renewed_at, &certificate) => Ok(()),
        error = session => Err(error.context("the session's task died")?.into()),
        served = docker => Ok(served?),
        () = subnet_env => Ok(()),
        served = axum::serve(socket, doors.clone().socket()).into_future() => Ok(served?),
        served = axum::serve(ops, doors.ops()).into_future() => Ok(served?),
    }
}

pub fn node_name(options: &Options) -> anyhow::Result<NodeName> {
    if let Some(node) = &options.node {
        return Ok(node.clone());
    }
    let name = fs::read_to_string("/proc/sys/kernel/hostname")
        .context("cannot read the host's name; give --node")?;
    name.trim()
        .parse()
        .context("the host's name cannot be a node's; give --node")
}

/// How to find the uplink: as told, or on the way to the controllers.
pub async fn uplink_ask(options: &Options) -> UplinkAsk {
    let mut towards: Vec<IpAddr> = Vec::new();
    for url in &options.controller {
        match host(url).parse() {
            Ok(address) => towards.push(address),
            Err(_) => {
                let found = timeout(RESOLVE_WITHIN, lookup_host((host(url), 0))).await;
                if let Ok(Ok(found)) = found {
                    towards.extend(found.map(|address| address.ip()));
                }
            }
        }
    }
    UplinkAsk {
        iface: options.iface.clone(),
        node_ip: options.node_ip,
        towards,
    }
}
