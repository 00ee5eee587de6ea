//! Who is meant by a name, an address or an id, and where that is.

use std::net::IpAddr;

use overlay::{
    endpoint::EndpointId,
    name::{NetworkName, NodeName},
    network::Vni,
    record::Mac,
    subnet::{Family, Subnet},
    trace::Stop,
};
use proto::{decode::DEFAULT_NETWORK, v1};

use crate::{connect::Connection, failure::Failure};

/// A network, its leases, and what is attached under the names that were typed.
pub struct Ground {
    pub network: NetworkName,
    pub vni: Vni,
    pub port: u16,
    leases: Vec<v1::Lease>,
    endpoints: Vec<v1::Endpoint>,
}

/// One end of a way.
pub struct Place {
    /// As it was typed.
    pub name: String,
    pub node: NodeName,
    addresses: Vec<IpAddr>,
    pub underlay: Option<IpAddr>,
    mac: Option<Mac>,
    /// None: the node itself. Of a container that nobody knows there is no id.
    pub container: Option<Option<EndpointId>>,
}

impl Ground {
    pub async fn find(
        connection: &Connection,
        network: Option<&NetworkName>,
        names: [&str; 2],
    ) -> Result<Self, Failure> {
        let mut endpoints = Vec::new();
        for which in names {
            let request = v1::ListEndpointsRequest {
                network: network.map(ToString::to_string).unwrap_or_default(),
                node: String::new(),
                which: which.into(),
            };
            let mut client = connection.endpoints();
            let answer = connection.answer(client.list(request)).await?;
            endpoints.push(answer.endpoints);
        }
        let of = |listed: &[v1::Endpoint]| listed.first().map(|first| first.network.clone());
        // A name may be in several networks: the one that has both, or else the first's.
        let mut common = endpoints[0].iter().map(|one| &one.network);
        let common = common.find(|name| endpoints[1].iter().any(|one| one.network == **name));
        let name = match network {
            Some(network) => network.to_string(),
            None => common
                .cloned()
                .or_else(|| of(&endpoints[0]))
                .or_else(|| of(&endpoints[1]))
                .unwrap_or_else(|| DEFAULT_NETWORK.into()),
        };
        let request = v1::GetNetworkRequest { name: name.clone() };
        let mut client = connection.networks();
        let told = connection.answer(client.get(request)).await?;
        let request = v1::ListLeasesRequest {
            network: name,
            node: String::new(),
        };
        let mut client = connection.leases();
        let leases = connection.answer(client.list(request)).await?.leases;
        let broken = |error: &dyn std::fmt::Display| Failure::Refused(error.to_string());
        let network = proto::decode::network(&told).map_err(|error| broken(&error))?;
        let mut endpoints: Vec<_> = endpoints.into_iter().flatten().collect();
        endpoints.retain(|one| one.network == network.name.as_str());
        Ok(Self {
            vni: network.vni,
            port: network.port,
            network: network.name,
            leases,
            endpoints,
        })
    }

    pub fn place(&self, name: &str) -> Result<Place, Failure> {
        let refused = |text: String| Failure::Refused(text);
        let mut meant: Vec<&v1::Endpoint> = self
            .endpoints
            .iter()
            .filter(|one| is_called(one, name))
            .collect();
        meant.sort_by_key(|one| (&one.node, &one.id));
        meant.dedup_by_key(|one| (&one.node, &one.id));
        let typed: Option<IpAddr> = name.parse().ok();
        match meant.as_slice() {
            [one] => {
                let lease = self.lease(&one.node)?;
                let mut place = Place::of(name, lease)?;
                let addresses = one.addresses.iter().filter_map(|text| text.parse().ok());
                place.addresses = addresses.collect();
                if typed.is_some() {
                    place.addresses.retain(|address| Some(*address) == typed);
                }
                place.container = Some(one.id.parse().ok());
                Ok(place)
            }
            [] => match typed {
                None => Place::of(
                    name,
                    self.lease(name).map_err(|_| {
                        let network = &self.network;
                        refused(format!(
                            "{name} is no container and no node of network {network}"
                        ))
                    })?,
                ),
                Some(address) => self.behind(name, address),
            },
            several => {
                let first = several.iter().take(5);
                let known: Vec<String> = first
                    .map(|one| format!("{} on {}", one.addresses.join(","), one.node))
                    .collect();
                let known = known.join("; ");
                Err(refused(format!(
                    "{name} may mean several: {known}; say which by its address"
                )))
            }
        }
    }

    /// An address that no container has said it has.
    fn behind(&self, name: &str, address: IpAddr) -> Result<Place, Failure> {
        let holds = |lease: &&v1::Lease| subnets(lease).iter().any(|subnet| subnet.holds(address));
        let Some(lease) = self.leases.iter().find(holds) else {
            let network = &self.network;
            let text = format!("{address} is in no node's subnet of network {network}");
            return Err(Failure::Refused(text));
        };
        let mut place = Place::of(name, lease)?;
        if !place.addresses.contains(&address) {
            place.container = Some(None);
        }
        place.addresses = vec![address];
        Ok(place)
    }

    fn lease(&self, node: &str) -> Result<&v1::Lease, Failure> {
        let mut leases = self.leases.iter();
        leases.find(|lease| lease.node == node).ok_or_else(|| {
            let network = &self.network;
            Failure::Refused(format!("node {node} has no lease in network {network}"))
        })
    }
}

impl Place {
    /// The node itself: it has the first address of each of its subnets.
    fn of(name: &str, lease: &v1::Lease) -> Result<Self, Failure> {
        let node = lease.node.parse();
        Ok(Self {
            name: name.into(),
            node: node.map_err(|error| Failure::Refused(format!("{}: {error}", lease.node)))?,
            addresses: subnets(lease)
                .iter()
                .map(|subnet| subnet.address())
                .collect(),
            underlay: lease.underlay.parse().ok(),
            mac: lease.mac.parse().ok(),
            container: None,
        })
    }

    pub fn address(&self, family: Family) -> Option<IpAddr> {
        let mut addresses = self.addresses.iter().copied();
        addresses.find(|address| Family::of(*address) == family)
    }

    pub fn stop(&self, address: IpAddr) -> Stop {
        Stop {
            node: self.node.to_string(),
            address,
            underlay: self.underlay,
            mac: self.mac,
            container: self.container.is_some(),
        }
    }
}

fn subnets(lease: &v1::Lease) -> Vec<Subnet> {
    let subnets = lease.subnets.iter();
    subnets.filter_map(|subnet| subnet.parse().ok()).collect()
}

fn is_called(one: &v1::Endpoint, name: &str) -> bool {
    one.name == name
        || one.id == name
        || one.key == name
        || one.aliases.iter().any(|alias| alias == name)
        || one.addresses.iter().any(|address| address == name)
        || (name.len() >= 4 && one.container.starts_with(name))
}
