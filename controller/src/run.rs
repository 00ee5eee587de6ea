//! Puts the controller together, and takes it apart again in order.

use std::{collections::BTreeSet, net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, anyhow};
use options::Notify;
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
    },
};
use tokio::{net::TcpListener, runtime::Handle, task::JoinSet, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::transport::Server;
use tonic_health::server::health_reporter;
use tracing::{error, info, warn};
use uuid::Uuid;

use crate::{
    apart::Apart,
    carry::{self, door::Door},
    clock::Clock,
    config::{Opened, Options, Verb},
    first_network,
    follow::follow,
    health,
    keeper::{self, Keeper},
    listener::{self, connections},
    metrics::Metrics,
    ops::{self, Ops},
    seats::Seats,
    services::{
        agent::Sessions, endpoint::Endpoints, fleet::Fleet, lease::Leases, network::Networks,
        node::Nodes, status::StatusReport,
    },
};

/// Requests are small; nobody sends more than this.
const LARGEST_REQUEST: usize = 256 * 1024;
/// Calls under way on one connection.
const MOST_STREAMS: u32 = 256;
/// A peer that answers no ping is gone.
const PING_EVERY: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// The parts that run until they are told to stop. One that ends by itself ends all.
#[derive(Default)]
struct Parts {
    tasks: JoinSet<&'static str>,
    running: BTreeSet<&'static str>,
    /// The doors close first, then the sessions' records end, then the keeper.
    doors: CancellationToken,
    /// Every connection hangs on this one.
    lines: CancellationToken,
    seats: CancellationToken,
    keeper: CancellationToken,
}

/// Does what was asked: a verb, or to serve.
pub async fn run(options: Options, stop: CancellationToken) -> anyhow::Result<()> {
    let done = async {
        match &options.verb {
            None => serve(&options, stop.clone()).await,
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
async fn serve(options: &Options, stop: CancellationToken) -> anyhow::Result<()> {
    options.check_plain_text()?;
    let default_network = options.default_network()?;
    let timing = options.timing()?;
    let opened = options.open_store()?;
    let store = opened.store();
    let described: Arc<str> = store.describe().into();
    let listener = bind("--listen", options.listen)?;
    let ops_listener = bind("--ops-listen", options.ops_listen)?;
    let listen = listener.local_addr().context("--listen")?;
    let ctl = ControllerId(Uuid::new_v4());
    info!(controller = %ctl, %listen, ops = %ops_listener.local_addr()?, store = %described, "starting");

    let clock = Clock::system();
    let mut parts = Parts::default();
    let metrics = Metrics::default();
    let apart = Apart::new().context("start the keeper's thread")?;
    let (keeper, task) = {
        let _apart = apart.handle().enter();
        let events = follow(store.clone(), parts.keeper.clone());
        let (clock, metrics) = (clock.clone(), metrics.clone());
        keeper::Task::new(store.clone(), ctl, timing, clock, events, metrics)
    };
    let stopped = parts.keeper.clone();
    parts.start_on(apart.handle(), "the keeper", task.run(stopped));

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
    let server = services(&keeper, agents, &described, &parts.doors)?
        .add_service(health_service)
        .serve_with_incoming_shutdown(
            connections(listener, parts.lines.clone()),
            parts.doors.clone().cancelled_owned(),
        );
    parts.start("the gRPC server", async move {
        if let Err(error) = server.await {
            error!(%error, "the gRPC server failed");
        }
    });
    let router = ops::router(Ops {
        keeper: keeper.clone(),
        metrics,
        store: described,
    });
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
        match Door::open(&options.data_dir) {
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
        Some(Ok(name)) => Err(anyhow!("{name} ended by itself")),
        Some(Err(error)) => Err(anyhow!(error).context("a part of the controller died")),
    }
}

impl Parts {
    fn start(&mut self, name: &'static str, part: impl Future<Output = ()> + Send + 'static) {
        self.start_on(&Handle::current(), name, part);
    }

    fn start_on(
        &mut self,
        runtime: &Handle,
        name: &'static str,
        part: impl Future<Output = ()> + Send + 'static,
    ) {
        self.running.insert(name);
        let part = async move {
            part.await;
            name
        };
        self.tasks.spawn_on(part, runtime);
    }

    /// Waits for these to end, and names those that do not in time.
    async fn ended(&mut self, names: &[&'static str], within: Duration) {
        let all = async {
            while names.iter().any(|name| self.running.contains(name)) {
                match self.tasks.join_next().await {
                    Some(Ok(name)) => self.running.remove(name),
                    Some(Err(_)) => false,
                    None => break,
                };
            }
        };
        if timeout(within, all).await.is_err() {
            let hangs: Vec<_> = names
                .iter()
                .filter(|name| self.running.contains(*name))
                .collect();
            warn!(?hangs, "did not end in time");
        }
    }
}

fn bind(flag: &str, address: SocketAddr) -> anyhow::Result<TcpListener> {
    listener::bind(address).with_context(|| format!("cannot listen on {flag} {address}"))
}

fn services(
    keeper: &Keeper,
    agents: Sessions,
    store: &Arc<str>,
    doors: &CancellationToken,
) -> anyhow::Result<tonic::transport::server::Router> {
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
        .add_service(reflection)
        .add_service(AgentServiceServer::new(agents).max_decoding_message_size(LARGEST_REQUEST))
        .add_service(
            EndpointServiceServer::new(endpoints).max_decoding_message_size(LARGEST_REQUEST),
        )
        .add_service(
            FleetServiceServer::new(Fleet::new(keeper()))
                .max_decoding_message_size(LARGEST_REQUEST),
        )
        .add_service(LeaseServiceServer::new(leases).max_decoding_message_size(LARGEST_REQUEST))
        .add_service(
            NetworkServiceServer::new(Networks { keeper: keeper() })
                .max_decoding_message_size(LARGEST_REQUEST),
        )
        .add_service(
            NodeServiceServer::new(Nodes { keeper: keeper() })
                .max_decoding_message_size(LARGEST_REQUEST),
        )
        .add_service(StatusServiceServer::new(status).max_decoding_message_size(LARGEST_REQUEST)))
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
