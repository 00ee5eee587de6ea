//! Leases a second: each a new node, acknowledged only when it is durable.

use std::sync::Arc;

use anyhow::Result;
use proto::v1::{
    AcquireRequest, CreateNetworkRequest, lease_service_client::LeaseServiceClient,
    network_service_client::NetworkServiceClient,
};
use tonic::transport::{Channel, Endpoint};

use crate::rate::{Rate, measure};

/// Connections that the clients share.
const CONNECTIONS: usize = 16;
/// A million subnets.
const POOL: &str = "10.0.0.0/8";
const LEN: u32 = 28;

pub async fn connect(url: &str) -> Result<Channel> {
    Ok(Endpoint::from_shared(url.to_owned())?
        .tcp_nodelay(true)
        .connect()
        .await?)
}

/// A network large enough for every run.
pub async fn make_network(url: &str, name: &str) -> Result<()> {
    let request = CreateNetworkRequest {
        name: name.into(),
        pools: vec![POOL.into()],
        subnet_len4: LEN,
        ..CreateNetworkRequest::default()
    };
    NetworkServiceClient::new(connect(url).await?)
        .create(request)
        .await?;
    Ok(())
}

pub async fn acquires(
    url: &str,
    network: &str,
    clients: usize,
    total: usize,
    run: usize,
) -> Result<Rate> {
    let mut channels = Vec::new();
    for _ in 0..clients.min(CONNECTIONS) {
        channels.push(connect(url).await?);
    }
    let channels = Arc::new(channels);
    let network = network.to_owned();
    measure(clients, total, move |client, number| {
        let channel = channels[client % channels.len()].clone();
        let request = AcquireRequest {
            network: network.clone(),
            node: format!("bench-{run}-{clients}-{number}"),
            ..AcquireRequest::default()
        };
        async move {
            LeaseServiceClient::new(channel).acquire(request).await?;
            Ok(())
        }
    })
    .await
}
