//! What an agent says in a session.

use std::{
    collections::BTreeSet,
    net::{IpAddr, UdpSocket},
};

use overlay::{decide::lease::Vtep, name::NetworkName};
use proto::v1::{self, agent_message::Message};
use tokio::sync::mpsc;
use tonic::Status;

use super::{Held, Joining, Joins, SessionError};

/// What this side says, and has said.
pub struct Voice<'a> {
    say: mpsc::Sender<v1::AgentMessage>,
    said: &'a mut Said,
}

/// Room for one message.
pub struct Room<'a>(mpsc::Permit<'a, v1::AgentMessage>);

impl Room<'_> {
    pub fn say(self, message: Message) {
        let message = Some(message);
        self.0.send(v1::AgentMessage { message });
    }
}

/// Waits until something can be said without waiting. Cancel-safe.
pub async fn room(line: &mpsc::Sender<v1::AgentMessage>) -> Result<Room<'_>, SessionError> {
    line.reserve().await.map(Room).map_err(|_| gone())
}

fn gone() -> SessionError {
    SessionError::Broken(Box::new(Status::unavailable("the stream is gone")))
}

/// What was said in this session or an earlier one.
#[derive(Debug, Default)]
pub struct Said {
    pub joins: Joins,
    /// It is said in every session that these are left: nobody answers that he heard it.
    left: BTreeSet<NetworkName>,
}

impl Said {
    pub fn new(joins: Joins) -> Self {
        let left = BTreeSet::new();
        Self { joins, left }
    }

    /// From now on these are joined; those from before are the answer.
    pub fn change(&mut self, joins: Joins) -> Joins {
        let before = std::mem::replace(&mut self.joins, joins);
        self.left.extend(before.keys().cloned());
        self.left
            .retain(|network| !self.joins.contains_key(network));
        before
    }
}

impl<'a> Voice<'a> {
    pub fn new(say: mpsc::Sender<v1::AgentMessage>, said: &'a mut Said) -> Self {
        Self { say, said }
    }

    pub async fn say(&self, message: Message) -> Result<(), SessionError> {
        let message = v1::AgentMessage {
            message: Some(message),
        };
        self.say.send(message).await.map_err(|_| gone())
    }

    /// Says again whether a network is joined or left, of which a controller would not
    /// hear. Of one that is left it is not said once more.
    pub async fn insist(&self, network: &NetworkName, held: &Held) -> Result<bool, SessionError> {
        let is_joined = self.said.joins.contains_key(network);
        match is_joined {
            true => self.join(network, held).await?,
            false => self.leave(network).await?,
        }
        Ok(is_joined)
    }

    /// An address that was said, is another now, and is not this host's any more: the
    /// connection may be from there.
    pub fn lost(&self, joins: &Joins) -> Option<IpAddr> {
        let is_other = |(network, joining): (&NetworkName, &Joining)| {
            let before = joining.vtep.underlay?;
            let now = joins.get(network)?.vtep.underlay?;
            (before != now).then_some(before)
        };
        let others = self.said.joins.iter().filter_map(is_other);
        let mut lost = others.filter(|address| !is_here(*address));
        lost.next()
    }

    pub fn joins(&self) -> &Joins {
        &self.said.joins
    }

    /// The networks that are left, if only for a moment.
    pub fn over(&self, joins: &Joins) -> Vec<NetworkName> {
        let over = |(network, before): &(&NetworkName, &Joining)| {
            let now = joins.get(*network);
            now.is_none_or(|now| now.turn != before.turn)
        };
        let over = self.said.joins.iter().filter(over);
        over.map(|(network, _)| network.clone()).collect()
    }

    /// Joins what is new or has another VTEP, and leaves what is gone.
    pub async fn follow(&mut self, joins: Joins, held: &mut Held) -> Result<(), SessionError> {
        held.forget_others(&self.said.joins, &joins);
        let before = self.said.change(joins);
        self.leave_gone().await?;
        for (network, joining) in &self.said.joins {
            let was = before.get(network);
            if was.is_some_and(|was| was.turn != joining.turn) {
                self.leave(network).await?;
            }
            if was != Some(joining) {
                self.join(network, held).await?;
            }
        }
        Ok(())
    }

    pub async fn leave_gone(&self) -> Result<(), SessionError> {
        for network in &self.said.left {
            self.leave(network).await?;
        }
        Ok(())
    }

    async fn join(&self, network: &NetworkName, held: &Held) -> Result<(), SessionError> {
        match self.said.joins.get(network) {
            Some(joining) => {
                let join = join(network, &joining.vtep, held);
                self.say(Message::Join(join)).await
            }
            None => Ok(()),
        }
    }

    async fn leave(&self, network: &NetworkName) -> Result<(), SessionError> {
        let network = network.to_string();
        self.say(Message::Leave(v1::Leave { network })).await
    }
}

/// Nobody else's address can be bound to.
fn is_here(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

pub fn join(network: &NetworkName, vtep: &Vtep, held: &Held) -> v1::Join {
    let text = |value: Option<String>| value.unwrap_or_default();
    v1::Join {
        network: network.to_string(),
        underlay: text(vtep.underlay.map(|address| address.to_string())),
        mac: text(vtep.mac.map(|mac| mac.to_string())),
        revision: held.revisions.get(network).copied().unwrap_or(0),
    }
}
