//! What a controller would tell this node, asked for without a session.

use std::time::Duration;

use overlay::{
    feed::Peers,
    name::{NetworkName, NodeName},
};
use proto::{
    decode::{self, BadField},
    v1::{
        self, lease_service_client::LeaseServiceClient,
        network_service_client::NetworkServiceClient,
    },
};
use thiserror::Error;
use tokio::time::timeout;
use tonic::{
    Code, Status,
    transport::{Channel, Endpoint},
};

use crate::session::Told;

const CONNECT_WITHIN: Duration = Duration::from_secs(3);
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// The leases of tens of thousands of nodes come in one message.
const MESSAGE_LIMIT: usize = 1 << 30;

#[derive(Debug, Error)]
pub enum AskedError {
    #[error("no controller answers ({tried})")]
    Nobody { tried: String },
    #[error("{url} does not tell of network {network}: {}", status.message())]
    Refused {
        url: String,
        network: NetworkName,
        status: Box<Status>,
    },
    #[error(
        "{url} has not answered within {}",
        options::format_duration(ANSWER_WITHIN)
    )]
    Late { url: String },
    #[error("{url} said something that cannot be")]
    Nonsense {
        url: String,
        #[source]
        source: BadField,
    },
}

/// The words of a session that had just begun, of the first controller that answers.
pub async fn asked(
    urls: &[String],
    node: &NodeName,
    networks: &[NetworkName],
) -> Result<Vec<Told>, AskedError> {
    let (url, channel) = connect(urls).await?;
    let late = || AskedError::Late { url: url.into() };
    let mut told = Vec::new();
    for network in networks {
        let words = timeout(ANSWER_WITHIN, of_network(url, &channel, node, network));
        told.extend(words.await.map_err(|_| late())??);
    }
    Ok(told)
}

async fn connect(urls: &[String]) -> Result<(&str, Channel), AskedError> {
    let mut tried = Vec::new();
    for url in urls {
        let connected = async {
            let endpoint = Endpoint::from_shared(url.clone())?;
            endpoint.connect_timeout(CONNECT_WITHIN).connect().await
        };
        let reason = match timeout(CONNECT_WITHIN, connected).await {
            Ok(Ok(channel)) => return Ok((url, channel)),
            Ok(Err(error)) => options::root(&error).to_string(),
            Err(_) => format!(
                "nothing heard for {}",
                options::format_duration(CONNECT_WITHIN)
            ),
        };
        tried.push(format!("{url}: {reason}"));
    }
    Err(AskedError::Nobody {
        tried: tried.join(", "),
    })
}

/// Nothing of a network in which this node has no lease.
async fn of_network(
    url: &str,
    channel: &Channel,
    node: &NodeName,
    network: &NetworkName,
) -> Result<Vec<Told>, AskedError> {
    let refused = |status| AskedError::Refused {
        url: url.to_owned(),
        network: network.clone(),
        status: Box::new(status),
    };
    let nonsense = |source| AskedError::Nonsense {
        url: url.to_owned(),
        source,
    };
    let request = v1::GetNetworkRequest {
        name: network.to_string(),
    };
    let mut networks = NetworkServiceClient::new(channel.clone());
    let record = match networks.get(request).await {
        Ok(record) => decode::network(record.get_ref()).map_err(nonsense)?,
        Err(status) if status.code() == Code::NotFound => {
            return Ok(vec![Told::Refused {
                network: network.to_string(),
                reason: status.message().to_owned(),
            }]);
        }
        Err(status) => return Err(refused(status)),
    };
    let request = v1::ListLeasesRequest {
        network: network.to_string(),
        node: String::new(),
    };
    let leases = LeaseServiceClient::new(channel.clone());
    let mut leases = leases.max_decoding_message_size(MESSAGE_LIMIT);
    let listed = leases.list(request).await.map_err(refused)?.into_inner();
    let revision = listed.revision;
    let (own, peers) = sorted(listed.leases, node).map_err(nonsense)?;
    let Some(own) = own else {
        return Ok(Vec::new());
    };
    let subnets = decode::subnets("subnets", &own.subnets).map_err(nonsense)?;
    Ok(vec![
        Told::Joined {
            network: record,
            subnets,
        },
        Told::Snapshot {
            network: network.clone(),
            revision,
            peers,
        },
    ])
}

/// This node's lease, and those of the others that can be sent to.
fn sorted(leases: Vec<v1::Lease>, node: &NodeName) -> Result<(Option<v1::Lease>, Peers), BadField> {
    let mut own = None;
    let mut peers = Peers::new();
    for lease in leases {
        if lease.node == node.as_str() {
            own = Some(lease);
        } else if !lease.underlay.is_empty() && !lease.mac.is_empty() {
            let (node, peer) = decode::peer(&v1::Peer {
                node: lease.node,
                subnets: lease.subnets,
                underlay: lease.underlay,
                mac: lease.mac,
            })?;
            peers.insert(node, peer);
        }
    }
    Ok((own, peers))
}
