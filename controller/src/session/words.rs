//! What an agent says after its hello: joins, leaves, reports.

use std::time::Duration;

use overlay::{
    decide::{Refusal, session},
    id::Life,
    name::NetworkName,
};
use proto::{
    decode::{self, Join},
    v1::{self, agent_message, controller_message::Message},
};
use uuid::Uuid;

use super::{Joined, Over, Session};
use crate::keeper::Failure;

impl Session {
    pub(super) async fn hear(&mut self, message: agent_message::Message) -> Result<(), Over> {
        match message {
            agent_message::Message::Report(report) => self.report(report).await,
            agent_message::Message::Answer(answer) => self.answer(answer).await,
            agent_message::Message::Endpoints(said) => self.endpoints(said).await?,
            agent_message::Message::Join(join) => match decode::join(&join) {
                Ok(join) => self.enter_network(join).await?,
                Err(error) => self.refuse(join.network, error.to_string()).await?,
            },
            agent_message::Message::Leave(leave) => {
                if let Err(reason) = self.leave(&leave.network).await {
                    self.refuse(leave.network, reason).await?;
                }
            }
            // Said already.
            agent_message::Message::Hello(_) => {}
        }
        Ok(())
    }

    /// Joins a network, or publishes a changed VTEP in one that was joined. A refusal
    /// is told, and the rest of the session goes on.
    pub(super) async fn enter_network(&mut self, join: Join) -> Result<(), Over> {
        let name = join.network.to_string();
        match self.join(join).await {
            Ok(Some(joined)) => self.start(joined).await,
            Ok(None) => Ok(()),
            Err(reason) => self.refuse(name, reason).await,
        }
    }

    async fn join(&mut self, join: Join) -> Result<Option<Joined>, String> {
        let membership = join.membership(Life(Uuid::new_v4()));
        let (node, sid) = (self.node.clone(), self.sid);
        let decided = self
            .keeper
            .write(move |view| session::join(view, &node, sid, &membership))
            .await;
        let (lease, revision) = decided.map_err(|failure| failure.to_string())?;
        if self.places.contains_key(&join.network) {
            return Ok(None);
        }
        let (node, sid, network) = (self.node.clone(), self.sid, join.network.clone());
        let entered = self.keeper.with(move |state| {
            if let Some(here) = state.roster.session(&node, sid) {
                here.networks.entry(network).or_default();
            }
        });
        entered.await.map_err(|failure| failure.to_string())?;
        Ok(Some(Joined {
            network: join.network,
            lease,
            revision,
            held: join.held,
        }))
    }

    async fn leave(&mut self, network: &str) -> Result<(), String> {
        let network: NetworkName =
            decode::parse("network", network).map_err(|error| error.to_string())?;
        // Whatever becomes of its lease, the agent has forgotten the network: should it
        // join again, it has to be told everything.
        self.places.remove(&network);
        let (node, sid, of) = (self.node.clone(), self.sid, network.clone());
        self.keeper
            .tell(move |state| {
                if let Some(here) = state.roster.session(&node, sid) {
                    here.networks.remove(&of);
                }
            })
            .await;
        let node = self.node.clone();
        let left = self
            .keeper
            .write(move |view| session::leave(view, &node, sid, &network))
            .await;
        match left {
            Ok(_) | Err(Failure::Refused(Refusal::NoLease { .. })) => Ok(()),
            Err(failure) => Err(failure.to_string()),
        }
    }

    async fn report(&self, report: v1::Report) {
        let (node, sid) = (self.node.clone(), self.sid);
        let applied_seconds = self.metrics.applied_seconds.clone();
        self.keeper
            .tell(move |state| {
                let lags: Vec<Duration> = {
                    let feed = state.feed();
                    let Some(here) = state.roster.get(&node).filter(|here| here.sid == sid) else {
                        return;
                    };
                    let networks = here.networks.keys();
                    networks
                        .filter_map(|network| here.lag_in(network, &feed))
                        .collect()
                };
                let now = state.clock.now();
                let Some(here) = state.roster.session(&node, sid) else {
                    return;
                };
                here.hear(&report);
                for said in report.networks {
                    if let Ok(network) = said.network.parse::<NetworkName>()
                        && let Some(word) = here.networks.get_mut(&network)
                    {
                        word.hear(said, now);
                    }
                }
                for lag in lags.into_iter().filter(|lag| !lag.is_zero()) {
                    applied_seconds.observe(lag.as_secs_f64());
                }
            })
            .await;
    }

    async fn answer(&self, answer: v1::Answer) {
        let (node, sid) = (self.node.clone(), self.sid);
        self.keeper
            .tell(move |state| {
                let here = state.roster.session(&node, sid);
                if let Some(line) = here.and_then(|here| here.line.as_mut()) {
                    line.hear(&answer);
                }
            })
            .await;
    }

    async fn refuse(&mut self, network: String, reason: String) -> Result<(), Over> {
        let refused = Message::Refused(v1::Refused { network, reason });
        self.send(refused.into()).await
    }
}
