//! Finding a controller that answers, and asking it.

use std::{
    env, fmt,
    path::PathBuf,
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use credentials::{Credentials, Line, RequestError, Trust};
use overlay::time::WallMs;
use proto::v1::{
    endpoint_service_client::EndpointServiceClient, fleet_service_client::FleetServiceClient,
    lease_service_client::LeaseServiceClient, network_service_client::NetworkServiceClient,
    node_service_client::NodeServiceClient, status_service_client::StatusServiceClient,
    trust_service_client::TrustServiceClient,
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
    #[error("write it as https://HOST:7440, or http://HOST:7440 where certificates are not used")]
    Syntax,
    #[error("{0} is not spoken here; write https://HOST:7440")]
    Scheme(String),
}

/// Where one controller listens: `http://HOST:PORT`, or `https://`.
#[derive(Debug, Clone)]
pub struct Address {
    url: String,
    /// Plain whatever the URL says: TLS is the line's business.
    endpoint: Endpoint,
}

/// How to come to a controller.
#[derive(Debug, Clone)]
pub struct Reach {
    pub addresses: Vec<Address>,
    /// The file of the certificate that is shown.
    pub credentials: PathBuf,
    pub timeout: Duration,
}

/// A controller that has answered.
#[derive(Debug, Clone)]
pub struct Connection {
    channel: Channel,
    pub url: String,
    timeout: Duration,
}

/// Where an operator's certificate is kept.
pub fn credentials() -> PathBuf {
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".config"));
    let config = env::var_os("XDG_CONFIG_HOME").map(PathBuf::from);
    let directory = config.or_else(home).unwrap_or_else(|| "/etc".into());
    directory.join("weft/credentials.json")
}

impl Connection {
    /// Takes the first controller that can be connected to.
    pub async fn open(reach: &Reach) -> Result<Self, Failure> {
        if !reach.addresses.iter().any(Address::is_tls) {
            return Self::over(reach, &Line::plain()).await;
        }
        let held = Credentials::read(&reach.credentials)?;
        let held = held.ok_or(Failure::NotLoggedIn)?;
        let connection = Self::over(reach, &Line::tls(&Trust::Known(&held))?).await?;
        connection.renew(reach, &held).await;
        Ok(connection)
    }

    /// The same, over a line that is known to the caller.
    pub async fn over(reach: &Reach, line: &Line) -> Result<Self, Failure> {
        let patience = CONNECT_TIMEOUT.min(reach.timeout);
        let mut tried = Vec::new();
        for address in &reach.addresses {
            let plain = Line::plain();
            let line = if address.is_tls() { line } else { &plain };
            let url = &address.url;
            let reason = match timeout(patience, line.connect(&address.endpoint)).await {
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
                ..reach.clone()
            };
            opening.spawn(async move { (place, url, Self::open(&one).await) });
        }
        let mut opened = opening.join_all().await;
        opened.sort_by_key(|(place, ..)| *place);
        let opened = opened.into_iter();
        opened.map(|(_, url, opened)| (url, opened)).collect()
    }

    /// Another certificate in time, if this one is two thirds over. Should that fail, it is
    /// tried at the next use.
    async fn renew(&self, reach: &Reach, held: &Credentials) {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = WallMs(0).after(since.unwrap_or_default());
        if now < held.renew_at() || now >= held.expires_at {
            return;
        }
        if let Ok(renewed) = self
            .answer_of(credentials::renew(self.channel(), held))
            .await
        {
            // One that cannot be written is asked for again.
            let _ = renewed.write(&reach.credentials);
        }
    }

    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    pub fn trust(&self) -> TrustServiceClient<Channel> {
        TrustServiceClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_LIMIT)
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

    /// The same for a certificate.
    pub async fn answer_of(
        &self,
        asked: impl Future<Output = Result<Credentials, RequestError>>,
    ) -> Result<Credentials, Failure> {
        match timeout(self.timeout, asked).await {
            Ok(Ok(held)) => Ok(held),
            Ok(Err(RequestError::Answered(status))) => Err(self.failure(&status)),
            Ok(Err(error)) => Err(Failure::Refused(error.to_string())),
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

impl Address {
    pub fn is_tls(&self) -> bool {
        self.url.starts_with("https://")
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.url)
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let (scheme, authority) = match text.split_once("://") {
            None => ("http", text),
            Some((scheme @ ("http" | "https"), authority)) => {
                (scheme, authority.trim_end_matches('/'))
            }
            Some((scheme, _)) => return Err(AddressError::Scheme(scheme.into())),
        };
        if authority.is_empty() || authority.contains(['/', '?', '#', '@']) {
            return Err(AddressError::Syntax);
        }
        let uri: tonic::transport::Uri = authority.parse().map_err(|_| AddressError::Syntax)?;
        let place = match (uri.port_u16(), uri.port()) {
            (Some(_), _) => authority.to_owned(),
            (None, None) if !authority.ends_with(':') => format!("{authority}:{DEFAULT_PORT}"),
            (None, _) => return Err(AddressError::Syntax),
        };
        let endpoint = Endpoint::from_shared(format!("http://{place}"))
            .map_err(|_| AddressError::Syntax)?
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE);
        let url = format!("{scheme}://{place}");
        Ok(Self { url, endpoint })
    }
}

#[cfg(test)]
mod tests;
