//! Seats: the store's ttls that this controller's sessions hang on, five hundred to
//! one, so that at rest there is no write per node. One task owns them and keeps
//! them alive; when it cannot, it says so before the sessions end in the store.

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use overlay::{decide::controller::announce, record::Controller, txn::TtlId};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::{
    keeper::{Failure, Keeper},
    store::{KeptAlive, Store, StoreError},
};

/// The expiry of one ttl must not be a storm.
const SEATS_A_TTL: usize = 500;
/// How often a controller says that it is there, and what its clock says.
const ANNOUNCE_EVERY: Duration = Duration::from_secs(30);
/// Words on their way to the task.
const BACKLOG: usize = 1024;

#[derive(Clone)]
pub struct Seats {
    words: mpsc::Sender<Word>,
}

/// A place on one of the ttls, given back when dropped.
pub struct Seat {
    pub ttl: TtlId,
    words: mpsc::Sender<Word>,
}

enum Word {
    Take(oneshot::Sender<Result<TtlId, StoreError>>),
    Leave(TtlId),
}

struct Bench {
    ttl: TtlId,
    taken: usize,
    /// When it was last known to live.
    kept: Instant,
    gone: bool,
}

impl Bench {
    fn new(ttl: TtlId, taken: usize) -> Self {
        Self {
            ttl,
            taken,
            kept: Instant::now(),
            gone: false,
        }
    }
}

pub struct Task {
    store: Arc<dyn Store>,
    keeper: Keeper,
    record: Controller,
    ttl: Duration,
    benches: Vec<Bench>,
    own: Option<TtlId>,
    announced: Option<Instant>,
    words: mpsc::Receiver<Word>,
}

impl Seats {
    pub fn new(
        store: Arc<dyn Store>,
        keeper: Keeper,
        record: Controller,
        ttl: Duration,
    ) -> (Self, Task) {
        let (words, receiver) = mpsc::channel(BACKLOG);
        let task = Task {
            store,
            keeper,
            record,
            ttl,
            benches: Vec::new(),
            own: None,
            announced: None,
            words: receiver,
        };
        (Self { words }, task)
    }

    pub async fn take(&self) -> Result<Seat, Failure> {
        let stopping = || Failure::Unavailable("this controller is stopping".into());
        let (reply, answer) = oneshot::channel();
        self.words
            .send(Word::Take(reply))
            .await
            .map_err(|_| stopping())?;
        let granted = answer.await.map_err(|_| stopping())?;
        let ttl = granted.map_err(|error| Failure::Unavailable(error.to_string()))?;
        Ok(Seat {
            ttl,
            words: self.words.clone(),
        })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let word = Word::Leave(self.ttl);
        if let Err(mpsc::error::TrySendError::Full(word)) = self.words.try_send(word) {
            // Ten thousand sessions may end at once; the count must still come right.
            let words = self.words.clone();
            tokio::spawn(async move { words.send(word).await });
        }
    }
}

impl Task {
    /// Runs until stopped, then ends the ttls, and with them every session left.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut tick = interval(self.pause());
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            // Receiving and ticking lose nothing when the other arm wins.
            tokio::select! {
                () = stop.cancelled() => break,
                word = self.words.recv() => match word {
                    Some(Word::Take(reply)) => {
                        let ttl = self.seat().await;
                        if let Err(Ok(ttl)) = reply.send(ttl) {
                            self.leave(ttl);
                        }
                    }
                    Some(Word::Leave(ttl)) => self.leave(ttl),
                    None => break,
                },
                _ = tick.tick() => {
                    self.keep_alive().await;
                    self.announce().await;
                }
            }
        }
        let revokes = self
            .benches
            .iter()
            .map(|bench| self.store.revoke(bench.ttl));
        for result in join_all(revokes).await {
            if let Err(error) = result {
                warn!(%error, "could not end the sessions in the store; they end by themselves");
            }
        }
    }

    async fn seat(&mut self) -> Result<TtlId, StoreError> {
        let own = self.own;
        let free = |bench: &&mut Bench| bench.taken < SEATS_A_TTL && own != Some(bench.ttl);
        if let Some(bench) = self.benches.iter_mut().find(free) {
            bench.taken += 1;
            return Ok(bench.ttl);
        }
        let ttl = self.store.grant(self.ttl).await?;
        self.benches.push(Bench::new(ttl, 1));
        Ok(ttl)
    }

    fn leave(&mut self, ttl: TtlId) {
        if let Some(bench) = self.benches.iter_mut().find(|bench| bench.ttl == ttl) {
            bench.taken = bench.taken.saturating_sub(1);
        }
    }

    /// Renews every ttl. One that is gone took its sessions with it; their streams
    /// hear of it from the store.
    async fn keep_alive(&mut self) {
        let began = Instant::now();
        let renewals = self
            .benches
            .iter()
            .map(|bench| self.store.keep_alive(bench.ttl));
        let answers = join_all(renewals.map(|renewal| timeout(self.pause(), renewal))).await;
        let mut failed = None;
        for (bench, answer) in self.benches.iter_mut().zip(answers) {
            match answer {
                Ok(Ok(KeptAlive::Alive)) => bench.kept = began,
                Ok(Ok(KeptAlive::Gone)) => {
                    warn!(sessions = bench.taken, "sessions expired in the store");
                    bench.gone = true;
                }
                Ok(Err(error)) => failed = Some(error.to_string()),
                Err(_) => failed = Some("the store does not answer".into()),
            }
        }
        let own = self.own;
        self.benches
            .retain(|bench| !bench.gone && (bench.taken > 0 || own == Some(bench.ttl)));
        self.own = own.filter(|own| self.benches.iter().any(|bench| bench.ttl == *own));
        let oldest = self.benches.iter().map(|bench| bench.kept.elapsed()).max();
        match (failed, oldest) {
            (None, _) => self.keeper.tell(|state| state.reconnected()).await,
            // By the next round it would be past half of the ttl.
            (Some(error), Some(age)) if age + self.pause() > self.ttl / 2 => {
                self.keeper.tell(move |state| state.cut_off(error)).await;
            }
            (Some(error), _) => debug!(error, "could not renew the sessions; trying again"),
        }
    }

    fn pause(&self) -> Duration {
        self.ttl / 6
    }

    /// Says that this controller is there, and what its clock says.
    async fn announce(&mut self) {
        let due = self
            .announced
            .is_none_or(|at| at.elapsed() >= ANNOUNCE_EVERY);
        if self.own.is_some() && !due {
            return;
        }
        let announced = timeout(self.pause(), self.write_record()).await;
        match announced {
            Ok(Ok(())) => self.announced = Some(Instant::now()),
            Ok(Err(error)) => debug!(%error, "could not announce this controller; trying again"),
            Err(_) => debug!("could not announce this controller in time; trying again"),
        }
    }

    async fn write_record(&mut self) -> Result<(), Failure> {
        let unavailable = |error: StoreError| Failure::Unavailable(error.to_string());
        let ttl = match self.own {
            Some(ttl) => ttl,
            None => self.store.grant(self.ttl).await.map_err(unavailable)?,
        };
        if self.own.is_none() {
            self.own = Some(ttl);
            self.benches.push(Bench::new(ttl, 0));
        }
        let record = self.record.clone();
        self.keeper
            .write(move |view| announce(view, &record, ttl))
            .await?;
        Ok(())
    }
}
