//! What befalls a world, by the seed: some kinds of things, some of the time.

use std::{net::IpAddr, sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};

use crate::{
    client::{SMALL, remove},
    dice::Dice,
    judge::Asked,
    world::World,
};

const KINDS: usize = 13;

/// Until this moment. What was begun comes to its end after it.
pub async fn rage(world: Arc<World>, mut dice: Dice, until: Instant) {
    let kinds: Vec<usize> = (0..KINDS).filter(|_| dice.per_mille(500)).collect();
    let pace = dice.pick(&[1, 3, 8]).copied().unwrap_or(1);
    world
        .trace
        .say(format_args!("{:?}, kinds {kinds:?}", world.weather));
    while Instant::now() < until {
        sleep(dice.pause(Duration::from_secs(4 * pace))).await;
        if let Some(kind) = dice.pick(&kinds) {
            let act = act(world.clone(), *kind, Dice::of(dice.next()));
            tokio::spawn(act);
        }
    }
}

async fn act(world: Arc<World>, kind: usize, mut dice: Dice) {
    let place = dice.below(world.controllers());
    let number = dice.below(world.hosts());
    let short = dice.pause(Duration::from_secs(12));
    match kind {
        0 => {
            if world.crash_controller(place, &mut dice) {
                sleep(short).await;
                world.start_controller(place, dice).await;
            }
        }
        1 => {
            if world.stop_controller(place, &mut dice).await {
                sleep(short).await;
                world.start_controller(place, dice).await;
            }
        }
        2 => {
            world.shut(place, true);
            sleep(short).await;
            world.shut(place, false);
        }
        3 => {
            world.trace.say("the store is away");
            world.value.freeze(true);
            (0..world.controllers()).for_each(|place| world.shut(place, true));
            sleep(short).await;
            world.value.freeze(false);
            (0..world.controllers()).for_each(|place| world.shut(place, false));
        }
        4 => {
            world.trace.say("the store is compacted");
            world.value.compact();
        }
        5 => world.cut_some(&mut dice),
        6 => {
            world.crash_agent(number, &mut dice);
            if dice.per_mille(100) {
                world.change(number, "is gone for good", |machine| machine.out = true);
                return;
            }
            // Some stay away for longer than their leases last.
            let away = if dice.per_mille(300) {
                4 * short
            } else {
                short
            };
            sleep(away).await;
            let with_disk = dice.per_mille(700);
            world.start_agent(number, with_disk, dice);
        }
        7 => {
            let last = 100 + dice.below(150) as u8;
            world.move_to(number, IpAddr::from([198, 51, number as u8, last]));
        }
        8 => {
            let small = SMALL.parse().expect("a good name");
            let is_in = world.machine(number, |machine| machine.wanted.contains(&small));
            if is_in {
                let node = world.machine(number, |machine| machine.name.to_string());
                let place = (SMALL.to_owned(), node);
                world.asked(Asked::Leave { place });
                world.change(number, "leaves", |machine| machine.leave(&small));
            } else {
                world.change(number, "joins", |machine| machine.join(small));
            }
        }
        9 => {
            let kinds = ["lease/", "claim/", "under/", "node/"];
            let loaded = world.value.loaded();
            let records = loaded.entries.iter();
            let records = records.filter(|entry| {
                let is_record = serde_json::from_slice::<serde_json::Value>(&entry.value).is_ok();
                is_record && kinds.iter().any(|kind| entry.key.starts_with(kind))
            });
            let records: Vec<_> = records.collect();
            let Some(record) = dice.pick(&records) else {
                return;
            };
            world.trace.say(format_args!("{} is garbage", record.key));
            let spoilt = world.value.write(&record.key, Some(b"{".to_vec()));
            sleep(short).await;
            let now = world.value.loaded();
            let mut now = now.entries.iter();
            if now.any(|entry| entry.key == record.key && entry.revision == spoilt) {
                world.value.write(&record.key, Some(record.value.clone()));
            } else {
                world
                    .trace
                    .wrong(format_args!("{} was written over garbage", record.key));
            }
        }
        10 => {
            if let Some(ttl) = dice.pick(&world.value.ttls()) {
                world.trace.say(format_args!("{ttl:?} expires early"));
                world.value.end(*ttl);
            }
        }
        11 => {
            // A line that was cut is opened again where it can be: over and over.
            for _ in 0..8 {
                world.cut_some(&mut dice);
                sleep(short / 8).await;
            }
        }
        _ => {
            if dice.per_mille(100) {
                let node = world.machine(number, |machine| machine.name.to_string());
                remove(&world, node, &mut dice).await;
            }
        }
    }
}
