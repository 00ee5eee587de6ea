//! Puts the controller together, and takes it apart again in order.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, anyhow};
use options::{Notify, Process};
use overlay::{
    id::ControllerId,
    record::{Controller, V1},
};
use proto::{
    shared::agent_service_server::AgentServiceServer,
    v1::{
        endpoint_service_server::EndpointServiceServer, fleet_service_server::FleetServiceServer,
        lease_service_server::LeaseServiceServer, network_service_server::NetworkServiceServer,
        node_service_server::NodeServiceServer, status_service_server::StatusServiceServer,
        trust_service_server::TrustServiceServer,
    },
};
use tokio::{net::TcpListener, sync::watch, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::transport::{Server, server::Router};
use tonic_health::server::health_reporter;
use tower::layer::util::{Identity, Stack};
use tracing::{error, info, warn};
use uuid::Uuid;

use crate::{
    apart::Apart,
    carry::{self, door::Door},
    clock::Clock,
    config::{Opened, Options, Verb},
    first_network, health,
    keeper::Keeper,
    listener::{self, connections},
    metrics::Metrics,
    ops::{self, Ops},
    parts::Parts,
    seats::Seats,
    services::{
        agent::Sessions, endpoint::Endpoints, fleet::Fleet, lease::Leases, network::Networks,
        node::Nodes, status::StatusReport, trust::Desk,
    },
    trust::{self, Authority, Mode, door, gate::Gate, init, rate::Rate},
};

/// What the events of this controller take, in memory and each of their two files: ten
/// thousand agents may come and go.
pub const EVENTS: usize = 8 << 20;
/// Requests are small; nobody sends more than this.
const LARGEST_REQUEST: usize = 256 * 1024;
/// Calls under way on one connection.
const MOST_STREAMS: u32 = 256;
/// A peer that answers no ping is gone.
const PING_EVERY: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Does what was asked: a verb, or to serve.
pub async fn run(
    options: Options,
    stop: CancellationToken,
    process: Process,
) -> anyhow::Result<()> {
    let done = async {
        match &options.verb {
            None => serve(&options, stop.clone(), process).await,
            Some(Verb::Init(init)) => initialize(init, &options).await,
            Some(Verb::Backup { file }) => carry::backup(&options, file).await,
            Some(Verb::Restore { file, force }) => carry::restore(&options, file, *force).await,
            Some(Verb::Move { to }) => carry::relocate(&options, *to).await,
        }
    };
    match &options.verb {
        None => done.await,
        Some(_) => {
            let done = stop.run_until_cancelled(done).await;
            done.unwrap_or_else(|| Err(anyhow!("it was told to stop")))
        }
    }
}

/// Serves until `stop` is cancelled or a part fails.
async fn serve(options: &Options, stop: CancellationToken, process: Process) -> anyhow::Result<()> {
    options.check_plain_text()?;
    let mode = options.trust()?;
    let default_network = options.default_network()?;
    let timing = options.timing()?;
    let opened = options.open_store()?;
    let store = opened.store();
    let described: Arc<str> = store.describe().into();
    let listener = bind("--listen", options.listen)?;
    let ops_listener = bind("--ops-listen", options.ops_listen)?;
    let listen = listener.local_addr().context("--listen")?;
    let ctl = ControllerId(Uuid::new_v4());
    match options.events_dir() {
        Some(directory) => process.events.keep_in(directory),
        None => info!("what happens is kept in memory alone; --data-dir keeps it over a restart"),
    }
    info!(controller = %ctl, %listen, ops = %ops_listener.local_addr()?, store = %described, "starting");

    let clock = Clock::system();
    let mut parts = Parts::default();
    let metrics = Metrics::default();
    let apart = Apart::new().context("start the keeper's thread")?;
    let known = (clock.clone(), metrics.clone());
    let keeper = parts.start_keeper(&apart, store.clone(), ctl, timing, known);

    let record = Controller {
        v: V1,
        listen: listen.to_string(),
        version: env!("CARGO_PKG_VERSION").into(),
        started: clock.now(),
        wall_ms: clock.now(),
    };
    let (seats, task) = Seats::new(store, keeper.clone(), record, timing.session_ttl);
    let stopped = parts.seats.clone();
    parts.start_on(apart.handle(), "the seats", task.run(stopped));

    let sessions = TaskTracker::new();
    let (reporter, health_service) = health_reporter();
    parts.start(
        "the health service",
        health::tell(
            keeper.clone(),
            reporter,
            Notify::from_environment(),
            parts.doors.clone(),
        ),
    );
    let agents = Sessions {
        keeper: keeper.clone(),
        seats,
        metrics: metrics.clone(),
        tasks: sessions.clone(),
        stuck_after: options.stuck_reader,
    };
    let (door, authority) = trust(&mut parts, mode, &keeper, options, listen);
    let desk = Desk {
        keeper: keeper.clone(),
        authority,
        life: options.cert_ttl,
        rate: Rate::default(),
    };
    let gate = Gate {
        keeper: keeper.clone(),
        metrics: metrics.clone(),
    };
    let ops = Ops {
        keeper: keeper.clone(),
        metrics: metrics.clone(),
        store: described.clone(),
        process,
    };
    let fleet = Fleet::new(ctl, ops.clone());
    let server = services(gate, agents, desk, fleet, &described, &parts.doors)?
        .add_service(health_service)
        .serve_with_incoming_shutdown(
            connections(listener, parts.lines.clone(), door, metrics.clone()),
            parts.doors.clone().cancelled_owned(),
        );
    parts.start("the gRPC server", async move {
        if let Err(error) = server.await {
            error!(%error, "the gRPC server failed");
        }
    });
    let router = ops::router(ops);
    let closed = parts.doors.clone().cancelled_owned();
    parts.start("the ops server", async move {
        if let Err(error) = axum::serve(ops_listener, router)
            .with_graceful_shutdown(closed)
            .await
        {
            error!(%error, "the ops server failed");
        }
    });
    let (making, stopped) = (keeper.clone(), parts.keeper.clone());
    parts.start("the first network", async move {
        stopped
            .run_until_cancelled(first_network::keep(making, default_network))
            .await;
    });

    if let Opened::Embedded(file) = opened {
        match Door::open(options.data_dir()) {
            Ok(door) => parts.start("the backups", door.serve(file, parts.doors.clone())),
            Err(error) => {
                warn!(
                    error = options::sentence(&error),
                    "no backup can be made while this controller runs"
                );
            }
        }
    }

    // Waiting for the first of two loses neither.
    let failed = tokio::select! {
        () = stop.cancelled() => None,
        Some(ended) = parts.tasks.join_next() => Some(ended),
    };
    drain(parts, &keeper, &sessions, options.drain).await;
    match failed {
        None => Ok(()),
        Some(Ok((name, Ok(())))) => Err(anyhow!("{name} ended by itself")),
        Some(Ok((_, Err(error)))) => Err(error),
        Some(Err(error)) => Err(anyhow!(error).context("a part of the controller died")),
    }
}

/// Only a keeper, for as long as it takes to make the authority and a token.
async fn initialize(init: &init::Init, options: &Options) -> anyhow::Result<()> {
    let (opened, timing) = (options.open_store()?, options.timing()?);
    let apart = Apart::new().context("start the keeper's thread")?;
    let ctl = ControllerId(Uuid::new_v4());
    let mut parts = Parts::default();
    let known = (Clock::system(), Metrics::default());
    let keeper = parts.start_keeper(&apart, opened.store(), ctl, timing, known);
    let done = init::run(init, options, &keeper).await;
    parts.keeper.cancel();
    parts.ended(&["the keeper"], options.drain).await;
    done
}

/// Opens the door to those who are trusted, as soon as the store says by whom.
fn trust(
    parts: &mut Parts,
    mode: Mode,
    keeper: &Keeper,
    options: &Options,
    listen: SocketAddr,
) -> (trust::Door, watch::Receiver<Option<Arc<Authority>>>) {
    let (knowing, authority) = watch::channel(None);
    let (opening, config) = watch::channel(None);
    let plain = options.insecure;
    let door = match mode {
        Mode::Plain => trust::Door::Plain,
        Mode::Sealed(_) | Mode::Files(_) => trust::Door::Tls { config, plain },
    };
    let keeper = keeper.clone();
    parts.start_fallible("trust", async move {
        let Some(authority) = trust::establish(mode, &keeper).await? else {
            trust::beware(&keeper).await;
            return Ok(());
        };
        let authority = Arc::new(authority);
        knowing.send_replace(Some(authority.clone()));
        door::keep(&authority, &names(listen), &keeper, &opening).await;
        Ok(())
    });
    (door, authority)
}

/// The addresses that this controller's certificate holds, for tools that look for one.
fn names(listen: SocketAddr) -> Vec<IpAddr> {
    let mut names = vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    if !listen.ip().is_unspecified() && !listen.ip().is_loopback() {
        names.push(listen.ip());
    }
    names
}

fn bind(flag: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    listener::bind(address).with_context(|| format!("cannot listen on {flag} {address}"))
}

fn services(
    gate: Gate,
    agents: Sessions,
    desk: Desk,
    fleet: Fleet,
    store: &Arc<str>,
    doors: &CancellationToken,
) -> anyhow::Result<Router<Stack<Gate, Identity>>> {
    let keeper = &gate.keeper.clone();
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(proto::DESCRIPTOR)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    let status = StatusReport {
        keeper: keeper.clone(),
        store: store.clone(),
    };
    let leases = Leases {
        keeper: keeper.clone(),
        closed: doors.clone(),
    };
    let endpoints = Endpoints {
        keeper: keeper.clone(),
        closed: doors.clone(),
    };
    let keeper = || keeper.clone();
    Ok(Server::builder()
        .http2_keepalive_interval(Some(PING_EVERY))
        .http2_keepalive_timeout(Some(PING_TIMEOUT))
        .max_concurrent_streams(MOST_STREAMS)
        .layer(gate)
        .add_service(reflection)
        .add_service(AgentServiceServer::new(agents).max_decoding_message_size(LARGEST_REQUEST))
        .add_service(
            EndpointServiceServer::new(endpoints).max_decoding_message_size(LARGEST_REQUEST),
        )
        .add_service(FleetServiceServer::new(fleet).max_decoding_message_size(LARGEST_REQUEST))
        .add_service(LeaseServiceServer::new(leases).max_decoding_message_size(LARGEST_REQUEST))
        .add_service(
            NetworkServiceServer::new(Networks { keeper: keeper() })
                .max_decoding_message_size(LARGEST_REQUEST),
        )
        .add_service(
            NodeServiceServer::new(Nodes { keeper: keeper() })
                .max_decoding_message_size(LARGEST_REQUEST),
        )
        .add_service(StatusServiceServer::new(status).max_decoding_message_size(LARGEST_REQUEST))
        .add_service(TrustServiceServer::new(desk).max_decoding_message_size(LARGEST_REQUEST)))
}

/// Sends the agents away, waits for them, then ends the rest in order. Whatever does
/// not end in time is named.
async fn drain(mut parts: Parts, keeper: &Keeper, sessions: &TaskTracker, within: Duration) {
    info!("stopping: sending the agents to other controllers");
    keeper
        .tell(|state| state.roster.close("this controller is stopping"))
        .await;
    parts.doors.cancel();
    sessions.close();
    if timeout(within, sessions.wait()).await.is_err() {
        warn!(
            sessions = sessions.len(),
            "some sessions did not end in time"
        );
    }
    parts.seats.cancel();
    parts.ended(&["the seats"], within).await;
    // Who has a connection and says nothing on it is not waited for.
    parts.lines.cancel();
    parts.ended(&["the gRPC server"], within).await;
    parts.keeper.cancel();
    parts
        .ended(&["the keeper", "the first network"], within)
        .await;
    info!("stopped");
}
