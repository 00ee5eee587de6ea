//! A client without an agent, and what it makes of an answer.

use std::time::Duration;

use anyhow::{Context, Result};
use overlay::id::Life;
use proto::v1::{
    self, endpoint_service_client::EndpointServiceClient, fleet_service_client::FleetServiceClient,
    lease_service_client::LeaseServiceClient, network_service_client::NetworkServiceClient,
    node_service_client::NodeServiceClient, status_service_client::StatusServiceClient,
};
use tonic::{Code, Response, Status, transport::Channel};

use crate::history::{Grant, Outcome, Seen};

/// Longer than a controller keeps a request waiting.
const PATIENCE: Duration = Duration::from_secs(8);

#[derive(Debug, Clone)]
pub struct Client {
    channel: Channel,
}

impl Client {
    pub fn new(channel: Channel) -> Self {
        Self { channel }
    }

    pub fn leases(&self) -> LeaseServiceClient<Channel> {
        let client = LeaseServiceClient::new(self.channel.clone());
        client.max_decoding_message_size(64 << 20)
    }

    pub fn endpoints(&self) -> EndpointServiceClient<Channel> {
        let client = EndpointServiceClient::new(self.channel.clone());
        client.max_decoding_message_size(64 << 20)
    }

    pub fn networks(&self) -> NetworkServiceClient<Channel> {
        NetworkServiceClient::new(self.channel.clone())
    }

    pub fn nodes(&self) -> NodeServiceClient<Channel> {
        NodeServiceClient::new(self.channel.clone())
    }

    /// What a node's agent answers at one of its doors.
    pub async fn ask(
        &self,
        node: &str,
        path: &str,
        within_ms: u64,
    ) -> Result<v1::AskResponse, Status> {
        let request = v1::AskRequest {
            node: node.into(),
            method: "GET".into(),
            path: path.into(),
            body: Vec::new().into(),
            within_ms,
        };
        let client = FleetServiceClient::new(self.channel.clone());
        answer(client.max_decoding_message_size(64 << 20).ask(request)).await
    }

    pub async fn status(&self) -> Result<v1::Status, Status> {
        let mut client = StatusServiceClient::new(self.channel.clone());
        answer(client.get(v1::GetStatusRequest::default())).await
    }

    /// In the network `default`.
    pub async fn acquire(&self, node: &str) -> Result<v1::Lease, Status> {
        let request = v1::AcquireRequest {
            node: node.into(),
            ..v1::AcquireRequest::default()
        };
        answer(self.leases().acquire(request)).await
    }

    /// Where peers can reach it: they are told of it.
    pub async fn acquire_at(&self, node: &str, number: u32) -> Result<v1::Lease, Status> {
        let request = v1::AcquireRequest {
            node: node.into(),
            underlay: underlay(number),
            mac: mac(number),
            ..v1::AcquireRequest::default()
        };
        answer(self.leases().acquire(request)).await
    }

    pub async fn renew(&self, node: &str, life: Life) -> Result<v1::Lease, Status> {
        let request = v1::RenewRequest {
            node: node.into(),
            life: life.to_string(),
            ..v1::RenewRequest::default()
        };
        answer(self.leases().renew(request)).await
    }

    pub async fn release(&self, node: &str, life: &str) -> Result<v1::ReleaseResponse, Status> {
        let request = v1::ReleaseRequest {
            network: String::new(),
            node: node.into(),
            life: life.into(),
        };
        answer(self.leases().release(request)).await
    }

    /// Of a node; "": of all.
    pub async fn list(&self, node: &str) -> Result<v1::ListLeasesResponse, Status> {
        let request = v1::ListLeasesRequest {
            network: String::new(),
            node: node.into(),
        };
        answer(self.leases().list(request)).await
    }

    /// What the controller knows of a node's lease in the one network there is.
    pub async fn look(&self, node: &str) -> Result<Seen, Status> {
        let listed = self.list(node).await?;
        Ok(Seen {
            revision: listed.revision,
            lease: listed.leases.first().map(granted).transpose()?,
        })
    }
}

/// The underlay address of the host of this number.
pub fn underlay(number: u32) -> String {
    let [_, b, c, d] = number.to_be_bytes();
    format!("172.{}.{c}.{d}", 16 + b)
}

/// The MAC of its device.
pub fn mac(number: u32) -> String {
    let [a, b, c, d] = number.to_be_bytes();
    format!("02:00:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
}

/// The answer, or DEADLINE_EXCEEDED.
pub async fn answer<T>(
    asked: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, Status> {
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(answer) => answer.map(Response::into_inner),
        Err(_) => Err(Status::deadline_exceeded("no answer in time")),
    }
}

pub fn grant(lease: &v1::Lease) -> Result<Grant> {
    let subnets = lease.subnets.iter().map(|subnet| subnet.parse());
    Ok(Grant {
        life: lease.life.parse().context("a life")?,
        subnets: subnets.collect::<Result<_, _>>().context("a subnet")?,
        revision: lease.revision,
    })
}

/// What a client knows after this answer.
pub fn outcome<T>(answer: Result<T, Status>) -> Outcome<T> {
    match answer {
        Ok(value) => Outcome::Done(value),
        Err(status) if may_have_happened(&status) => Outcome::Unknown,
        Err(status) => Outcome::Refused(status.code(), status.message().into()),
    }
}

pub fn may_have_happened(status: &Status) -> bool {
    // Only a status that was made on this side has a source: the connection broke.
    let broken = std::error::Error::source(status).is_some();
    broken || matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded)
}

/// A lease that cannot be read is an answer that a controller must not give.
pub fn granted(lease: &v1::Lease) -> Result<Grant, Status> {
    grant(lease).map_err(|error| Status::data_loss(format!("{error:#}")))
}
