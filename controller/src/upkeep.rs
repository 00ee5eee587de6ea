//! Lapse and reclaim, paced: what ends by itself is ended by any controller, a few
//! at a time, and by none whose clock cannot be trusted.

use std::{
    collections::BTreeMap,
    hash::{DefaultHasher, Hash, Hasher},
    time::Duration,
};

use overlay::{
    decide::{
        Decision, Refusal, View,
        decay::{self, Due, Patience, Seen},
        session,
        trust::forget_token,
    },
    flight::Flight,
    id::{ControllerId, SessionId},
    name::{NetworkName, NodeName},
    record::LeaseKind,
    txn::Revision,
};
use tokio::{sync::oneshot, time::Instant};
use tracing::{info, warn};

use crate::keeper::{Ask, Pending, State};

/// A controller whose clock is further from another's than half of the allowance for
/// skew ends nothing; below this nobody's clock can be told to be off.
const CLOCKS_TOGETHER: Duration = Duration::from_secs(1);
/// The most that is begun in a second.
const PACE: f64 = 50.0;
/// A session record of this controller without a stream is closed after this: its
/// open was committed when the agent was gone already.
const STRAY_AFTER: Duration = Duration::from_secs(15);
/// A token that is over is remembered so long, to say so to who brings it.
const TOKENS_STAY: Duration = Duration::from_secs(86_400);
const TOKENS_AT_ONCE: usize = 20;
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const SHORTEST_PAUSE: Duration = Duration::from_millis(200);

pub struct Upkeep {
    patience: Patience,
    pause: Duration,
    next: Instant,
    /// Since when nodes have had no session, by the monotonic clock.
    absent: BTreeMap<NodeName, Instant>,
    /// Since when leases that end by time are at their revision.
    unchanged: BTreeMap<(NetworkName, NodeName), (Revision, Instant)>,
    /// Where the last round ended: what cannot be settled must not keep the rest waiting.
    last: Option<Due>,
    /// Since when session records of this controller have had no stream.
    strays: BTreeMap<(NodeName, SessionId), Instant>,
}

impl Upkeep {
    pub fn new(patience: Patience) -> Self {
        let pause = (patience.grace / 12).clamp(SHORTEST_PAUSE, LONGEST_PAUSE);
        Self {
            patience,
            pause,
            next: Instant::now() + pause,
            absent: BTreeMap::new(),
            unchanged: BTreeMap::new(),
            last: None,
            strays: BTreeMap::new(),
        }
    }

    /// The requests to end what is due, at most once a pause.
    pub fn due(&mut self, state: &mut State, flight: &Flight) -> Vec<Pending> {
        let now = Instant::now();
        if now < self.next {
            return Vec::new();
        }
        self.next = now + self.pause;
        self.observe(state, now);
        let mut wanted = self.close_strays(state, now);
        wanted.extend(forget_tokens(state));
        if hold_for_clocks(state, self.patience.skew) {
            return wanted;
        }
        let view = View {
            registry: state.registry(),
            flight,
            ctl: state.ctl,
            now: state.clock.now(),
            spread: 0,
        };
        let ctl = state.ctl;
        let seen = self.seen(now);
        let due = decay::due(&view, &seen, &self.patience, |node| jitter(node, ctl));
        let patience = self.patience;
        let most = (PACE * self.pause.as_secs_f64()).ceil() as usize;
        let round = self.round(due, most);
        wanted.extend(round.into_iter().map(|due| {
            unanswered(move |view| {
                let decision = decay::settle(view, &patience, &due)?;
                log(&due);
                Ok(decision)
            })
        }));
        wanted
    }

    /// The next of what is due, from where the last round ended.
    fn round(&mut self, mut due: Vec<Due>, most: usize) -> Vec<Due> {
        due.sort_unstable();
        let first = due.partition_point(|due| self.last.as_ref().is_some_and(|last| due <= last));
        due.rotate_left(first);
        due.truncate(most);
        self.last = due.last().cloned();
        due
    }

    /// Requests to close the session records of this controller that no stream is
    /// behind. A node must not look alive because its agent went away too early.
    fn close_strays(&mut self, state: &State, now: Instant) -> Vec<Pending> {
        let here = |node, sid| state.roster.get(node).is_some_and(|here| here.sid == sid);
        let strays = state
            .registry()
            .sessions()
            .iter()
            .filter_map(|(node, session)| {
                let session = &session.value;
                let stray = session.ctl == state.ctl && !here(node, session.sid);
                stray.then(|| (node.clone(), session.sid))
            });
        let strays: BTreeMap<_, _> = strays
            .map(|stray| {
                let since = self.strays.get(&stray).copied().unwrap_or(now);
                (stray, since)
            })
            .collect();
        self.strays = strays;
        let old = self
            .strays
            .iter()
            .filter(|(_, since)| now - **since >= STRAY_AFTER);
        old.map(|((node, sid), _)| {
            info!(%node, "closing a session that no agent is behind");
            let (node, sid) = (node.clone(), *sid);
            unanswered(move |view| session::close(view, &node, sid))
        })
        .collect()
    }

    fn observe(&mut self, state: &State, now: Instant) {
        let registry = state.registry();
        let mut absent = BTreeMap::new();
        let mut unchanged = BTreeMap::new();
        for (network, space) in registry.spaces() {
            for (node, lease) in space.leases() {
                if registry.sessions().contains_key(node) {
                    continue;
                }
                if lease.value.kind == LeaseKind::Agent && lease.value.gone_at.is_none() {
                    let since = self.absent.get(node).copied().unwrap_or(now);
                    absent.insert(node.clone(), since);
                }
                if lease.value.expires_at.is_some() {
                    let key = (network.clone(), node.clone());
                    let since = match self.unchanged.get(&key) {
                        Some((revision, since)) if *revision == lease.revision => *since,
                        Some(_) | None => now,
                    };
                    unchanged.insert(key, (lease.revision, since));
                }
            }
        }
        (self.absent, self.unchanged) = (absent, unchanged);
    }

    fn seen(&self, now: Instant) -> Seen {
        Seen {
            absent: self
                .absent
                .iter()
                .map(|(node, since)| (node.clone(), now - *since))
                .collect(),
            unchanged: self
                .unchanged
                .iter()
                .map(|(key, (revision, since))| (key.clone(), (*revision, now - *since)))
                .collect(),
        }
    }
}

/// Requests to forget tokens whose time is long over.
fn forget_tokens(state: &State) -> impl Iterator<Item = Pending> {
    let now = state.clock.now();
    let tokens = state.registry().tokens().iter();
    let over = tokens.filter(move |(_, token)| now.since(token.value.expires_at) >= TOKENS_STAY);
    over.take(TOKENS_AT_ONCE)
        .map(|(id, _)| *id)
        .map(|id| unanswered(move |view| forget_token(view, id)))
}

/// A request that nobody waits for: what is still due is due again.
fn unanswered(
    decide: impl FnMut(&View<'_>) -> Result<Decision<()>, Refusal> + Send + 'static,
) -> Pending {
    let (reply, _) = oneshot::channel();
    Pending::new(Box::new(Ask::new(decide, reply)))
}

/// Says so, once, when this controller's clock is off from another's.
fn hold_for_clocks(state: &mut State, skew: Duration) -> bool {
    let apart = (skew / 2).max(CLOCKS_TOGETHER).as_millis();
    let off = state
        .offsets
        .iter()
        .find(|(_, offset)| u128::from(offset.unsigned_abs()) > apart);
    let held = off.map_or(String::new(), |(id, offset)| {
        format!("the clock of controller {id} is {offset} ms off this one's: nothing lapses or is reclaimed here until they agree")
    });
    if held.is_empty() != state.upkeep_held.is_empty() {
        if held.is_empty() {
            info!("the clocks agree again: leases lapse and are reclaimed");
        } else {
            warn!(reason = %held, "holding back lapse and reclaim");
        }
    }
    state.upkeep_held = held;
    !state.upkeep_held.is_empty()
}

/// From 0 to 1, another for each node and controller: no two begin at the same moment.
fn jitter(node: &NodeName, ctl: ControllerId) -> f64 {
    let mut hasher = DefaultHasher::new();
    (node, ctl).hash(&mut hasher);
    hasher.finish() as f64 / u64::MAX as f64
}

fn log(due: &Due) {
    match due {
        Due::Lapse(network, node) => info!(%network, %node, "the node is gone: its lease lapses"),
        Due::Reclaim(network, node) => info!(%network, %node, "reclaiming the lease"),
        Due::End(network, node) => info!(%network, %node, "ending the lease"),
        Due::Unclaim(network, subnet) => {
            info!(%network, %subnet, "giving back a subnet that no lease stands behind");
        }
        Due::Sweep(network, node) => {
            info!(%network, %node, "sweeping endpoints of a lease that has ended");
        }
        Due::Withdraw(network, node) => info!(%network, %node, "withdrawing the reservation"),
        Due::Forget(_) => {}
        Due::Erase(network) => info!(%network, "the network is empty: erasing it"),
    }
}

#[cfg(test)]
mod tests;
