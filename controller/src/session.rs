//! One agent's session, from its hello to its end. One task drives it.
//!
//! It holds a place in the feed for every network its agent has joined, and nothing
//! that grows: a reader that does not read is coalesced, resynchronised, and in the
//! end dropped.

mod endpoints;
mod goodbye;
mod words;

use std::{collections::BTreeMap, time::Duration};

use futures_channel::mpsc;
use futures_util::SinkExt;
use overlay::{
    decide::session,
    id::SessionId,
    name::{NetworkName, NodeName},
    record::Lease,
    registry::{Registry, Stored},
    txn::Revision,
};
use proto::{
    decode::{Hello, Join},
    encode,
    encoded::Encoded,
    v1::{self, controller_message::Message},
};
use tokio::{
    sync::{
        oneshot,
        watch::{self, error::RecvError},
    },
    time::{Instant, sleep, sleep_until},
};
use tonic::{Status, Streaming};
use tracing::{debug, info, warn};

use crate::{
    feed::Feed,
    keeper::{Failure, Keeper},
    listener::Peer,
    metrics::Metrics,
    roster::End,
    seats::Seat,
    services::{agent::Sessions, status},
};

/// How long a session waits for this controller to see what its agent has seen.
const CATCH_UP: Duration = Duration::from_secs(5);
/// What happens within this time after an agent was told something is told together: a
/// fleet that starts at once makes hundreds of changes, and each has to go to each.
const TOGETHER: Duration = Duration::from_millis(50);

/// One agent's stream. Of all channels this is the one that costs little while it is
/// empty, and there are ten thousand.
pub type Output = mpsc::Sender<Result<Encoded, Status>>;
/// Messages on their way into one stream.
pub const BACKLOG: usize = 1;

/// A network the agent has joined, as it begins to be told of it.
pub struct Joined {
    pub network: NetworkName,
    pub lease: Lease,
    pub revision: Revision,
    /// What the agent holds of it already.
    pub held: Revision,
}

pub struct Session {
    keeper: Keeper,
    metrics: Metrics,
    feed: watch::Receiver<Feed>,
    node: NodeName,
    sid: SessionId,
    cluster: String,
    /// Whether the agent's revisions are of this history.
    same_cluster: bool,
    places: BTreeMap<NetworkName, Revision>,
    hearing: Option<Box<endpoints::Hearing>>,
    written: endpoints::Written,
    end: oneshot::Receiver<End>,
    output: Output,
    peer: Peer,
    /// A reader that takes nothing for this long is dropped.
    stuck_after: Duration,
    /// Given back when the session is over.
    _seat: Seat,
}

/// Why a session is over.
enum Over {
    /// The agent closed it, or its connection broke.
    Gone,
    Ended(End),
    Stuck,
    Failed(Failure),
}

impl Session {
    /// Enters a session that was opened in the store.
    pub async fn enter(
        sessions: &Sessions,
        hello: &Hello,
        peer: Peer,
        seat: Seat,
        output: Output,
    ) -> Result<Self, Failure> {
        let keeper = sessions.keeper.clone();
        let (node, sid) = (hello.node.clone(), hello.sid);
        let (version, address) = (hello.version.clone(), peer.address);
        let networks: Vec<NetworkName> = hello
            .joins
            .iter()
            .map(|join| join.network.clone())
            .collect();
        let line = hello.answers.then(|| output.clone());
        let end = keeper
            .with(move |state| {
                let current = is_current(state.registry(), &node, sid);
                let end = state
                    .roster
                    .enter(node.clone(), sid, address, version, networks, line);
                // It may have been taken over since it was opened.
                if !current {
                    state.roster.end(&node, End::TakenOver);
                }
                end
            })
            .await?;
        let feed = keeper.feed();
        let cluster = feed.borrow().cluster().to_owned();
        Ok(Self {
            same_cluster: hello.cluster == cluster,
            keeper,
            metrics: sessions.metrics.clone(),
            feed,
            node: hello.node.clone(),
            sid,
            cluster,
            places: BTreeMap::new(),
            hearing: None,
            written: endpoints::Written::default(),
            end,
            output,
            peer,
            stuck_after: sessions.stuck_after,
            _seat: seat,
        })
    }

    /// Runs to its end, and cleans up after it.
    ///
    /// `joined` was granted with the session; `left` is yet to be joined, one by one.
    #[expect(
        clippy::manual_async_fn,
        reason = "an async fn holds what it is given twice, and there are ten thousand"
    )]
    pub fn run(
        mut self,
        joined: Vec<Joined>,
        left: Vec<Join>,
        mut input: Streaming<v1::AgentMessage>,
    ) -> impl Future<Output = ()> {
        async move {
            // What happens once or seldom is boxed: ten thousand sessions wait in `talk`.
            let over = match Box::pin(self.begin(joined, left)).await {
                Ok(()) => self.talk(&mut input).await,
                Err(over) => over,
            };
            Box::pin(self.close(over, &mut input)).await;
        }
    }

    async fn begin(&mut self, joined: Vec<Joined>, left: Vec<Join>) -> Result<(), Over> {
        let ctl = self
            .keeper
            .with(|state| state.ctl)
            .await
            .map_err(Over::Failed)?;
        let revision = self.feed.borrow().revision();
        let welcome = Message::Welcome(v1::Welcome {
            controller: ctl.to_string(),
            cluster: self.cluster.clone(),
            revision,
        });
        self.send(welcome.into()).await?;
        for joined in joined {
            self.start(joined).await?;
        }
        for join in left {
            self.enter_network(join).await?;
        }
        Ok(())
    }

    /// Tells the agent of a network from what it holds of it, or from a snapshot.
    async fn start(&mut self, joined: Joined) -> Result<(), Over> {
        let Joined {
            network,
            lease,
            revision,
            held,
        } = joined;
        let (of, node) = (network.clone(), self.node.clone());
        let message = self.keeper.with(move |state| {
            let space = state.registry().space(&of);
            let record = space.and_then(|space| space.network());
            let lease = Stored {
                revision,
                value: lease,
            };
            Message::Joined(v1::Joined {
                network: record.map(|record| encode::network(record, None)),
                lease: Some(encode::lease(&of, &node, &lease, state.clock.now())),
                endpoints: space.map_or(0, |space| space.attached().count(&node) as u64),
            })
        });
        let message = message.await.map_err(Over::Failed)?;
        self.send(message.into()).await?;
        // What a snapshot does not hold yet, or what was missed, is told next.
        self.feed.mark_changed();
        let known = self.same_cluster && held > 0;
        if known
            && self
                .keeper
                .reach(held, CATCH_UP)
                .await
                .map_err(Over::Failed)?
        {
            return self.resume(network, held).await;
        }
        self.resync(network).await
    }

    /// Tells what was missed, and that this was all: the agent may have read what it holds
    /// from a disk that is older than its kernel.
    async fn resume(&mut self, network: NetworkName, held: Revision) -> Result<(), Over> {
        let (missed, revision) = {
            let feed = self.feed.borrow();
            (feed.next(&network, held), feed.revision().max(held))
        };
        let Ok(missed) = missed else {
            self.metrics.resyncs.inc();
            return self.resync(network).await;
        };
        for message in missed.messages {
            self.send(message).await?;
        }
        let bookmark = Message::Bookmark(v1::Bookmark {
            network: network.to_string(),
            revision,
        });
        self.send(bookmark.into()).await?;
        self.places.insert(network, revision);
        Ok(())
    }

    async fn resync(&mut self, network: NetworkName) -> Result<(), Over> {
        let of = network.clone();
        let snapshot = self.keeper.with(move |state| state.snapshot(&of)).await;
        let snapshot = snapshot.map_err(Over::Failed)?;
        for part in snapshot.parts {
            self.send(part).await?;
        }
        self.places.insert(network, snapshot.revision);
        Ok(())
    }

    async fn talk(&mut self, input: &mut Streaming<v1::AgentMessage>) -> Over {
        let mut next = Instant::now();
        loop {
            // Every arm is cancel-safe: a time that has come is found to have come
            // again, a change stays marked as new until it is seen, and a message is
            // either returned or still in the stream.
            let heard = tokio::select! {
                end = &mut self.end => return Over::Ended(end.unwrap_or(End::TakenOver)),
                changed = news(&mut self.feed, next) => {
                    if changed.is_err() {
                        return Over::Ended(End::Move("this controller is stopping".into()));
                    }
                    match self.deliver().await {
                        Ok(true) => next = Instant::now() + TOGETHER,
                        Ok(false) => {}
                        Err(over) => return over,
                    }
                    continue;
                }
                message = input.message() => message,
            };
            let message = match heard {
                Ok(Some(message)) => message,
                Ok(None) | Err(_) => return Over::Gone,
            };
            if let Some(message) = message.message
                && let Err(over) = Box::pin(self.hear(message)).await
            {
                return over;
            }
        }
    }

    /// Sends what the feed has beyond this session's places. Was there anything?
    async fn deliver(&mut self) -> Result<bool, Over> {
        // All networks in one look: what comes after it is news again.
        let nexts: Vec<_> = {
            let feed = self.feed.borrow_and_update();
            let places = self.places.iter();
            let next = |(network, place): (&NetworkName, &Revision)| {
                (network.clone(), feed.next(network, *place))
            };
            places.map(next).collect()
        };
        let mut told = false;
        for (network, next) in nexts {
            match next {
                Ok(next) => {
                    told |= !next.messages.is_empty();
                    for message in next.messages {
                        self.send(message).await?;
                    }
                    self.places.insert(network, next.place);
                }
                Err(_) => {
                    self.metrics.resyncs.inc();
                    debug!(node = %self.node, %network, "a slow stream starts over from a snapshot");
                    Box::pin(self.resync(network)).await?;
                    told = true;
                }
            }
        }
        Ok(told)
    }

    /// Hands one message to the stream, for as long as a reader may take.
    async fn send(&mut self, message: Encoded) -> Result<(), Over> {
        // Cancel-safe: when another arm wins, the session is over anyway.
        tokio::select! {
            sent = self.output.send(Ok(message)) => sent.map_err(|_| Over::Gone),
            end = &mut self.end => Err(Over::Ended(end.unwrap_or(End::TakenOver))),
            () = sleep(self.stuck_after) => Err(Over::Stuck),
        }
    }

    async fn close(self, over: Over, input: &mut Streaming<v1::AgentMessage>) {
        let Self {
            keeper,
            metrics,
            node,
            sid,
            mut output,
            peer,
            ..
        } = self;
        let last = match over {
            Over::Gone => {
                info!(%node, "agent disconnected");
                None
            }
            Over::Stuck => {
                metrics.stuck_readers.inc();
                warn!(%node, "the agent reads nothing: dropping its connection");
                peer.kill.cancel();
                None
            }
            Over::Failed(failure) => Some(status(&failure)),
            Over::Ended(end) => {
                goodbye::say(&end, &node, &mut output, input).await;
                return;
            }
        };
        if let Some(last) = last {
            // The reader may be gone, or not reading; the stream ends all the same.
            let _ = output.try_send(Err(last));
        }
        let leaving = node.clone();
        keeper
            .tell(move |state| state.roster.leave(&leaving, sid))
            .await;
        let of = node.clone();
        let closed = keeper
            .write(move |view| session::close(view, &of, sid))
            .await;
        if let Err(Failure::Unavailable(reason)) = closed {
            debug!(%node, reason, "could not close the session in the store; it ends by itself");
        }
    }
}

/// Something new in the feed, from a time on.
async fn news(feed: &mut watch::Receiver<Feed>, from: Instant) -> Result<(), RecvError> {
    sleep_until(from).await;
    feed.changed().await
}

fn is_current(registry: &Registry, node: &NodeName, sid: SessionId) -> bool {
    registry
        .sessions()
        .get(node)
        .is_some_and(|session| session.value.sid == sid)
}
