//! Finding a controller that answers, and asking it.

use std::{str::FromStr, time::Duration};

use proto::v1::{
    endpoint_service_client::EndpointServiceClient, fleet_service_client::FleetServiceClient,
    lease_service_client::LeaseServiceClient, network_service_client::NetworkServiceClient,
    node_service_client::NodeServiceClient, status_service_client::StatusServiceClient,
};
use thiserror::Error;
use tokio::{task::JoinSet, time::timeout};
use tonic::{
    Response, Status,
    transport::{Channel, Endpoint},
};

use crate::failure::Failure;

/// An address that does not answer must not keep the next from being tried.
const CONNECT_TIMEOUT: Duration = Duration::from_millis(2500);
/// A watch must notice that its controller is gone without a word.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// The leases of tens of thousands of nodes come in one message.
const MESSAGE_LIMIT: usize = 1 << 30;
const DEFAULT_PORT: u16 = 7440;

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AddressError {
    #[error("write it as http://HOST:7440 or HOST:7440")]
    Syntax,
    #[error("{0} is not spoken here; write http://HOST:7440")]
    Scheme(String),
}

/// Where one controller listens: `http://HOST:PORT`.
#[derive(Debug, Clone)]
pub struct Address {
    url: String,
    endpoint: Endpoint,
}

/// How to come to a controller.
#[derive(Debug, Clone)]
pub struct Reach {
    pub addresses: Vec<Address>,
    pub timeout: Duration,
}

/// A controller that has answered.
#[derive(Debug, Clone)]
pub struct Connection {
    channel: Channel,
    pub url: String,
    timeout: Duration,
}

impl Connection {
    /// Takes the first controller that can be connected to.
    pub async fn open(reach: &Reach) -> Result<Self, Failure> {
        let patience = CONNECT_TIMEOUT.min(reach.timeout);
        let mut tried = Vec::new();
        for Address { url, endpoint } in &reach.addresses {
            let reason = match timeout(patience, endpoint.connect()).await {
                Ok(Ok(channel)) => {
                    return Ok(Self {
                        channel,
                        url: url.clone(),
                        timeout: reach.timeout,
                    });
                }
                Ok(Err(error)) => options::root(&error).to_string(),
                Err(_) => format!("nothing heard for {}", options::format_duration(patience)),
            };
            tried.push(format!("{url}: {reason}"));
        }
        Err(Failure::NoController {
            tried: tried.join(", "),
        })
    }

    /// Every controller, in the order in which they are named, or why it cannot be connected to.
    pub async fn each(reach: &Reach) -> Vec<(String, Result<Self, Failure>)> {
        let mut opening = JoinSet::new();
        for (place, address) in reach.addresses.iter().enumerate() {
            let url = address.url.clone();
            let one = Reach {
                addresses: vec![address.clone()],
                timeout: reach.timeout,
            };
            opening.spawn(async move { (place, url, Self::open(&one).await) });
        }
        let mut opened = opening.join_all().await;
        opened.sort_by_key(|(place, ..)| *place);
        let opened = opened.into_iter();
        opened.map(|(_, url, opened)| (url, opened)).collect()
    }

    pub fn networks(&self) -> NetworkServiceClient<Channel> {
        NetworkServiceClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_LIMIT)
    }

    pub fn leases(&self) -> LeaseServiceClient<Channel> {
        LeaseServiceClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_LIMIT)
    }

    pub fn endpoints(&self) -> EndpointServiceClient<Channel> {
        EndpointServiceClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_LIMIT)
    }

    pub fn fleet(&self) -> FleetServiceClient<Channel> {
        FleetServiceClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_LIMIT)
    }

    pub fn nodes(&self) -> NodeServiceClient<Channel> {
        NodeServiceClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_LIMIT)
    }

    pub fn status(&self) -> StatusServiceClient<Channel> {
        StatusServiceClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_LIMIT)
    }

    /// Waits for the answer to a call, for as long as the operator does.
    pub async fn answer<T>(
        &self,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, Failure> {
        match timeout(self.timeout, call).await {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(self.failure(&status)),
            Err(_) => Err(Failure::Late {
                url: self.url.clone(),
                timeout: self.timeout,
            }),
        }
    }

    pub fn failure(&self, status: &Status) -> Failure {
        Failure::answered(&self.url, status)
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let authority = match text.split_once("://") {
            None => text,
            Some(("http", authority)) => authority.trim_end_matches('/'),
            Some((scheme, _)) => return Err(AddressError::Scheme(scheme.into())),
        };
        if authority.is_empty() || authority.contains(['/', '?', '#', '@']) {
            return Err(AddressError::Syntax);
        }
        let uri: tonic::transport::Uri = authority.parse().map_err(|_| AddressError::Syntax)?;
        let url = match (uri.port_u16(), uri.port()) {
            (Some(_), _) => format!("http://{authority}"),
            (None, None) if !authority.ends_with(':') => {
                format!("http://{authority}:{DEFAULT_PORT}")
            }
            (None, _) => return Err(AddressError::Syntax),
        };
        let endpoint = Endpoint::from_shared(url.clone())
            .map_err(|_| AddressError::Syntax)?
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE);
        Ok(Self { url, endpoint })
    }
}

#[cfg(test)]
mod tests;
