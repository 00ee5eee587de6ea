//! All there is: the store, two controllers with views that lag, agents with their
//! streams, and transactions under way.

use std::{collections::BTreeSet, rc::Rc, time::Duration};

use overlay::{
    decide::{View, decay::Patience},
    flight::Flight,
    id::ControllerId,
    record::Lease,
    time::WallMs,
    txn::{Transaction, TtlId},
};
use uuid::Uuid;

use crate::{
    action::Action,
    agent::{Agent, Stream},
    ask::Ask,
    fences::Fence,
    invariants::{self, Violation},
    names::{self, Machine, NAMES, Publish, TICK},
    past::Past,
    store::Snapshot,
};

#[derive(Debug, Clone)]
pub struct World {
    pub head: Rc<Snapshot>,
    /// True time, in ticks.
    pub time: u64,
    pub controllers: [Controller; 2],
    pub agents: Vec<Agent>,
    /// Streams that are over, as their controllers will notice or have noticed.
    pub over: BTreeSet<Stream>,
    pub pending: Vec<Pending>,
    pub past: Past,
    pub fence: Fence,
    pub tickets: u32,
    /// How many lives and sessions each name has begun.
    pub begun: [u16; NAMES],
    pub expired: u8,
}

#[derive(Debug, Clone)]
pub struct Controller {
    pub view: Rc<Snapshot>,
    pub ttl: TtlId,
    /// How far its clock is ahead, in ticks.
    pub ahead: u64,
}

/// A transaction that was decided and that the store has not judged yet.
#[derive(Debug, Clone)]
pub struct Pending {
    pub ticket: u32,
    pub ctl: usize,
    pub ask: Ask,
    pub txn: Rc<Transaction>,
    pub answer: Option<Lease>,
    /// Its controller does not wait for it any more.
    pub given_up: bool,
}

/// Did the step change anything?
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// It was not possible here, or the decision was to do nothing.
    Idle,
    /// The store judged, and these decisions were applied.
    Applied(u32),
}

impl World {
    pub fn new(machines: u8, fence: Fence) -> Self {
        let head = Rc::new(Snapshot::default());
        let controller = |number: usize| Controller {
            view: Rc::clone(&head),
            ttl: TtlId(100 * (number as i64 + 1)),
            ahead: number as u64,
        };
        let agent = |number| Agent {
            machine: Machine {
                number,
                generation: 0,
            },
            tried: Vec::new(),
            opening: None,
            live: None,
        };
        Self {
            controllers: [controller(0), controller(1)],
            agents: (0..machines).map(agent).collect(),
            head,
            time: 1000,
            over: BTreeSet::new(),
            pending: Vec::new(),
            past: Past::default(),
            fence,
            tickets: 0,
            begun: [0; NAMES],
            expired: 0,
        }
    }

    pub fn act(&mut self, action: &Action) -> Result<Outcome, Violation> {
        match action {
            Action::Decide { ticket, ctl, ask } => Ok(self.decide(*ticket, *ctl, ask)),
            Action::Commit { tickets } => self.commit(tickets),
            Action::Lose { ticket } => {
                let Some(lost) = self.take(*ticket) else {
                    return Ok(Outcome::Idle);
                };
                self.fails(&lost);
                Ok(Outcome::Done)
            }
            Action::GiveUp { ticket } => {
                let waiting = |pending: &&mut Pending| pending.ticket == *ticket;
                let Some(pending) = self.pending.iter_mut().find(waiting) else {
                    return Ok(Outcome::Idle);
                };
                pending.given_up = true;
                let pending = pending.clone();
                self.fails(&pending);
                Ok(Outcome::Done)
            }
            Action::Sync { ctl } => {
                if Rc::ptr_eq(&self.controllers[*ctl].view, &self.head) {
                    return Ok(Outcome::Idle);
                }
                self.controllers[*ctl].view = Rc::clone(&self.head);
                Ok(Outcome::Done)
            }
            Action::Tick => {
                self.time += 1;
                Ok(Outcome::Done)
            }
            Action::Expire { ctl } => self.expire(*ctl),
            Action::Break { machine } => {
                let agent = &mut self.agents[usize::from(*machine)];
                let Some(stream) = agent.live.take() else {
                    return Ok(Outcome::Idle);
                };
                self.over.insert(stream);
                Ok(Outcome::Done)
            }
            Action::Reinstall { machine } => {
                let agent = &mut self.agents[usize::from(*machine)];
                agent.machine.generation += 1;
                agent.opening = None;
                let live = agent.live.take();
                self.over.extend(live);
                Ok(Outcome::Done)
            }
        }
    }

    pub fn view<'a>(&'a self, ctl: usize, flight: &'a Flight) -> View<'a> {
        View {
            registry: &self.controllers[ctl].view.registry,
            flight,
            ctl: controller_id(ctl),
            now: wall(self.time + self.controllers[ctl].ahead),
            spread: 0,
        }
    }

    /// Controllers of the model wait for nothing but the bound for skew: grace and
    /// hold only ever take behaviours away.
    pub fn patience(&self) -> Patience {
        let skew = match self.fence {
            Fence::SkewBound => Duration::ZERO,
            _ => TICK,
        };
        Patience {
            grace: Duration::ZERO,
            skew,
            hold: Duration::ZERO,
        }
    }

    /// What a controller waits for.
    pub fn flight(&self, ctl: usize) -> Flight {
        let mut flight = Flight::default();
        if self.fence != Fence::Flight {
            let waited = |pending: &&Pending| pending.ctl == ctl && !pending.given_up;
            for pending in self.pending.iter().filter(waited) {
                flight.enter(&pending.txn);
            }
        }
        flight
    }

    fn decide(&mut self, ticket: u32, ctl: usize, ask: &Ask) -> Outcome {
        if let Ask::Open {
            machine, sid, vtep, ..
        } = ask
        {
            let agent = &self.agents[usize::from(machine.number)];
            let otherwise = |(tried, said): &(u16, Publish)| tried == sid && said != vtep;
            if agent.machine != *machine || agent.tried.iter().any(otherwise) {
                return Outcome::Idle;
            }
        }
        let flight = self.flight(ctl);
        let Ok(mut decision) = self.fence.decide(self, ctl, &flight, ask) else {
            return Outcome::Idle;
        };
        self.fence
            .weaken(ask, &self.controllers[ctl].view, &mut decision.txn);
        if !flight.admits(&decision.txn) {
            return Outcome::Idle;
        }
        if let Some((name, number)) = ask.begins() {
            let begun = &mut self.begun[usize::from(name)];
            *begun = (*begun).max(number % 100 + 1);
        }
        if let Ask::Open {
            name,
            machine,
            sid,
            vtep,
            ..
        } = *ask
        {
            let agent = &mut self.agents[usize::from(machine.number)];
            if !agent.tried.contains(&(sid, vtep)) {
                agent.tried.push((sid, vtep));
                agent.opening = Some(Stream { ctl, name, sid });
                self.over.extend(agent.live.take());
            }
        }
        self.pending.push(Pending {
            ticket,
            ctl,
            ask: ask.clone(),
            txn: Rc::new(decision.txn),
            answer: decision.answer,
            given_up: false,
        });
        Outcome::Done
    }

    fn commit(&mut self, tickets: &[u32]) -> Result<Outcome, Violation> {
        let chosen = |pending: &&Pending| tickets.contains(&pending.ticket);
        let group: Vec<Pending> = self.pending.iter().filter(chosen).cloned().collect();
        if group.is_empty() {
            return Ok(Outcome::Idle);
        }
        let txns: Vec<&Transaction> = group.iter().map(|pending| &*pending.txn).collect();
        let before = Rc::clone(&self.head);
        let Ok(judged) = before.judge(&txns) else {
            if let [alone] = group.as_slice() {
                self.take(alone.ticket);
                self.fails(alone);
                return Ok(Outcome::Done);
            }
            return Ok(Outcome::Idle);
        };
        self.head = judged.after;
        let mut winners = Vec::new();
        for (pending, held) in std::iter::zip(group, judged.held) {
            self.take(pending.ticket);
            if held {
                self.succeeds(&pending);
                winners.push(pending);
            } else {
                self.fails(&pending);
            }
        }
        self.past
            .note(&before.registry, &self.head.registry, self.time);
        invariants::committed(self, &before, &winners)?;
        Ok(Outcome::Applied(winners.len() as u32))
    }

    fn expire(&mut self, ctl: usize) -> Result<Outcome, Violation> {
        let before = Rc::clone(&self.head);
        let controller = &mut self.controllers[ctl];
        self.head = Rc::new(before.expire(controller.ttl));
        controller.ttl = TtlId(controller.ttl.0 + 1);
        self.expired += 1;
        for agent in &mut self.agents {
            let here = |stream: &mut Stream| stream.ctl == ctl;
            self.over.extend(agent.live.take_if(here));
        }
        self.past
            .note(&before.registry, &self.head.registry, self.time);
        invariants::committed(self, &before, &[])?;
        Ok(Outcome::Done)
    }

    fn take(&mut self, ticket: u32) -> Option<Pending> {
        let place = self.pending.iter().position(|p| p.ticket == ticket)?;
        Some(self.pending.remove(place))
    }

    /// The controller answers: a stream begins where one was asked for and is still wanted.
    fn succeeds(&mut self, pending: &Pending) {
        if let (Ask::Open { name, sid, .. } | Ask::Join { name, sid, .. }, Some(_)) =
            (&pending.ask, &pending.answer)
        {
            let keeper = (names::sid(*sid), self.time);
            self.past.keeper.insert(names::node(*name), keeper);
        }
        if let Ask::Open {
            name, machine, sid, ..
        } = pending.ask
        {
            let stream = Stream {
                ctl: pending.ctl,
                name,
                sid,
            };
            let agent = &mut self.agents[usize::from(machine.number)];
            if agent.opening == Some(stream) && !pending.given_up {
                agent.opening = None;
                self.over.extend(agent.live.replace(stream));
            } else {
                self.over.insert(stream);
            }
        }
    }

    /// What did not come to be, or of which nobody knows, is over for the one who asked.
    fn fails(&mut self, pending: &Pending) {
        if let Ask::Open {
            name, machine, sid, ..
        } = pending.ask
        {
            let stream = Stream {
                ctl: pending.ctl,
                name,
                sid,
            };
            let agent = &mut self.agents[usize::from(machine.number)];
            agent.opening = agent.opening.filter(|&opening| opening != stream);
            self.over.insert(stream);
        }
    }
}

pub fn controller_id(ctl: usize) -> ControllerId {
    ControllerId(Uuid::from_u128(0xc0 + ctl as u128))
}

/// The wall clock at a tick.
pub fn wall(tick: u64) -> WallMs {
    WallMs(tick * 1000 * TICK.as_secs())
}
