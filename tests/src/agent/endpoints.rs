//! What the agent without a kernel says of containers that it does not have.

use std::net::IpAddr;

use anyhow::{Context, Result, anyhow};
use overlay::{endpoint::EndpointId, subnet::Subnet};
use proto::v1::{self, agent_message, controller_message::Message};

use super::Agent;

impl Agent {
    /// The containers of these numbers, with addresses of its lease.
    pub fn containers(&self, numbers: impl IntoIterator<Item = u16>) -> Result<Vec<v1::Endpoint>> {
        let lease = self.lease.as_ref().context("a lease")?;
        let numbers = numbers.into_iter();
        numbers.map(|number| endpoint(lease, number)).collect()
    }

    /// Says that these are attached, and no others.
    pub async fn has(&mut self, all: Vec<v1::Endpoint>) -> Result<v1::EndpointsKept> {
        self.tell(true, all, Vec::new()).await
    }

    /// Says what has become different.
    pub async fn changed(
        &mut self,
        set: Vec<v1::Endpoint>,
        gone: Vec<String>,
    ) -> Result<v1::EndpointsKept> {
        self.tell(false, set, gone).await
    }

    /// How many endpoints it was told to have from before when it joined.
    pub fn had(&self) -> Option<u64> {
        self.heard.iter().rev().find_map(|message| match message {
            Message::Joined(joined) => Some(joined.endpoints),
            _ => None,
        })
    }

    async fn tell(
        &mut self,
        all: bool,
        set: Vec<v1::Endpoint>,
        gone: Vec<String>,
    ) -> Result<v1::EndpointsKept> {
        self.word += 1;
        let lease = self.lease.as_ref().context("a lease")?;
        let word = v1::Endpoints {
            network: self.network.clone(),
            life: lease.life.clone(),
            number: self.word,
            all,
            ..v1::Endpoints::default()
        };
        // As many as a controller takes at once.
        let mut chunks: Vec<Vec<v1::Endpoint>> = set.chunks(200).map(<[_]>::to_vec).collect();
        let last = v1::Endpoints {
            set: chunks.pop().unwrap_or_default(),
            gone,
            ..word.clone()
        };
        for set in chunks {
            let part = v1::Endpoints {
                set,
                partial: true,
                ..word.clone()
            };
            self.say(agent_message::Message::Endpoints(part)).await?;
        }
        self.say(agent_message::Message::Endpoints(last)).await?;
        loop {
            if let Message::EndpointsKept(kept) = self.hear().await?
                && kept.number == self.word
            {
                return Ok(kept);
            }
        }
    }
}

/// The container of this number on a node with this lease.
pub fn endpoint(lease: &v1::Lease, number: u16) -> Result<v1::Endpoint> {
    let network = lease.network.parse()?;
    let key = format!("test/{number}");
    let above = |subnet: &String| -> Result<String> {
        let subnet: Subnet = subnet.parse()?;
        let number = number + 2;
        let address: IpAddr = match subnet.address() {
            IpAddr::V4(base) => (u32::from(base) + u32::from(number)).to_be_bytes().into(),
            IpAddr::V6(base) => (u128::from(base) + u128::from(number)).to_be_bytes().into(),
        };
        let inside = subnet.holds(address).then_some(address);
        let address = inside.ok_or_else(|| anyhow!("{subnet} has no address {number}"))?;
        Ok(address.to_string())
    };
    let subnets = lease.subnets.iter();
    let [high, low] = number.to_be_bytes();
    Ok(v1::Endpoint {
        id: EndpointId::of(&network, &key.parse()?).to_string(),
        key,
        addresses: subnets.map(above).collect::<Result<_>>()?,
        mac: format!("02:42:00:00:{high:02x}:{low:02x}"),
        container: format!("{number:04x}a9d0c1b2e3f4051"),
        name: format!("{}-c{number}", lease.node),
        aliases: vec![format!("alias-{number}")],
        labels: [("number".to_owned(), number.to_string())].into(),
        ports: vec![v1::PublishedPort {
            protocol: "tcp".into(),
            host_port: 8000 + u32::from(number),
            port: 80,
            count: 1,
            ..v1::PublishedPort::default()
        }],
        since_ms: 1_700_000_000_000,
        ..v1::Endpoint::default()
    })
}
