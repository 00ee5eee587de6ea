//! Nodes that join, leave and move, so many a second.

use std::time::{Duration, Instant};

use anyhow::Result;
use proto::v1::{RemoveNodeRequest, node_service_client::NodeServiceClient};
use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep},
};
use tonic::transport::Channel;

use super::{
    Churn,
    agent::Moved,
    fleet::{Fleet, mac, name},
};
use crate::simulated::Node;

impl Churn {
    /// A quarter join, a quarter leave, half are elsewhere.
    pub async fn change(&mut self, rate: u32, length: Duration) -> Result<()> {
        let began = Instant::now();
        if rate == 0 {
            sleep(length).await;
            return Ok(());
        }
        let mut ticks = interval(Duration::from_secs(1) / rate);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut removals = JoinSet::new();
        while began.elapsed() < length {
            ticks.tick().await;
            let change = self.changes;
            match change % 4 {
                0 => self.join(change),
                2 if let Some(joined) = self.fleet.leaver() => {
                    self.fleet.removes(joined);
                    let (fleet, channel) = (self.fleet.clone(), self.channel.clone());
                    removals.spawn(async move { remove(&fleet, channel, joined).await });
                }
                _ => self.move_one(change),
            }
            self.changes += 1;
        }
        while let Some(removed) = removals.join_next().await {
            removed?;
        }
        self.check()
    }

    fn join(&mut self, change: usize) {
        let mut node = Node::new(self.witnesses.len() + change);
        node.name = name(change);
        node.mac = mac(change);
        // It stays where it is.
        let (_, moves) = mpsc::channel(1);
        self.fleet.happens(change);
        self.spawn(node, moves, Some(change), 0);
    }

    fn move_one(&self, change: usize) {
        let [.., b, c, d] = (change as u32).to_be_bytes();
        let moved = Moved {
            underlay: format!("100.{}.{c}.{d}", 64 + u32::from(b)),
            mac: mac(change),
        };
        // Far from the one before it.
        let witness = &self.witnesses[change * 7919 % self.witnesses.len()];
        self.fleet.happens(change);
        // One that is full is of an agent without a session, and moves often enough.
        drop(witness.try_send(moved));
    }
}

/// The node that joined by this change; one that cannot be removed stays.
async fn remove(fleet: &Fleet, channel: Channel, joined: usize) {
    let request = RemoveNodeRequest { name: name(joined) };
    let removed = NodeServiceClient::new(channel).remove(request).await;
    if let Err(status) = removed {
        fleet.failed(&status);
    }
}
