//! One run: a seed, a world, a storm, and whether all is well after it.

use std::{
    collections::{BTreeMap, BTreeSet},
    panic, process,
    sync::Arc,
    thread,
    time::Duration,
};

use overlay::registry::Registry;
use tokio::time::{Instant, sleep};

use crate::{
    attached, chance,
    client::{self, SMALL},
    dice::Dice,
    kernel,
    machine::Machine,
    storm::rage,
    world::World,
};

/// So long everything goes wrong.
const STORM: Duration = Duration::from_secs(60);
/// So soon after it everything is right: sessions, grace, lapse and reclaim in a row.
const BOUND: Duration = Duration::from_secs(90);
/// A run takes less than a second. One that takes so long by a real clock goes in a circle.
const REAL_BOUND: Duration = Duration::from_secs(120);

/// What became of a run: the digest of its events, or what was wrong and the end of them.
pub type Verdict = Result<String, String>;

/// This process must have had none before: see [`chance`].
pub fn run(seed: u64, print: bool) -> Verdict {
    thread::spawn(|| {
        thread::sleep(REAL_BOUND);
        eprintln!("not over after {REAL_BOUND:?} of real time");
        process::exit(1);
    });
    let thread = thread::Builder::new().name(format!("seed {seed}"));
    let run = thread.spawn(move || {
        chance::seed(seed);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .map_err(|error| error.to_string())?;
        runtime.block_on(world(Dice::of(seed), print))
    });
    let run = run.map_err(|error| error.to_string())?;
    run.join()
        .unwrap_or_else(|_| Err("the run panicked".into()))
}

async fn world(mut dice: Dice, print: bool) -> Verdict {
    let controllers = 1 + dice.below(3);
    let hosts = 2 + dice.below(4) as u8;
    let machines = (1..=hosts).map(|number| {
        let mut wanted = BTreeSet::from(["default".parse().expect("a good name")]);
        if dice.per_mille(500) {
            wanted.insert(SMALL.parse().expect("a good name"));
        }
        Machine::new(number, wanted)
    });
    let machines: Vec<Machine> = machines.collect();
    let world = World::new(controllers, machines, &mut dice);
    let (of, default) = (world.clone(), panic::take_hook());
    panic::set_hook(Box::new(move |panic| {
        default(panic);
        of.trace.wrong(format_args!("panic: {panic}"));
    }));
    tokio::spawn(world.clone().judge_all());
    for place in 0..controllers {
        let dice = Dice::of(dice.next());
        world.start_controller(place, dice).await;
    }
    for number in 0..usize::from(hosts) {
        world.start_agent(number, false, Dice::of(dice.next()));
    }
    tokio::spawn(client::make_small(world.clone(), Dice::of(dice.next())));
    let clients: Vec<_> = (0..dice.below(3))
        .map(|number| tokio::spawn(client::ask(world.clone(), number, Dice::of(dice.next()))))
        .collect();
    let until = Instant::now() + STORM;
    let storm = rage(world.clone(), Dice::of(dice.next()), until);
    let all = async {
        storm.await;
        world.weather.calm();
        world.trace.say("calm");
        clients.iter().for_each(|client| client.abort());
        settle(&world).await;
    };
    // Either way it is over.
    tokio::select! {
        () = all => {}
        () = world.trace.fails() => {}
    }
    let verdict = world.trace.verdict();
    let verdict = verdict.map(|()| world.trace.digest());
    if print {
        for line in world.trace.lines() {
            println!("{line}");
        }
    }
    drop(panic::take_hook());
    verdict
}

/// Waits until all is well, for as long as that may take.
async fn settle(world: &Arc<World>) {
    let late = Instant::now() + BOUND;
    loop {
        sleep(Duration::from_secs(1)).await;
        let wrong = wrong(world).await;
        if wrong.is_empty() {
            return drop(world.judge());
        }
        if Instant::now() > late {
            let wrong = wrong.join("\n");
            return world
                .trace
                .wrong(format_args!("still after {BOUND:?}:\n{wrong}"));
        }
    }
}

/// What is not as the store's leases say, at this moment.
async fn wrong(world: &Arc<World>) -> Vec<String> {
    let mut wrong = Vec::new();
    let keepers = world.keepers();
    if keepers.len() < world.controllers() {
        wrong.push("a controller is down".into());
    }
    for keeper in keepers {
        let known = keeper
            .with(|state| (state.registry().clone(), state.why_not_ready(), state.ctl))
            .await;
        let loaded = world.value.loaded();
        let entries = loaded.entries.iter();
        let entries = entries.map(|entry| (&*entry.key, &*entry.value, entry.revision));
        let should = Registry::load(loaded.revision, entries, None);
        match known {
            Ok((registry, None, _)) if registry == should => {}
            Ok((registry, reason, ctl)) => wrong.push(format!(
                "controller {ctl} is at {} of {}, {reason:?}",
                registry.revision(),
                should.revision()
            )),
            Err(failure) => wrong.push(failure.to_string()),
        }
        if !should.set_aside().is_empty() {
            wrong.push("a record is garbage".into());
        }
    }
    let vnis = vnis(world);
    let judge = world.judge();
    let (mut present, mut left) = (BTreeSet::new(), BTreeSet::new());
    let mut containers = BTreeMap::new();
    for number in 0..world.hosts() {
        let alive = world.is_alive(number);
        world.machine(number, |machine| {
            if machine.out {
                return;
            }
            if !alive {
                wrong.push(format!("agent {number} is down"));
                return;
            }
            let name = machine.name.to_string();
            let names = machine.left.iter().map(ToString::to_string);
            left.extend(names.map(|network| (network, name.clone())));
            for network in &machine.wanted {
                let ids = machine.containers.iter();
                let ids = ids.map(|number| attached::id(network, *number).to_string());
                let ids: BTreeSet<String> = ids.collect();
                containers.insert((network.to_string(), name.clone()), ids);
            }
            let wanted = machine.wanted.iter().map(ToString::to_string);
            let networks: BTreeMap<String, u64> = wanted
                .map(|network| (network.clone(), vnis.get(&network).copied().unwrap_or(0)))
                .collect();
            let seen = machine.kernel.observe();
            wrong.extend(kernel::wrong(&name, &seen, judge.leases(), &networks));
            present.extend(networks.into_keys().map(|network| (network, name.clone())));
        });
    }
    for (place, endpoints) in judge.endpoints() {
        let lease = judge.leases().get(place);
        if endpoints
            .values()
            .any(|life| lease.is_none_or(|lease| lease.life != *life))
        {
            wrong.push(format!(
                "{place:?} has endpoints of no lease: {endpoints:?}"
            ));
        }
    }
    for (place, should) in containers {
        let endpoints = judge.endpoints().find(|(of, _)| **of == place);
        let known: BTreeSet<String> = endpoints
            .into_iter()
            .flat_map(|(_, endpoints)| endpoints.keys().cloned())
            .collect();
        if known != should {
            wrong.push(format!("{place:?} has {should:?}, the store has {known:?}"));
        }
    }
    for (place, lease) in judge.leases() {
        if left.contains(place) {
            continue;
        }
        if !present.contains(place) {
            wrong.push(format!("{place:?} is still leased: {lease:?}"));
        } else if lease.gone || !judge.sessions().contains(&place.1) {
            wrong.push(format!("{place:?} has no session: {lease:?}"));
        }
    }
    wrong
}

fn vnis(world: &World) -> BTreeMap<String, u64> {
    let loaded = world.value.loaded();
    let networks = loaded.entries.iter().filter_map(|entry| {
        let name = entry.key.strip_prefix("net/")?;
        let network: serde_json::Value = serde_json::from_slice(&entry.value).ok()?;
        Some((name.to_owned(), network["vni"].as_u64()?))
    });
    networks.collect()
}
