//! How often who has no certificate may ask, by address and in all.

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// One address may ask so often at once, and then once in this time.
const BURST: u32 = 20;
const EVERY: Duration = Duration::from_millis(500);
/// All of them together.
const BURST_OF_ALL: u32 = 500;
const EVERY_OF_ALL: Duration = Duration::from_millis(5);
/// So many addresses are remembered.
const MOST: usize = 10_000;

#[derive(Debug, Clone, Copy)]
struct Bucket {
    used: f64,
    at: Instant,
}

impl Bucket {
    fn take(&mut self, now: Instant, burst: u32, every: Duration) -> bool {
        let leaked = now.duration_since(self.at).as_secs_f64() / every.as_secs_f64();
        (self.used, self.at) = ((self.used - leaked).max(0.0), now);
        let room = self.used + 1.0 <= f64::from(burst);
        if room {
            self.used += 1.0;
        }
        room
    }
}

#[derive(Debug)]
pub struct Rate(Mutex<State>);

#[derive(Debug)]
struct State {
    all: Bucket,
    each: BTreeMap<IpAddr, Bucket>,
}

impl Default for Rate {
    fn default() -> Self {
        let all = Bucket {
            used: 0.0,
            at: Instant::now(),
        };
        let each = BTreeMap::new();
        Self(Mutex::new(State { all, each }))
    }
}

impl Rate {
    /// May this address ask now?
    pub fn take(&self, address: IpAddr) -> bool {
        let now = Instant::now();
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.each.len() >= MOST {
            // Who has asked nothing for as long as a burst takes has all of it again.
            let idle = EVERY * BURST;
            state
                .each
                .retain(|_, bucket| now.duration_since(bucket.at) < idle);
        }
        if state.each.len() >= MOST && !state.each.contains_key(&address) {
            return false;
        }
        let fresh = Bucket { used: 0.0, at: now };
        let own = state.each.entry(address).or_insert(fresh);
        own.take(now, BURST, EVERY) && state.all.take(now, BURST_OF_ALL, EVERY_OF_ALL)
    }
}

#[cfg(test)]
mod tests;
