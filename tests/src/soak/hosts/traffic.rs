//! What goes on between containers all the time: pings that never end, and TCP streams
//! from one quiet moment to the next.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::Result;

use super::{
    judge::{Loss, Way},
    stage::Stage,
};
use crate::{
    dice::Dice,
    lab::{Container, Lost, Pinger, Stream},
};

/// A block of 8 KB each: some hundred KB a second.
const PACE: Duration = Duration::from_millis(20);
const STREAMS: usize = 3;

pub struct Traffic {
    start: Instant,
    flows: Mutex<Vec<Flow>>,
    told: Mutex<Told>,
    streams: Mutex<Vec<(String, Stream)>>,
}

struct Flow {
    way: Way,
    pinger: Pinger,
}

/// Of flows that are no more.
#[derive(Default)]
struct Told {
    flows: usize,
    sent: u64,
    losses: Vec<Loss>,
}

/// What all streams carried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Carried {
    pub streams: usize,
    pub bytes: u64,
    pub longest_pause: Duration,
}

impl Traffic {
    pub fn new(start: Instant) -> Self {
        Self {
            start,
            flows: Mutex::default(),
            told: Mutex::default(),
            streams: Mutex::default(),
        }
    }

    /// Pings from a host's containers round the ring of hosts and to some host that the
    /// dice choose, in both families. Those that there are already stay.
    pub fn begin(&self, stage: &Stage, host: u32, dice: &mut Dice) -> Result<()> {
        let inhabited = stage.inhabited();
        let Some(place) = inhabited.iter().position(|one| *one == host) else {
            return Ok(());
        };
        if inhabited.len() < 2 {
            return Ok(());
        }
        let beside = |step: usize| inhabited[(place + step) % inhabited.len()];
        let ring = [(host, beside(1)), (beside(inhabited.len() - 1), host)];
        let chance = (host, beside(1 + dice.below(inhabited.len() - 1)));
        let homes = stage.homes();
        for (pair, container) in ring.into_iter().zip([0, 0]).chain([(chance, 1)]) {
            let (from, to) = pair;
            let (Some(here), Some(there)) = (homes.get(&from), homes.get(&to)) else {
                continue;
            };
            self.ping(stage, (from, &here[container]), (to, &there[container]))?;
        }
        Ok(())
    }

    /// Ends the flows of a host, which is about to leave; none: of all.
    pub fn end(&self, host: Option<u32>) -> Result<()> {
        let concerned = |flow: &mut Flow| {
            let Way { from, to, .. } = flow.way;
            host.is_none_or(|host| [from, to].contains(&host))
        };
        let ended: Vec<Flow> = lock(&self.flows).extract_if(.., concerned).collect();
        ended.iter().for_each(|flow| flow.pinger.stop());
        for Flow { way, pinger } in ended {
            let pinged = pinger.finish()?;
            let mut told = lock(&self.told);
            told.sent += pinged.sent;
            let losses = pinged.losses.iter().map(|lost| self.loss(&way, lost));
            told.losses.extend(losses);
        }
        Ok(())
    }

    pub fn sent(&self) -> u64 {
        let going: u64 = lock(&self.flows)
            .iter()
            .map(|flow| flow.pinger.sent())
            .sum();
        going + lock(&self.told).sent
    }

    pub fn flows(&self) -> usize {
        lock(&self.flows).len()
    }

    /// What was sent before a moment and not answered; each is told of once.
    pub fn losses_before(&self, moment: Instant) -> Vec<Loss> {
        let mut losses = std::mem::take(&mut lock(&self.told).losses);
        for Flow { way, pinger } in lock(&self.flows).iter() {
            let lost = pinger.lost_before(moment);
            losses.extend(lost.iter().map(|lost| self.loss(way, lost)));
        }
        losses
    }

    pub fn begin_streams(
        &self,
        stage: &Stage,
        without: Option<u32>,
        dice: &mut Dice,
    ) -> Result<()> {
        let homes = stage.homes();
        let hosts: Vec<u32> = homes
            .keys()
            .copied()
            .filter(|host| Some(*host) != without)
            .collect();
        if hosts.len() < 2 {
            return Ok(());
        }
        for number in 0..STREAMS {
            let from = dice.below(hosts.len());
            let to = (from + 1 + dice.below(hosts.len() - 1)) % hosts.len();
            let (from, to) = (hosts[from], hosts[to]);
            let there = &homes[&to][1];
            let address = there.addresses[number % there.addresses.len()];
            let stream = Stream::every(PACE, &homes[&from][1], there, address)?;
            let name = format!("TCP h{from} -> h{to} {address}");
            lock(&self.streams).push((name, stream));
        }
        Ok(())
    }

    /// All of it must arrive as it was sent.
    pub fn end_streams(&self, stage: &Stage) -> Carried {
        let mut carried = Carried::default();
        let streams = std::mem::take(&mut *lock(&self.streams));
        for (name, stream) in streams {
            match stream.finish() {
                Ok(streamed) => {
                    carried.streams += 1;
                    carried.bytes += streamed.bytes;
                    carried.longest_pause = carried.longest_pause.max(streamed.longest_pause);
                }
                Err(error) => stage.violation(format!("{name}: {error:#}")),
            }
        }
        carried
    }

    fn ping(&self, stage: &Stage, from: (u32, &Container), to: (u32, &Container)) -> Result<()> {
        let ((from, here), (to, there)) = (from, to);
        for address in &there.addresses {
            let name = format!("h{from} {} -> h{to} {address}", here.name());
            if lock(&self.flows).iter().any(|flow| flow.way.name == name) {
                continue;
            }
            let pinger = Pinger::every(stage.plan.ping_every, here, *address)?;
            let mut told = lock(&self.told);
            let way = Way {
                number: told.flows,
                name,
                from,
                to,
            };
            told.flows += 1;
            drop(told);
            lock(&self.flows).push(Flow { way, pinger });
        }
        Ok(())
    }

    fn loss(&self, way: &Way, lost: &Lost) -> Loss {
        Loss {
            way: way.clone(),
            number: lost.number,
            from: lost.before.saturating_duration_since(self.start),
            to: lost.after.saturating_duration_since(self.start),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
