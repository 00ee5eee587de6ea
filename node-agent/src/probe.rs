//! Whether packets pass between this host and its peers, and how fast: asks some of them
//! over the overlay all the time, and answers those that ask.
//!
//! One task owns the tables and reads the clock; what follows from the answers is
//! `overlay::probe`'s.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    time::Duration,
};

use anyhow::Context;
use overlay::{
    name::{NetworkName, NodeName},
    probe::{
        table::{Course, Row, Summary, Table, Wish},
        window::{Outcome, Size},
    },
};
use socket::words::Probe;
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::{AbortHandle, JoinSet},
    time::{Instant, sleep_until},
};
use tracing::info;
use uuid::Uuid;

use crate::{
    endpoints::{Grounds, ground::Ground},
    local::Request,
    metrics::Metrics,
};
use answer::Seat;
pub use ask::Question;

mod answer;
mod ask;

/// Of each network.
pub type Wishes = BTreeMap<NetworkName, Wish>;
pub type Courses = BTreeMap<NetworkName, Course>;
/// What controllers are to be told of each network.
pub type Summaries = BTreeMap<NetworkName, Summary>;
/// Somebody wants to know what the probes show.
pub type Asking = oneshot::Sender<Vec<Probe>>;

pub struct Prober {
    pub node: NodeName,
    /// None: nobody is asked; those that ask are answered all the same.
    pub every: Option<Duration>,
    pub grounds: watch::Receiver<Grounds>,
    /// The reconciler knows the peers.
    pub reconciler: mpsc::Sender<Request>,
    pub told: watch::Sender<Summaries>,
    pub metrics: Metrics,
}

/// A probe that is over.
struct Done {
    network: NetworkName,
    node: NodeName,
    to: IpAddr,
    size: Size,
    outcome: Outcome,
}

impl Prober {
    /// For ever.
    pub async fn run(mut self, mut asking: mpsc::Receiver<Asking>) -> anyhow::Result<()> {
        let mut tables: BTreeMap<NetworkName, Table> = BTreeMap::new();
        let mut asked: JoinSet<Done> = JoinSet::new();
        let mut seats: BTreeMap<Seat, AbortHandle> = BTreeMap::new();
        let mut answering: JoinSet<()> = JoinSet::new();
        let mut next = Instant::now();
        self.grounds.mark_changed();
        loop {
            // Every arm is cancel-safe: a time that has come is found to have come again,
            // and what has changed, is over or was sent stays so until it is taken.
            tokio::select! {
                Ok(()) = self.grounds.changed() => self.sit(&mut seats, &mut answering),
                () = sleep_until(next), if self.every.is_some() => {
                    let every = self.every.unwrap_or_default();
                    next = Instant::now() + every;
                    self.round(&mut tables, &mut asked, every).await;
                }
                Some(done) = asked.join_next() => {
                    let done = done.context("a probe's task died")?;
                    self.metrics.probes.outcome(done.size, done.outcome);
                    if let Some(table) = tables.get_mut(&done.network) {
                        table.heard(&done.node, done.to, done.size, done.outcome);
                    }
                }
                Some(reply) = asking.recv() => {
                    // Whoever asked may have gone.
                    let _ = reply.send(self.rows(&tables));
                }
                Some(ended) = answering.join_next() => match ended {
                    Err(error) if !error.is_cancelled() => {
                        return Err(error).context("the task that answers probes died");
                    }
                    Ok(()) | Err(_) => {}
                },
            }
        }
    }

    /// Answers at the addresses that this host has now.
    fn sit(&mut self, seats: &mut BTreeMap<Seat, AbortHandle>, answering: &mut JoinSet<()>) {
        let grounds = self.grounds.borrow_and_update();
        let wanted: BTreeSet<Seat> = grounds.values().flatten().flat_map(Seat::of).collect();
        drop(grounds);
        seats.retain(|seat, task| {
            let stays = wanted.contains(seat);
            if !stays {
                task.abort();
            }
            stays
        });
        for seat in wanted {
            let metrics = self.metrics.clone();
            seats
                .entry(seat.clone())
                .or_insert_with(|| answering.spawn(answer::keep(seat, metrics)));
        }
    }

    /// Tells what the last rounds showed, and sends the next, spread over the time.
    async fn round(
        &mut self,
        tables: &mut BTreeMap<NetworkName, Table>,
        asked: &mut JoinSet<Done>,
        every: Duration,
    ) {
        let grounds = self.grounds.borrow().clone();
        let grounds: BTreeMap<NetworkName, Ground> = grounds
            .into_iter()
            .filter_map(|(network, ground)| Some((network, ground.filter(Ground::is_there)?)))
            .collect();
        tables.retain(|network, _| grounds.contains_key(network));
        self.tell(tables);
        let wish = |network: &NetworkName| {
            let table = tables.entry(network.clone());
            let table = table.or_insert_with(|| Table::new(self.node.clone()));
            (network.clone(), table.wish())
        };
        let wishes: Wishes = grounds.keys().map(wish).collect();
        let (reply, answer) = oneshot::channel();
        let request = Request::Courses(wishes, reply);
        // The agent is stopping.
        if self.reconciler.send(request).await.is_err() {
            return;
        }
        let Ok(courses) = answer.await else { return };
        let mut questions = Vec::new();
        for (network, course) in courses {
            if let Some((ground, table)) = grounds.get(&network).zip(tables.get_mut(&network)) {
                let due = table.round(course).into_iter();
                questions.extend(due.filter_map(|(node, to, size)| {
                    let question = Question::over(ground, to, size)?;
                    Some((network.clone(), node, size, question))
                }));
            }
        }
        let apart = every * 4 / 5 / u32::try_from(questions.len().max(1)).unwrap_or(u32::MAX);
        let began = Instant::now();
        for (count, (network, node, size, question)) in (0..).zip(questions) {
            let begin = began + apart * count;
            asked.spawn(async move {
                sleep_until(begin).await;
                Done {
                    to: question.to.ip(),
                    outcome: question.ask(Uuid::new_v4().as_u64_pair().0).await,
                    network,
                    node,
                    size,
                }
            });
        }
    }

    fn tell(&self, tables: &BTreeMap<NetworkName, Table>) {
        self.metrics.probes.show(&self.rows(tables));
        let told = self.told.borrow().clone();
        let mut now = Summaries::new();
        for (network, table) in tables {
            let (summary, before) = (table.summary(), told.get(network));
            if !table.is_news(&summary, before) {
                now.extend(before.map(|before| (network.clone(), before.clone())));
                continue;
            }
            if before.map_or(0, |before| before.troubled) != summary.troubled {
                let worst = summary.worst.first();
                let peer = worst.map(|row| row.node.as_str());
                let verdict = worst.map(|row| row.shown.verdict.as_str());
                info!(%network, probed = summary.probed, troubled = summary.troubled, peer, verdict, "probes");
            }
            now.insert(network.clone(), summary);
        }
        self.told.send_if_modified(|last| {
            let is_new = *last != now;
            *last = now;
            is_new
        });
    }

    fn rows(&self, tables: &BTreeMap<NetworkName, Table>) -> Vec<Probe> {
        let rows = |(network, table): (&NetworkName, &Table)| -> Vec<Probe> {
            table.rows().map(|row| self.shown(network, row)).collect()
        };
        tables.iter().flat_map(rows).collect()
    }

    fn shown(&self, network: &NetworkName, row: Row) -> Probe {
        Probe {
            from: self.node.clone(),
            to: row.node,
            network: network.clone(),
            family: row.family,
            verdict: row.shown.verdict,
            loss: row.shown.loss,
            probes: row.shown.probes,
            rtt_us: row.shown.middle_us,
            worst_us: row.shown.worst_us,
        }
    }
}
