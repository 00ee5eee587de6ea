//! One client: it speaks for some nodes and writes down what it was told.

use std::time::Duration;

use anyhow::{Context, Result};
use overlay::{id::Life, name::NodeName};
use tokio::{sync::watch, time::Instant};

use super::Plan;
use crate::{
    client::{Client, granted, outcome},
    dice::Dice,
    history::{Did, Event, Outcome},
};

/// After a request that was not answered.
const PAUSE: Duration = Duration::from_millis(20);

pub struct Caller {
    dice: Dice,
    clients: Vec<Client>,
    /// With the life that it believes each to have.
    nodes: Vec<(NodeName, Option<Life>)>,
    start: Instant,
    told: Vec<Event>,
}

impl Caller {
    pub fn new(plan: &Plan, number: usize, clients: Vec<Client>, start: Instant) -> Result<Self> {
        let name = |index| format!("node-{number}-{index}").parse();
        let nodes = (0..plan.nodes_of_each).map(|index| Ok((name(index)?, None)));
        let own = u64::try_from(number)?.wrapping_mul(0x9e37_79b9);
        Ok(Self {
            dice: Dice::new(plan.seed ^ own),
            clients,
            nodes: nodes
                .collect::<Result<_, overlay::name::NameError>>()
                .context("node names")?,
            start,
            told: Vec::new(),
        })
    }

    /// Until it is told to stop; then once more for every node.
    pub async fn run(mut self, stop: watch::Receiver<bool>) -> Vec<Event> {
        while !*stop.borrow() {
            let place = self.dice.below(self.nodes.len());
            let chance = self.dice.below(10);
            self.ask(place, chance).await;
        }
        for place in 0..self.nodes.len() {
            self.ask(place, 0).await;
        }
        self.told
    }

    async fn ask(&mut self, place: usize, chance: usize) {
        let client = self.clients[self.dice.below(self.clients.len())].clone();
        let (node, life) = self.nodes[place].clone();
        let began = self.start.elapsed();
        let did = match life {
            Some(life) => ask_held(&client, node.as_str(), life, chance).await,
            None => acquire(&client, node.as_str()).await,
        };
        self.nodes[place].1 = believed(life, &did);
        let event = Event {
            node,
            began,
            ended: self.start.elapsed(),
            did,
        };
        let unknown = super::unknown(&event);
        self.told.push(event);
        if unknown {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

async fn ask_held(client: &Client, node: &str, life: Life, chance: usize) -> Did {
    match chance {
        0..3 => acquire(client, node).await,
        3..6 => {
            let renewed = client.renew(node, life).await;
            Did::Renew(life, outcome(renewed.and_then(|lease| granted(&lease))))
        }
        6..8 => Did::Look(outcome(client.look(node).await)),
        _ => {
            let released = client.release(node, &life.to_string()).await;
            Did::Release(life, outcome(released.map(|done| done.revision)))
        }
    }
}

async fn acquire(client: &Client, node: &str) -> Did {
    let acquired = client.acquire(node).await;
    Did::Acquire(outcome(acquired.and_then(|lease| granted(&lease))))
}

/// The life it believes its node to have now. Where it does not know, it asks anew.
fn believed(before: Option<Life>, did: &Did) -> Option<Life> {
    match did {
        Did::Acquire(Outcome::Done(grant)) | Did::Renew(_, Outcome::Done(grant)) => {
            Some(grant.life)
        }
        Did::Acquire(_) | Did::Look(_) | Did::Renew(_, Outcome::Unknown) => before,
        Did::Renew(_, Outcome::Refused(..)) | Did::Release(..) => None,
    }
}
