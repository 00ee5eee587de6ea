//! Published ports, which the reconciler has in its firewall.

use std::{collections::BTreeSet, time::Duration};

use overlay::{
    datapath::firewall::Published,
    endpoint::{Protocol, Publish},
};
use socket::words::{Reason, Refusal};
use tokio::{sync::oneshot, time::timeout};

use super::Owner;
use crate::local::Request;

/// The reconciler answers between two rounds; one takes a second at the most.
const PATIENCE: Duration = Duration::from_secs(10);

impl Owner {
    /// Tells the reconciler of all published ports, and waits until they are in the
    /// kernel.
    pub(super) async fn publish(&mut self) -> Result<(), String> {
        let ports: BTreeSet<Published> = self
            .book
            .endpoints()
            .flat_map(|endpoint| {
                let publish = endpoint.publish.iter();
                publish.flat_map(|publish| Published::of(publish, &endpoint.addresses))
            })
            .collect();
        if self.published.as_ref() == Some(&ports) {
            return Ok(());
        }
        let (reply, answer) = oneshot::channel();
        let stopping = || "the agent is stopping, or busy with the kernel".to_owned();
        let request = Request::Publish(ports.clone(), reply);
        self.published = None;
        let sent = self.reconciler.send(request).await;
        sent.map_err(|_| stopping())?;
        let answered = timeout(PATIENCE, answer).await;
        answered
            .map_err(|_| stopping())?
            .map_err(|_| stopping())??;
        self.published = Some(ports);
        Ok(())
    }

    /// The overlay itself arrives at some ports.
    pub(super) fn check_carriers(&self, publish: &[Publish]) -> Result<(), Refusal> {
        for (network, ground) in self.grounds.borrow().iter() {
            let Some(ground) = ground else { continue };
            let carries = |publish: &&Publish| {
                publish.protocol == Protocol::Udp
                    && publish.pairs().any(|(host, _)| host == ground.port)
            };
            if let Some(publish) = publish.iter().find(carries) {
                let text = format!(
                    "{publish} cannot be published: network {network} is carried by UDP port {}",
                    ground.port
                );
                return Err(Refusal::new(Reason::Bad, text));
            }
        }
        Ok(())
    }
}
