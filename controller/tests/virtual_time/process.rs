//! A controller: its real tasks, put together as `run` does it, without sockets.

use std::{sync::Arc, time::Duration};

use controller::{
    clock::Clock,
    first_network,
    follow::follow,
    keeper::{self, Keeper, Timing},
    metrics::Metrics,
    seats::Seats,
    services::{agent::Sessions, lease::Leases, network::Networks, node::Nodes},
};
use overlay::{
    decide::decay::Patience, id::ControllerId, network::NetworkSpec, record, time::WallMs,
};
use proto::{
    shared::agent_service_server::AgentServiceServer,
    v1::{
        lease_service_server::LeaseServiceServer, network_service_server::NetworkServiceServer,
        node_service_server::NodeServiceServer,
    },
};
use tokio::{task::JoinSet, time::timeout};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::service::Routes;
use uuid::Uuid;

use crate::door::Door;

pub const TIMING: Timing = Timing {
    session_ttl: Duration::from_secs(6),
    patience: Patience {
        grace: Duration::from_secs(4),
        skew: Duration::from_secs(4),
        hold: Duration::from_secs(4),
    },
};
/// How far a clock is from the true time at the most: two of them are never further
/// apart than is allowed for.
pub const MOST_OFF: Duration = Duration::from_millis(900);
const STUCK_AFTER: Duration = Duration::from_secs(20);
const DRAIN: Duration = Duration::from_secs(10);

pub struct Controller {
    pub keeper: Keeper,
    pub door: Door,
    pub routes: Routes,
    tasks: JoinSet<()>,
    sitting: JoinSet<()>,
    sessions: TaskTracker,
    /// As `run` has them: in this order they are cancelled.
    doors: CancellationToken,
    seats: CancellationToken,
    last: CancellationToken,
}

/// A clock that is so many milliseconds ahead of the true time, less [`MOST_OFF`].
pub fn clock(truth: Clock, ahead: u64) -> Clock {
    let least = u64::try_from(MOST_OFF.as_millis()).expect("a short time");
    Clock::new(move || WallMs(truth.now().0 + ahead - least))
}

impl Controller {
    pub fn start(door: Door, clock: &Clock, first: NetworkSpec) -> Self {
        let store: Arc<dyn controller::store::Store> = Arc::new(door.clone());
        let ctl = ControllerId(Uuid::new_v4());
        let metrics = Metrics::default();
        let [doors, seats_stop, last] = [(); 3].map(|()| CancellationToken::new());
        let mut tasks = JoinSet::new();

        let events = follow(store.clone(), last.clone());
        let (keeper, task) = keeper::Task::new(
            store.clone(),
            ctl,
            TIMING,
            clock.clone(),
            events,
            metrics.clone(),
        );
        tasks.spawn(task.run(last.clone()));
        let record = record::Controller {
            v: record::V1,
            listen: "nowhere".into(),
            version: "0".into(),
            started: clock.now(),
            wall_ms: clock.now(),
        };
        let (seats, task) = Seats::new(store, keeper.clone(), record, TIMING.session_ttl);
        let mut sitting = JoinSet::new();
        sitting.spawn(task.run(seats_stop.clone()));
        let (making, stopped) = (keeper.clone(), last.clone());
        tasks.spawn(async move {
            stopped
                .run_until_cancelled(first_network::keep(making, first))
                .await;
        });

        let sessions = TaskTracker::new();
        let agents = Sessions {
            keeper: keeper.clone(),
            seats,
            metrics,
            tasks: sessions.clone(),
            stuck_after: STUCK_AFTER,
        };
        let leases = Leases {
            keeper: keeper.clone(),
            closed: doors.clone(),
        };
        let networks = Networks {
            keeper: keeper.clone(),
        };
        let nodes = Nodes {
            keeper: keeper.clone(),
        };
        let routes = Routes::new(AgentServiceServer::new(agents))
            .add_service(LeaseServiceServer::new(leases))
            .add_service(NetworkServiceServer::new(networks))
            .add_service(NodeServiceServer::new(nodes))
            .prepare();
        Self {
            keeper,
            door,
            routes,
            tasks,
            sitting,
            sessions,
            doors,
            seats: seats_stop,
            last,
        }
    }

    /// All at once, as with kill -9: its lines are to be cut as well.
    pub fn crash(mut self) {
        self.door.die();
        self.tasks.abort_all();
        self.sitting.abort_all();
        for token in [&self.doors, &self.seats, &self.last] {
            token.cancel();
        }
    }

    /// In the order in which `run` does it. Whatever does not end in time is dropped.
    pub async fn stop(mut self) {
        self.keeper
            .tell(|state| state.roster.close("this controller is stopping"))
            .await;
        self.doors.cancel();
        self.sessions.close();
        // Who does not go in time is cut off afterwards.
        let _ = timeout(DRAIN, self.sessions.wait()).await;
        self.seats.cancel();
        let _ = timeout(DRAIN, self.sitting.join_next()).await;
        self.last.cancel();
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        let _ = timeout(DRAIN, ended).await;
        self.crash();
    }
}
