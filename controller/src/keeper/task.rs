//! The keeper's loop: store events in, requests in, groups out.
//!
//! A request waits in the queue until a group has room. It is decided only then, on
//! the newest view. What it compares and writes stays in the flight until the
//! outcome can be seen in the registry, so this controller never races with itself.

use std::{sync::Arc, time::Duration};

use overlay::{
    decide::{Refusal, View, decay::Patience},
    flight::Flight,
    id::ControllerId,
    txn::{Revision, Transaction},
};
use tokio::{
    runtime::Handle,
    sync::mpsc,
    task::{JoinError, JoinSet},
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};
use uuid::Uuid;

use super::{
    BACKLOG, Failure, Job, Keeper, Link, State,
    attempt::{Confirm, Pending},
    group::{Group, Member},
    queue::Queue,
    state::History,
    unseen::Unseen,
};
use crate::{
    clock::Clock,
    follow::StoreEvent,
    metrics::Metrics,
    store::{Committed, Store, StoreError},
    upkeep::Upkeep,
};

/// A request that could not be committed in this time is UNAVAILABLE.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// The same while the store is away: a short restart is waited for.
const LONGEST_WAIT_AWAY: Duration = Duration::from_secs(2);
const TICK: Duration = Duration::from_millis(50);
/// What the store tells and what is asked of the keeper take turns, so many at a time:
/// the reports of ten thousand agents must not keep it from seeing the store.
const AT_ONCE: usize = 256;
const BOOKMARK_EVERY: Duration = Duration::from_secs(10);

/// The times a controller lives by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    pub session_ttl: Duration,
    pub patience: Patience,
}

pub struct Task {
    store: Arc<dyn Store>,
    state: State,
    metrics: Metrics,
    upkeep: Upkeep,
    jobs: mpsc::Receiver<Job>,
    events: mpsc::Receiver<StoreEvent>,
    flight: Flight,
    queue: Queue,
    unseen: Unseen,
    commits: JoinSet<Outcome>,
    heads: JoinSet<Result<Revision, StoreError>>,
    /// Where in the pools to begin; moved away from other controllers on a conflict.
    spread: u128,
}

struct Outcome {
    group: Group,
    result: Result<Committed, StoreError>,
    took: Duration,
}

impl Task {
    /// On the runtime where it is to run.
    pub fn new(
        store: Arc<dyn Store>,
        ctl: ControllerId,
        timing: Timing,
        clock: Clock,
        events: mpsc::Receiver<StoreEvent>,
        metrics: Metrics,
    ) -> (Keeper, Self) {
        let (jobs, receiver) = mpsc::channel(BACKLOG);
        let state = State::new(ctl, clock.clone());
        let keeper = Keeper {
            jobs,
            clock,
            feed: state.feed.subscribe(),
            leases: state.leases.subscribe(),
            endpoints: state.endpoints.subscribe(),
            seen: state.seen.subscribe(),
            store: store.clone(),
            runtime: Handle::current(),
        };
        let task = Self {
            store,
            state,
            metrics,
            upkeep: Upkeep::new(timing.patience),
            jobs: receiver,
            events,
            flight: Flight::default(),
            queue: Queue::default(),
            unseen: Unseen::default(),
            commits: JoinSet::new(),
            heads: JoinSet::new(),
            spread: 0,
        };
        (keeper, task)
    }

    /// Runs until stopped. What is being committed then is answered first.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut bookmark = interval(BOOKMARK_EVERY);
        let (mut jobs, mut events) = (Vec::new(), Vec::new());
        loop {
            // Every arm is cancel-safe: receiving from a channel, joining from a set
            // and ticking lose nothing when another arm wins.
            tokio::select! {
                () = stop.cancelled() => break,
                1.. = self.events.recv_many(&mut events, AT_ONCE) => {
                    events.drain(..).for_each(|event| self.hear(event));
                }
                Some(outcome) = self.commits.join_next() => self.settle(outcome),
                Some(head) = self.heads.join_next() => self.confirm(&head),
                count = self.jobs.recv_many(&mut jobs, AT_ONCE) => {
                    if count == 0 {
                        break;
                    }
                    jobs.drain(..).for_each(|job| self.take(job));
                }
                _ = tick.tick() => self.tick(),
                _ = bookmark.tick() => self.state.bookmark(),
            }
            self.pump();
        }
        self.drain().await;
    }

    fn hear(&mut self, event: StoreEvent) {
        match event {
            StoreEvent::Loaded(loaded) => {
                let records = loaded.entries.len();
                if self.state.load(&loaded) == History::Another {
                    self.unseen.forget(&mut self.flight);
                }
                if self.state.link != Link::Live {
                    info!(revision = loaded.revision, records, store = %self.store.describe(), "the store is there");
                }
                self.state.link = Link::Live;
                self.metrics.store_loads.inc();
            }
            StoreEvent::Batch(batch) => self.state.apply(&batch),
            StoreEvent::Down(error) => {
                if !matches!(self.state.link, Link::Down(_)) {
                    warn!(%error, "the store is away: deciding nothing until it is back");
                }
                self.state.link = Link::Down(error.to_string());
            }
        }
        self.wake();
    }

    fn take(&mut self, job: Job) {
        match job {
            Job::Work(work) => work(&mut self.state),
            Job::Write(attempt) if self.queue.is_full() => {
                attempt.finish(Err(Failure::Unavailable(
                    "too many requests are waiting for this controller".into(),
                )));
            }
            Job::Write(attempt) => self.queue.push(Pending::new(attempt)),
        }
    }

    /// Decides what waits and commits it, as far as groups are free.
    fn pump(&mut self) {
        if !self.state.decides() {
            return;
        }
        while self.commits.len() < self.store.groups_in_flight() && !self.queue.is_empty() {
            let group = self.fill();
            if group.members.is_empty() {
                return;
            }
            self.commit(group);
        }
    }

    /// Decides from the front of the queue until a group is full.
    fn fill(&mut self) -> Group {
        let budget = self.store.group_budget();
        let mut group = Group::default();
        let mut other_ttl = Vec::new();
        while let Some(mut pending) = self.queue.pop() {
            match self.decide(&mut pending) {
                Ok(txn) if !self.flight.admits(&txn) => self.queue.park(pending),
                Ok(txn) if !group.fits(&txn, budget) => {
                    if group.members.is_empty() {
                        let why = "the request is too large for one transaction";
                        pending.fail(Failure::Unavailable(why.into()));
                        continue;
                    }
                    self.queue.put_back(pending);
                    break;
                }
                Ok(txn) if !group.shares_ttl(&txn) => other_ttl.push(pending),
                Ok(txn) => {
                    self.flight.enter(&txn);
                    group.push(Member { pending, txn });
                }
                Err(Refusal::Busy { .. }) => self.queue.park(pending),
                Err(refusal) => self.refuse(pending, refusal),
            }
        }
        for pending in other_ttl.into_iter().rev() {
            self.queue.put_back(pending);
        }
        group
    }

    fn decide(&self, pending: &mut Pending) -> Result<Transaction, Refusal> {
        let view = View {
            registry: &self.state.registry,
            flight: &self.flight,
            ctl: self.state.ctl,
            now: self.state.clock.now(),
            spread: self.spread,
        };
        pending.attempt.decide(&view)
    }

    /// Refuses, once it is sure that the view was new enough to refuse on: another
    /// controller may have done a moment ago what this request builds on.
    fn refuse(&mut self, pending: Pending, refusal: Refusal) {
        if pending.confirm == Confirm::Done {
            pending.fail(Failure::Refused(refusal));
            return;
        }
        self.queue.doubt(pending);
        self.ask_head();
    }

    /// Asks for the store's newest revision, if somebody waits for it.
    fn ask_head(&mut self) {
        if self.heads.is_empty() && self.queue.ask_head() {
            let store = self.store.clone();
            self.heads.spawn(async move { store.head().await });
        }
    }

    /// The newest revision came. Without an answer nothing is refused; the next tick
    /// asks again.
    fn confirm(&mut self, head: &Result<Result<Revision, StoreError>, JoinError>) {
        if let Ok(Ok(head)) = *head {
            self.queue.hear_head(head);
            self.ask_head();
        }
        self.wake();
    }

    fn commit(&mut self, group: Group) {
        self.metrics.group_size.observe(group.members.len() as f64);
        let store = self.store.clone();
        let txns = group
            .members
            .iter()
            .map(|member| member.txn.clone())
            .collect();
        self.commits.spawn(async move {
            let began = Instant::now();
            let result = store.commit(txns).await;
            Outcome {
                group,
                result,
                took: began.elapsed(),
            }
        });
    }

    fn settle(&mut self, outcome: Result<Outcome, JoinError>) {
        let Outcome {
            group,
            result,
            took,
        } = match outcome {
            Ok(outcome) => outcome,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        self.metrics.commit_seconds.observe(took.as_secs_f64());
        match result {
            Ok(committed) => {
                for (member, held) in group.members.into_iter().zip(committed.held) {
                    if held {
                        self.unseen.push(committed.revision, member);
                    } else {
                        self.conflict(member, committed.revision);
                    }
                }
            }
            Err(StoreError::Refused { .. }) if group.members.len() > 1 => {
                self.metrics.splits.inc();
                group.split().for_each(|single| self.commit(single));
            }
            Err(error) => {
                self.metrics.store_errors.inc();
                for Member { pending, txn } in group.members {
                    self.flight.leave(&txn);
                    pending.fail(Failure::Unavailable(error.to_string()));
                }
            }
        }
        self.queue.wake_parked();
        self.wake();
    }

    /// Another's write came first: decide again once it can be seen.
    fn conflict(&mut self, member: Member, revision: Revision) {
        self.metrics.conflicts.inc();
        let Member { mut pending, txn } = member;
        self.flight.leave(&txn);
        pending.conflicts += 1;
        self.spread = Uuid::new_v4().as_u128();
        self.queue.wait_for(revision, pending);
    }

    /// Answers what can be seen now, and decides again what waited for it.
    fn wake(&mut self) {
        let seen = self.state.registry.revision();
        if self.unseen.answer(seen, &mut self.flight) {
            self.queue.wake_parked();
        }
        self.queue.wake_behind(seen);
    }

    fn tick(&mut self) {
        self.wake();
        self.ask_head();
        self.expire();
        if self.state.decides() {
            let due = self.upkeep.due(&mut self.state, &self.flight);
            due.into_iter().for_each(|pending| self.queue.push(pending));
        }
    }

    /// Ends what has waited too long.
    fn expire(&mut self) {
        let (longest, why) = match self.state.why_not_ready() {
            Some(why) => (LONGEST_WAIT_AWAY, why),
            None => (
                LONGEST_WAIT,
                "the request met other writes all the time".into(),
            ),
        };
        for pending in self.queue.take_late(longest) {
            pending.fail(Failure::Unavailable(why.clone()));
        }
        self.unseen.answer_late(longest);
    }

    /// Lets what is being committed come to its end, then answers the rest.
    async fn drain(mut self) {
        while let Some(outcome) = self.commits.join_next().await {
            if let Ok(Outcome { group, result, .. }) = outcome {
                let committed = result.ok();
                for (place, Member { pending, .. }) in group.members.into_iter().enumerate() {
                    match &committed {
                        Some(committed) if committed.held.get(place) == Some(&true) => {
                            pending.attempt.finish(Ok(committed.revision));
                        }
                        Some(_) | None => pending.fail(super::stopping()),
                    }
                }
            }
        }
        self.unseen.answer_all();
    }
}
