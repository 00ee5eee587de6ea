//! One world: a store, controllers, hosts, and who judges them.

#[path = "world/controllers.rs"]
mod controllers;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use overlay::time::WallMs;
use proto::v1;
use tokio::{
    sync::watch,
    task::AbortHandle,
    time::{Instant, sleep},
};

use crate::{
    agent::Agent,
    dice::Dice,
    door::Door,
    judge::{Asked, Judge},
    line::Line,
    machine::Machine,
    process::{Controller, MOST_OFF},
    store::Value,
    trace::Trace,
    weather::Weather,
};

/// The true time at which every world begins.
const BEGAN: WallMs = WallMs(1_800_000_000_000);

pub struct World {
    pub value: Value,
    pub weather: Arc<Weather>,
    pub trace: Trace,
    judge: Mutex<Judge>,
    places: Mutex<Vec<Seat>>,
    machines: Vec<Mutex<Host>>,
    lines: Mutex<Vec<Called>>,
    /// By its id, the way of each controller that ever was.
    ways: Mutex<BTreeMap<String, Door>>,
    removed: Mutex<BTreeSet<String>>,
    began: Instant,
}

/// Where a controller runs, now and then.
#[derive(Default)]
struct Seat {
    running: Option<Controller>,
    ahead: u64,
}

struct Host {
    machine: Machine,
    agent: Option<Running>,
}

struct Running {
    tasks: [AbortHandle; 2],
    moves: watch::Sender<()>,
}

/// A line from somebody to a controller.
struct Called {
    by: usize,
    place: usize,
    line: Line,
}

/// Who calls that is no agent.
pub const CLIENTS: usize = 1000;

impl World {
    pub fn new(controllers: usize, machines: Vec<Machine>, dice: &mut Dice) -> Arc<Self> {
        let off = 2 * u64::try_from(MOST_OFF.as_millis()).expect("a short time");
        let places = (0..controllers).map(|_| Seat {
            running: None,
            ahead: dice.next() % off,
        });
        let places = places.collect();
        let host = |machine| {
            Mutex::new(Host {
                machine,
                agent: None,
            })
        };
        Arc::new(Self {
            value: Value::start(),
            weather: Arc::new(Weather::of(dice)),
            trace: Trace::begin(),
            judge: Mutex::default(),
            places: Mutex::new(places),
            machines: machines.into_iter().map(host).collect(),
            lines: Mutex::default(),
            ways: Mutex::default(),
            removed: Mutex::default(),
            began: Instant::now(),
        })
    }

    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// The true time.
    fn wall(&self, at: Instant) -> WallMs {
        BEGAN.after(at - self.began)
    }

    pub fn controllers(&self) -> usize {
        locked(&self.places).len()
    }

    pub fn hosts(&self) -> usize {
        self.machines.len()
    }

    pub fn machine<T>(&self, number: usize, act: impl FnOnce(&mut Machine) -> T) -> T {
        act(&mut locked(&self.machines[number]).machine)
    }

    /// What an agent does from time to time, whether it has a session or not.
    async fn keep(self: Arc<Self>, number: usize) {
        let mut ticks = 0;
        loop {
            sleep(Duration::from_secs(1)).await;
            let now = self.elapsed();
            ticks += 1;
            self.machine(number, |machine| {
                machine.let_go(now);
                if ticks % 10 == 0 {
                    machine.look();
                }
            });
        }
    }

    pub fn is_alive(&self, number: usize) -> bool {
        locked(&self.machines[number]).agent.is_some()
    }

    pub fn start_agent(self: &Arc<Self>, number: usize, with_disk: bool, dice: Dice) {
        let (moves, moved) = watch::channel(());
        let mut host = locked(&self.machines[number]);
        if host.agent.is_some() || host.machine.out {
            return;
        }
        host.machine.begin(with_disk);
        self.trace
            .say(format_args!("agent {number} starts, disk {with_disk}"));
        let agent = Agent::new(self.clone(), number, dice, moved);
        let live = tokio::spawn(agent.live()).abort_handle();
        let keep = tokio::spawn(self.clone().keep(number)).abort_handle();
        host.agent = Some(Running {
            tasks: [live, keep],
            moves,
        });
    }

    pub fn crash_agent(&self, number: usize, dice: &mut Dice) {
        if let Some(agent) = locked(&self.machines[number]).agent.take() {
            self.trace.say(format_args!("agent {number} crashes"));
            agent.tasks.iter().for_each(AbortHandle::abort);
            self.cut(dice, |called| called.by == number);
        }
    }

    /// Something about a host changes, and its agent notices.
    pub fn change(&self, number: usize, what: &str, change: impl FnOnce(&mut Machine)) {
        self.trace.say(format_args!("host {number} {what}"));
        let mut host = locked(&self.machines[number]);
        change(&mut host.machine);
        if let Some(agent) = &host.agent {
            agent.moves.send_replace(());
        }
    }

    pub fn move_to(&self, number: usize, address: IpAddr) {
        self.change(number, &format!("moves to {address}"), |machine| {
            machine.move_to(address);
        });
    }

    pub fn asked(&self, asked: Asked) {
        self.trace.say(format_args!("asked: {asked:?}"));
        if let Asked::Remove { node } = &asked {
            locked(&self.removed).insert(node.clone());
        }
        locked(&self.judge).ask(asked);
    }

    pub fn may_be_out(&self, node: &str) -> bool {
        locked(&self.removed).contains(node)
    }

    /// What the store did since the last time is judged.
    pub fn judge(&self) -> MutexGuard<'_, Judge> {
        let mut judge = locked(&self.judge);
        for (_, batch) in self.value.past(judge.seen()) {
            let keys = batch.changes.iter().map(|(key, value)| match value {
                Some(value) => format!("+{key}:{}", value.len()),
                None => format!("-{key}"),
            });
            let keys: Vec<String> = keys.collect();
            self.trace
                .say(format_args!("store {}: {}", batch.revision, keys.join(" ")));
        }
        for wrong in judge.follow(&self.value, |at| self.wall(at)) {
            self.trace.wrong(wrong);
        }
        judge
    }

    /// Until the end of the world.
    pub async fn judge_all(self: Arc<Self>) {
        let mut head = self.value.head();
        while head.changed().await.is_ok() {
            drop(self.judge());
        }
    }

    pub fn told_lease(&self, lease: &v1::Lease) {
        let v1::Lease { network, node, .. } = lease;
        self.trace
            .say(format_args!("{node} has {:?} of {network}", lease.subnets));
        if let Err(wrong) = self.judge().told_lease(lease) {
            self.trace.wrong(wrong);
        }
    }

    /// The way to the store of a controller.
    pub fn way(&self, controller: &str) -> Option<Door> {
        locked(&self.ways).get(controller).cloned()
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
