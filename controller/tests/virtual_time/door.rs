//! One controller's way to the store: calls take time, their order is not the order in
//! which they are applied, and what is not answered may have been done, or be done yet.

use std::{
    fmt,
    future::pending,
    ops::{Range, RangeInclusive},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use controller::store::{Committed, KeptAlive, Loaded, Store, StoreError, WatchEvent};
use overlay::txn::{Revision, Transaction, TtlId};
use tokio::{sync::mpsc, time::sleep};
use tokio_util::sync::CancellationToken;
use tonic::async_trait;

use crate::{dice::Dice, store::Value, weather::Weather};

/// How long whoever asks waits for an answer that does not come.
const TIMEOUT: Duration = Duration::from_secs(3);
const READ_AHEAD: usize = 16;
const LOOK_EVERY: Duration = Duration::from_millis(250);

#[derive(Clone)]
pub struct Door {
    value: Value,
    weather: Arc<Weather>,
    dice: Arc<Mutex<Dice>>,
    /// Nothing goes through either way, until it is open again.
    shut: Arc<AtomicBool>,
    /// Who asks is no more: nothing goes through ever again.
    dead: CancellationToken,
    /// What its controller has seen: from each load to the last revision after it.
    seen: Arc<Mutex<Vec<RangeInclusive<Revision>>>>,
}

/// What becomes of one call.
enum Fate {
    Done,
    LostAsk,
    LostAnswer,
    Late(Duration),
}

impl Door {
    pub fn new(value: Value, weather: Arc<Weather>, dice: Dice) -> Self {
        Self {
            value,
            weather,
            dice: Arc::new(Mutex::new(dice)),
            shut: Arc::default(),
            dead: CancellationToken::new(),
            seen: Arc::default(),
        }
    }

    pub fn shut(&self, shut: bool) {
        self.shut.store(shut, Ordering::Relaxed);
    }

    /// Its controller is no more.
    pub fn die(&self) {
        self.dead.cancel();
    }

    /// Has its controller seen the store at one of these revisions?
    pub fn saw(&self, some: &Range<Revision>) -> bool {
        let overlaps =
            |seen: &RangeInclusive<Revision>| *seen.start() < some.end && *seen.end() >= some.start;
        locked(&self.seen).iter().any(overlaps)
    }

    fn is_shut(&self) -> bool {
        self.shut.load(Ordering::Relaxed)
    }

    fn roll<T>(&self, roll: impl FnOnce(&mut Dice) -> T) -> T {
        roll(&mut locked(&self.dice))
    }

    fn fate(&self) -> Fate {
        let weather = &self.weather;
        self.roll(|dice| {
            if weather.strikes(dice, weather.lost_asks) {
                Fate::LostAsk
            } else if weather.strikes(dice, weather.lost_answers) {
                Fate::LostAnswer
            } else if weather.strikes(dice, weather.late_asks) {
                Fate::Late(dice.pause(TIMEOUT * 2))
            } else {
                Fate::Done
            }
        })
    }

    async fn way(&self) {
        let pause = self.roll(|dice| self.weather.pause(dice, self.weather.store_delay));
        sleep(pause).await;
        if self.dead.is_cancelled() {
            pending::<()>().await;
        }
    }

    async fn call<T: Send + 'static>(
        &self,
        what: &'static str,
        act: impl FnOnce(&Value) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let unavailable = || StoreError::Unavailable {
            what,
            reason: "it was decided so".into(),
        };
        let fate = self.fate();
        self.way().await;
        if self.is_shut() {
            sleep(self.roll(|dice| dice.pause(TIMEOUT))).await;
            return Err(unavailable());
        }
        let answer = match fate {
            Fate::Done => act(&self.value),
            Fate::LostAsk => Err(unavailable()),
            Fate::LostAnswer => {
                // It is done, or refused; nobody will hear which.
                let _ = act(&self.value);
                Err(unavailable())
            }
            Fate::Late(late) => {
                let value = self.value.clone();
                tokio::spawn(async move {
                    sleep(late).await;
                    let _ = act(&value);
                });
                Err(unavailable())
            }
        };
        self.way().await;
        if self.is_shut() {
            sleep(self.roll(|dice| dice.pause(TIMEOUT))).await;
            return Err(unavailable());
        }
        answer
    }

    async fn opens(&self) {
        while self.is_shut() {
            sleep(LOOK_EVERY).await;
        }
    }

    /// A watch over a way that is shut ends when it has been so for a while.
    async fn gives_up(&self) {
        let mut looks = 0;
        while looks < 20 {
            sleep(LOOK_EVERY).await;
            looks = if self.is_shut() { looks + 1 } else { 0 };
        }
    }

    /// Hands a watch on, with what may become of it on the way.
    async fn tell(self, mut from: mpsc::Receiver<WatchEvent>, to: mpsc::Sender<WatchEvent>) {
        let lost = |reason: &str| {
            WatchEvent::Lost(StoreError::Unavailable {
                what: "a watch",
                reason: reason.into(),
            })
        };
        loop {
            // Cancel-safe: what was not received is still there.
            let event = tokio::select! {
                event = from.recv() => event,
                () = to.closed() => return,
                () = self.dead.cancelled() => return to.closed().await,
                () = self.gives_up() => Some(lost("the store is away")),
            };
            let Some(event) = event else { return };
            let weather = &self.weather;
            let (lag, ends, how) = self.roll(|dice| {
                let lag = weather.pause(dice, weather.watch_lag);
                let ends = weather.strikes(dice, weather.watch_ends);
                (lag, ends, dice.below(3))
            });
            sleep(lag).await;
            let event = tokio::select! {
                () = self.opens() => event,
                () = self.gives_up() => lost("the store is away"),
            };
            let event = match (ends, how) {
                (false, _) => event,
                (true, 0) => return,
                (true, 1) => lost("it was decided so"),
                // What it was about to tell is not kept any more.
                (true, _) => WatchEvent::Compacted,
            };
            let over = !matches!(event, WatchEvent::Batch(_));
            if let WatchEvent::Batch(batch) = &event
                && let Some(seen) = locked(&self.seen).last_mut()
            {
                *seen = *seen.start()..=batch.revision;
            }
            if to.send(event).await.is_err() || over {
                return;
            }
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for Door {
    fn describe(&self) -> String {
        self.value.describe()
    }

    fn group_budget(&self) -> usize {
        self.value.group_budget()
    }

    fn groups_in_flight(&self) -> usize {
        self.value.groups_in_flight()
    }

    async fn load(&self) -> Result<Loaded, StoreError> {
        self.call("a load", |value| Ok(value.loaded())).await
    }

    async fn head(&self) -> Result<Revision, StoreError> {
        self.call("a read of its revision", |value| Ok(value.revision()))
            .await
    }

    async fn commit(&self, group: Vec<Transaction>) -> Result<Committed, StoreError> {
        self.call("a commit", |value| value.judge(group)).await
    }

    async fn watch(&self, after: Revision) -> Result<mpsc::Receiver<WatchEvent>, StoreError> {
        self.call("a watch", |_| Ok(())).await?;
        // What was loaded is handed on once there is a watch after it.
        locked(&self.seen).push(after..=after);
        let from = self.value.watch(after).await?;
        let (to, receiver) = mpsc::channel(READ_AHEAD);
        tokio::spawn(self.clone().tell(from, to));
        Ok(receiver)
    }

    async fn grant(&self, ttl: Duration) -> Result<TtlId, StoreError> {
        self.call("a grant", move |value| Ok(value.new_ttl(ttl)))
            .await
    }

    async fn keep_alive(&self, ttl: TtlId) -> Result<KeptAlive, StoreError> {
        self.call("a keepalive", move |value| Ok(value.renew(ttl)))
            .await
    }

    async fn revoke(&self, ttl: TtlId) -> Result<(), StoreError> {
        self.call("a revoke", move |value| {
            value.end(ttl);
            Ok(())
        })
        .await
    }
}
