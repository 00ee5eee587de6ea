//! Nodes that are no machines: to the agents of a lab a lease is a peer, whoever asked
//! for it.

use std::ops::Range;

use anyhow::{Context, Result, anyhow};
use proto::v1::Lease;
use tokio::{runtime, task::JoinSet};

use super::Lab;
use crate::client::{Client, may_have_happened};

/// Requests that are on their way at one time.
const AT_ONCE: usize = 16;
/// A busy controller says that one should ask again.
const TIMES: u32 = 20;

impl Lab {
    /// Leases in the network `default` to nodes of these numbers, in their order.
    pub fn lease_to(&self, numbers: Range<u32>) -> Result<Vec<Lease>> {
        self.ask(async |client| {
            let mut asked = JoinSet::new();
            let mut leases = Vec::new();
            for number in numbers {
                if asked.len() == AT_ONCE {
                    leases.extend(asked.join_next().await.transpose()?);
                }
                let client = client.clone();
                asked.spawn(async move { (number, acquired(&client, number).await) });
            }
            leases.extend(asked.join_all().await);
            leases.sort_by_key(|(number, _)| *number);
            leases.into_iter().map(|(_, lease)| lease).collect()
        })
    }

    /// Gives them back at once.
    pub fn release(&self, leases: &[Lease]) -> Result<()> {
        self.ask(async |client| {
            for lease in leases {
                let released = client.release(&lease.node, &lease.life).await;
                released.map_err(|status| anyhow!("release of {}: {status}", lease.node))?;
            }
            Ok(())
        })
    }

    /// On a thread that is where the controller is.
    fn ask<T: Send>(&self, ask: impl AsyncFnOnce(&Client) -> Result<T> + Send) -> Result<T> {
        let controller = self.controllers.first().context("there is no controller")?;
        controller.place().inside(|| {
            let runtime = runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(async { ask(&Client::new(controller.channel()?)).await })
        })
    }
}

/// Asking again gives the same one.
async fn acquired(client: &Client, number: u32) -> Result<Lease> {
    let node = node(number);
    for _ in 1..TIMES {
        match client.acquire_at(&node, number).await {
            Err(status) if may_have_happened(&status) => {}
            done => return done.map_err(|status| anyhow!("lease to {node}: {status}")),
        }
    }
    let last = client.acquire_at(&node, number).await;
    last.map_err(|status| anyhow!("lease to {node}: {status}"))
}

fn node(number: u32) -> String {
    format!("n{number}")
}
