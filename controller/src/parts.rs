//! The parts of a running controller, and the order in which they end.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use overlay::id::ControllerId;
use tokio::{runtime::Handle, task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::{
    apart::Apart,
    clock::Clock,
    follow::follow,
    keeper::{self, Keeper, Timing},
    metrics::Metrics,
    store::Store,
    trust::TrustError,
};

/// The parts that run until they are told to stop. One that ends by itself ends all.
#[derive(Default)]
pub struct Parts {
    pub tasks: JoinSet<Ended>,
    running: BTreeSet<&'static str>,
    /// The doors close first, then the sessions' records end, then the keeper.
    pub doors: CancellationToken,
    /// Every connection hangs on this one.
    pub lines: CancellationToken,
    pub seats: CancellationToken,
    pub keeper: CancellationToken,
}

/// A part that has ended, and why if it failed.
pub type Ended = (&'static str, anyhow::Result<()>);

impl Parts {
    pub fn start(&mut self, name: &'static str, part: impl Future<Output = ()> + Send + 'static) {
        self.start_on(&Handle::current(), name, part);
    }

    pub fn start_on(
        &mut self,
        runtime: &Handle,
        name: &'static str,
        part: impl Future<Output = ()> + Send + 'static,
    ) {
        self.running.insert(name);
        let part = async move {
            part.await;
            (name, Ok(()))
        };
        self.tasks.spawn_on(part, runtime);
    }

    pub fn start_fallible(
        &mut self,
        name: &'static str,
        part: impl Future<Output = Result<(), TrustError>> + Send + 'static,
    ) {
        self.running.insert(name);
        let part = async move { (name, part.await.map_err(anyhow::Error::from)) };
        self.tasks.spawn(part);
    }

    pub fn start_keeper(
        &mut self,
        apart: &Apart,
        store: Arc<dyn Store>,
        ctl: ControllerId,
        timing: Timing,
        (clock, metrics): (Clock, Metrics),
    ) -> Keeper {
        let (keeper, task) = {
            let _apart = apart.handle().enter();
            let events = follow(store.clone(), self.keeper.clone());
            keeper::Task::new(store, ctl, timing, clock, events, metrics)
        };
        let stopped = self.keeper.clone();
        self.start_on(apart.handle(), "the keeper", task.run(stopped));
        keeper
    }

    /// Waits for these to end, and names those that do not in time.
    pub async fn ended(&mut self, names: &[&'static str], within: Duration) {
        let all = async {
            while names.iter().any(|name| self.running.contains(name)) {
                match self.tasks.join_next().await {
                    Some(Ok((name, _))) => self.running.remove(name),
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
