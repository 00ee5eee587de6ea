//! The network half: Docker makes a network, and containers join it.

use std::net::IpAddr;

use overlay::{
    endpoint::{Bandwidth, Key, Who},
    name::NetworkName,
    record::MacError,
    subnet::Subnet,
};
use serde_json::{Value, json};
use socket::words::{Attach, Detach, Ground, Reason};
use thiserror::Error;
use tracing::info;

use super::{
    CallError, Driver, key,
    notes::{Change, EndpointNote, NetworkNote},
    pool::{self, ADDRESS_SPACE, NETWORK},
    port::{self, PortError},
    route,
    words::{
        CreateEndpoint, CreateNetwork, DeleteNetwork, EndpointOf, IpamData, Join, Joined, PORT_MAP,
    },
};

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NetworkError {
    #[error("say --ipam-driver weft: Docker's own would give out addresses that other hosts have")]
    ForeignAddresses,
    #[error(
        "the addresses are of network {has}, and not of {named}; say --ipam-opt {NETWORK}={named} as well"
    )]
    OtherAddresses {
        has: NetworkName,
        named: NetworkName,
    },
    #[error("no network of this host has {0}")]
    Nobodys(String),
    #[error("endpoint {0} was not created here")]
    NoEndpoint(String),
    #[error("endpoint {0} has no address")]
    NoAddress(String),
    #[error("endpoint {id}: {source}")]
    Mac { id: String, source: MacError },
    #[error("the agent left nothing for Docker to fetch")]
    NotHanded,
}

impl Driver {
    pub(super) async fn create_network(&self, ask: &CreateNetwork) -> Result<(), CallError> {
        if ask.data().any(|data| data.address_space != ADDRESS_SPACE) {
            return Err(NetworkError::ForeignAddresses.into());
        }
        let grounds = self.door.grounds().await?;
        let mut network = pool::named(ask.said())?;
        for data in ask.data() {
            let has = addressed(data, &grounds)?;
            match &network {
                Some(named) if *named != has => {
                    let named = named.clone();
                    return Err(NetworkError::OtherAddresses { has, named }.into());
                }
                Some(_) => {}
                None => network = Some(has),
            }
        }
        // Docker gives addresses to every network but `null`'s.
        let network = network.ok_or(NetworkError::ForeignAddresses)?;
        pool::find(&network, &grounds)?;
        self.notes.settle_all().await?;
        info!(id = %ask.network_id, %network, "Docker made a network");
        let internal = ask.internal();
        let note = NetworkNote { network, internal };
        let change = Change::Network(ask.network_id.clone(), Some(note));
        Ok(self.notes.change(change).await?)
    }

    pub(super) async fn delete_network(&self, ask: &DeleteNetwork) -> Result<(), CallError> {
        let change = Change::Network(ask.network_id.clone(), None);
        Ok(self.notes.change(change).await?)
    }

    pub(super) async fn create_endpoint(&self, ask: &CreateEndpoint) -> Result<(), CallError> {
        let id = &ask.endpoint_id;
        let addresses = addresses(ask)?;
        let noted = self.notes.network(&ask.network_id).await?;
        let noted = match noted {
            Some(noted) => noted,
            None => self.guess(&addresses).await?,
        };
        let mac = ask.interface.mac().map_err(|source| NetworkError::Mac {
            id: id.clone(),
            source,
        })?;
        let ports = ask
            .ports()
            .map_err(|error| PortError::Words(error.to_string()))?;
        // What could never be published is refused before anything is made.
        port::publish(&ports, &[])?;
        let note = EndpointNote {
            network: noted.network,
            internal: noted.internal,
            addresses,
            mac,
            ports,
        };
        let change = Change::Endpoint(id.clone(), Some(note));
        Ok(self.notes.change(change).await?)
    }

    pub(super) async fn join(&self, ask: &Join) -> Result<Joined, CallError> {
        let id = &ask.endpoint_id;
        let noted = self.notes.endpoint(id).await?;
        let noted = noted.ok_or_else(|| NetworkError::NoEndpoint(id.clone()))?;
        let publish = if port::open(&noted.ports) {
            let shown = self.door.list().await?;
            let taken = shown.into_iter().flat_map(|shown| shown.endpoint.publish);
            port::publish(&noted.ports, &taken.collect::<Vec<_>>())?
        } else {
            port::publish(&noted.ports, &[])?
        };
        let attach = Attach {
            network: noted.network,
            key: endpoint_key(id)?,
            netns: ask.sandbox_key.clone(),
            // Docker gives it a name of its own.
            interface: "eth0".to_owned(),
            addresses: noted.addresses,
            mac: noted.mac,
            who: Who::default(),
            publish,
            bandwidth: Bandwidth::default(),
            hand: true,
            told: false,
        };
        let attached = self.patiently(|| self.door.attach(attach.clone())).await?;
        let handed = attached.handed.clone().ok_or(NetworkError::NotHanded)?;
        Ok(route::joined(&attached, handed, noted.internal))
    }

    pub(super) async fn leave(&self, ask: &EndpointOf) -> Result<(), CallError> {
        self.detach(ask).await
    }

    pub(super) async fn delete_endpoint(&self, ask: &EndpointOf) -> Result<(), CallError> {
        self.detach(ask).await?;
        let change = Change::Endpoint(ask.endpoint_id.clone(), None);
        Ok(self.notes.change(change).await?)
    }

    pub(super) async fn oper_info(&self, ask: &EndpointOf) -> Result<Value, CallError> {
        let key = endpoint_key(&ask.endpoint_id)?;
        let shown = self.door.list().await?;
        let shown = shown.into_iter().find(|shown| shown.endpoint.key == key);
        let publish = shown.map(|shown| shown.endpoint.publish);
        let maps = publish.iter().flatten().flat_map(port::map);
        let maps: Vec<_> = maps.collect();
        Ok(json!({ "Value": { PORT_MAP: maps } }))
    }

    async fn detach(&self, ask: &EndpointOf) -> Result<(), CallError> {
        let key = endpoint_key(&ask.endpoint_id)?;
        let Some(network) = self.network_of(ask, &key).await? else {
            return Ok(());
        };
        let detach = Detach {
            network,
            key,
            seq: None,
        };
        match self.door.detach(detach).await {
            Err(refusal) if refusal.reason != Reason::NotJoined => Err(refusal.into()),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// None: it is nowhere.
    async fn network_of(
        &self,
        ask: &EndpointOf,
        key: &Key,
    ) -> Result<Option<NetworkName>, CallError> {
        if let Some(noted) = self.notes.endpoint(&ask.endpoint_id).await? {
            return Ok(Some(noted.network));
        }
        let shown = self.door.list().await?;
        let mut shown = shown.into_iter().map(|shown| shown.endpoint);
        let found = shown.find(|endpoint| endpoint.key == *key);
        Ok(found.map(|endpoint| endpoint.network))
    }

    /// Docker made the network before this agent's notes began.
    async fn guess(&self, addresses: &[IpAddr]) -> Result<NetworkNote, CallError> {
        let grounds = self.door.grounds().await?;
        let holds = |ground: &&Ground| {
            let mut pools = ground.pools.iter();
            pools.any(|pool| addresses.iter().any(|address| pool.holds(*address)))
        };
        let ground = grounds.iter().find(holds);
        let ground = ground.ok_or_else(|| NetworkError::Nobodys(format!("{addresses:?}")))?;
        Ok(NetworkNote {
            network: ground.network.clone(),
            internal: false,
        })
    }
}

fn endpoint_key(endpoint_id: &str) -> Result<Key, CallError> {
    key::of(endpoint_id).map_err(|_| NetworkError::NoEndpoint(endpoint_id.to_owned()).into())
}

/// Whose addresses these are. The pool says it; where it says nothing, the gateway does.
fn addressed(data: &IpamData, grounds: &[Ground]) -> Result<NetworkName, NetworkError> {
    let gateway = data.gateway.split('/').next().unwrap_or_default();
    let gateway: Option<IpAddr> = gateway.parse().ok();
    let pool: Option<Subnet> = data.pool.parse().ok();
    let holds = |ground: &&Ground| {
        let mut pools = ground.pools.iter();
        pools.any(|whole| {
            pool.is_some_and(|pool| whole.contains(pool))
                || gateway.is_some_and(|gateway| whole.holds(gateway))
        })
    };
    let ground = grounds.iter().find(holds);
    let ground = ground.ok_or_else(|| NetworkError::Nobodys(data.pool.clone()))?;
    Ok(ground.network.clone())
}

fn addresses(ask: &CreateEndpoint) -> Result<Vec<IpAddr>, NetworkError> {
    let no = || NetworkError::NoAddress(ask.endpoint_id.clone());
    let both = [&ask.interface.address, &ask.interface.address_v6];
    let said = both.into_iter().filter(|text| !text.is_empty());
    let parsed = said.map(|text| {
        let address = text.split('/').next().unwrap_or_default();
        address.parse().map_err(|_| no())
    });
    let addresses: Vec<IpAddr> = parsed.collect::<Result<_, _>>()?;
    if addresses.is_empty() {
        return Err(no());
    }
    Ok(addresses)
}
