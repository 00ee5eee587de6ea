//! SIGKILL at any moment: what was acknowledged is there, and nothing is given twice.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use overlay::name::NodeName;
use tests::{
    client::{Client, grant, granted, outcome},
    controller::Controller,
    dice::Dice,
    history::{self, Did, Event, Outcome, Seen},
};
use tokio::{
    sync::{Semaphore, mpsc},
    task::JoinSet,
    time::Instant,
};

const ACQUIRES: usize = 10_000;
const KILLS: usize = 5;
const AT_ONCE: usize = 128;

#[tokio::test(flavor = "multi_thread")]
async fn of_ten_thousand_none_is_lost_and_none_given_twice() -> Result<()> {
    let seed = Dice::seed();
    println!("seed {seed}");
    let mut dice = Dice::new(seed);
    let controller = Controller::embedded(&["--default-network", "10.0.0.0/8"])?;
    let client = Client::new(controller.channel()?);
    let start = Instant::now();

    // A kill in each part of the run, at whatever acknowledgement comes up.
    let part = ACQUIRES / KILLS;
    let kills: Vec<usize> = (0..KILLS)
        .map(|kill| kill * part + 1 + dice.below(part - 1))
        .collect();
    let (done, told) = mpsc::unbounded_channel();
    let killing = tokio::task::spawn_blocking(move || kill_at(controller, &kills, told));
    let mut events = acquire_all(&client, start, &done).await?;
    drop(done);
    let controller = killing.await??;

    let unanswered = events
        .iter()
        .filter(|event| event.did == Did::Acquire(Outcome::Unknown))
        .count();
    println!(
        "{ACQUIRES} acquires in {:?}, {unanswered} asked again",
        start.elapsed()
    );
    events.extend(look(&client, &events, start.elapsed()).await?);
    assert_eq!(history::check(&events), []);

    let leased = controller
        .metric(r#"weft_pool_subnets{network="default",family="v4",subnets="leased"}"#)?;
    assert_eq!(leased, ACQUIRES as f64);
    Ok(())
}

/// Kills the controller when so many were acknowledged, and starts it again.
fn kill_at(
    mut controller: Controller,
    kills: &[usize],
    mut told: mpsc::UnboundedReceiver<()>,
) -> Result<Controller> {
    let mut acknowledged = 0;
    while told.blocking_recv().is_some() {
        acknowledged += 1;
        if kills.contains(&acknowledged) {
            controller.kill()?;
            controller.start()?;
        }
    }
    Ok(controller)
}

async fn acquire_all(
    client: &Client,
    start: Instant,
    done: &mpsc::UnboundedSender<()>,
) -> Result<Vec<Event>> {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut callers = JoinSet::new();
    let mut events = Vec::new();
    for number in 0..ACQUIRES {
        let permit = room.clone().acquire_owned().await?;
        let (client, done) = (client.clone(), done.clone());
        callers.spawn(async move {
            let events = acquire(&client, number, start).await;
            drop(permit);
            // The one who kills has seen enough.
            done.send(()).unwrap_or_default();
            events
        });
        while let Some(told) = callers.try_join_next() {
            events.extend(told.context("a caller")??);
        }
    }
    while let Some(told) = callers.join_next().await {
        events.extend(told.context("a caller")??);
    }
    Ok(events)
}

/// Asks until it is answered, and says all that it was told.
async fn acquire(client: &Client, number: usize, start: Instant) -> Result<Vec<Event>> {
    let node: NodeName = format!("node-{number}").parse()?;
    let mut events = Vec::new();
    loop {
        let began = start.elapsed();
        let answer = client.acquire(node.as_str()).await;
        let answer = outcome(answer.and_then(|lease| granted(&lease)));
        let unknown = answer == Outcome::Unknown;
        events.push(Event {
            node: node.clone(),
            began,
            ended: start.elapsed(),
            did: Did::Acquire(answer),
        });
        if !unknown {
            return Ok(events);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// What is there in the end, for every node that asked.
async fn look(client: &Client, events: &[Event], at: Duration) -> Result<Vec<Event>> {
    let listed = client.list("").await?;
    let leases: BTreeMap<&str, _> = listed
        .leases
        .iter()
        .map(|lease| (lease.node.as_str(), lease))
        .collect();
    assert_eq!(leases.len(), ACQUIRES);
    let nodes: BTreeMap<&NodeName, ()> = events.iter().map(|event| (&event.node, ())).collect();
    let look = |node: &NodeName| {
        let lease = leases.get(node.as_str()).map(|lease| grant(lease));
        Ok(Event {
            node: node.clone(),
            began: at,
            ended: at,
            did: Did::Look(Outcome::Done(Seen {
                revision: listed.revision,
                lease: lease.transpose()?,
            })),
        })
    };
    nodes.into_keys().map(look).collect()
}
