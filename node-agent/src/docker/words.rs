//! What dockerd asks of a plugin, and what it is answered.

use std::{collections::BTreeMap, net::IpAddr};

use overlay::record::Mac;
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};
use serde_json::Value;

/// The kind of request that asks for a gateway's address.
pub const GATEWAY: &str = "com.docker.network.gateway";
const REQUEST_TYPE: &str = "RequestAddressType";
const MAC: &str = "com.docker.network.endpoint.macaddress";
const GENERIC: &str = "com.docker.network.generic";
const INTERNAL: &str = "com.docker.network.internal";
pub const PORT_MAP: &str = "com.docker.network.portmap";

#[derive(Debug, Clone, PartialEq)]
pub enum Call {
    Activate,
    NetworkCapabilities,
    IpamCapabilities,
    AddressSpaces,
    RequestPool(RequestPool),
    ReleasePool(ReleasePool),
    RequestAddress(RequestAddress),
    ReleaseAddress(ReleaseAddress),
    CreateNetwork(CreateNetwork),
    DeleteNetwork(DeleteNetwork),
    CreateEndpoint(CreateEndpoint),
    DeleteEndpoint(EndpointOf),
    Join(Join),
    Leave(EndpointOf),
    OperInfo(EndpointOf),
    /// The container's way out of Docker's networks is, or is no longer, this one.
    External,
    /// Another node of a swarm.
    Discover,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RequestPool {
    #[serde(default, deserialize_with = "nullable")]
    pub pool: String,
    #[serde(default, deserialize_with = "nullable")]
    pub sub_pool: String,
    #[serde(default, deserialize_with = "nullable")]
    pub options: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "nullable")]
    pub v6: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleasePool {
    #[serde(rename = "PoolID")]
    pub pool_id: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RequestAddress {
    #[serde(rename = "PoolID")]
    pub pool_id: String,
    #[serde(default, deserialize_with = "nullable")]
    pub address: String,
    #[serde(default, deserialize_with = "nullable")]
    pub options: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ReleaseAddress {
    #[serde(rename = "PoolID")]
    pub pool_id: String,
    pub address: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateNetwork {
    #[serde(rename = "NetworkID")]
    pub network_id: String,
    #[serde(default, deserialize_with = "nullable")]
    options: BTreeMap<String, Value>,
    #[serde(rename = "IPv4Data", default, deserialize_with = "nullable")]
    v4: Vec<IpamData>,
    #[serde(rename = "IPv6Data", default, deserialize_with = "nullable")]
    v6: Vec<IpamData>,
}

/// What an IPAM driver gave to a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct IpamData {
    #[serde(default, deserialize_with = "nullable")]
    pub address_space: String,
    #[serde(default, deserialize_with = "nullable")]
    pub pool: String,
    #[serde(default, deserialize_with = "nullable")]
    pub gateway: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeleteNetwork {
    #[serde(rename = "NetworkID")]
    pub network_id: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct CreateEndpoint {
    #[serde(rename = "NetworkID")]
    pub network_id: String,
    #[serde(rename = "EndpointID")]
    pub endpoint_id: String,
    #[serde(default, deserialize_with = "nullable")]
    pub interface: Interface,
    #[serde(default, deserialize_with = "nullable")]
    options: BTreeMap<String, Value>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Interface {
    #[serde(deserialize_with = "nullable")]
    pub address: String,
    #[serde(rename = "AddressIPv6", deserialize_with = "nullable")]
    pub address_v6: String,
    #[serde(deserialize_with = "nullable")]
    pub mac_address: String,
}

/// A port of a container that the host is to answer for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct PortMap {
    pub proto: u8,
    #[serde(rename = "HostIP", deserialize_with = "nullable")]
    pub host_ip: String,
    pub port: u16,
    /// 0: any that is free.
    pub host_port: u16,
    /// Any that is free, up to this one.
    pub host_port_end: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Join {
    #[serde(rename = "NetworkID")]
    pub network_id: String,
    #[serde(rename = "EndpointID")]
    pub endpoint_id: String,
    pub sandbox_key: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointOf {
    #[serde(rename = "NetworkID", default, deserialize_with = "nullable")]
    pub network_id: String,
    #[serde(rename = "EndpointID")]
    pub endpoint_id: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GivenPool {
    #[serde(rename = "PoolID")]
    pub pool_id: String,
    #[serde(rename = "Pool")]
    pub pool: String,
    #[serde(rename = "Data")]
    pub data: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct GivenAddress {
    pub address: String,
    pub data: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Joined {
    pub interface_name: InterfaceName,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    #[serde(rename = "GatewayIPv6", skip_serializing_if = "Option::is_none")]
    pub gateway_v6: Option<IpAddr>,
    pub static_routes: Vec<StaticRoute>,
    /// Docker gives no other way out.
    pub disable_gateway_service: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct InterfaceName {
    pub src_name: String,
    pub dst_prefix: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct StaticRoute {
    pub destination: String,
    /// 0: by the next hop, 1: on the link.
    pub route_type: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_hop: Option<IpAddr>,
}

impl Call {
    /// None: there is no such call.
    pub fn read(method: &str, body: &[u8]) -> Result<Option<Self>, serde_json::Error> {
        let call = match method {
            "Plugin.Activate" => Self::Activate,
            "NetworkDriver.GetCapabilities" => Self::NetworkCapabilities,
            "IpamDriver.GetCapabilities" => Self::IpamCapabilities,
            "IpamDriver.GetDefaultAddressSpaces" => Self::AddressSpaces,
            "IpamDriver.RequestPool" => Self::RequestPool(decode(body)?),
            "IpamDriver.ReleasePool" => Self::ReleasePool(decode(body)?),
            "IpamDriver.RequestAddress" => Self::RequestAddress(decode(body)?),
            "IpamDriver.ReleaseAddress" => Self::ReleaseAddress(decode(body)?),
            "NetworkDriver.CreateNetwork" => Self::CreateNetwork(decode(body)?),
            "NetworkDriver.DeleteNetwork" => Self::DeleteNetwork(decode(body)?),
            "NetworkDriver.CreateEndpoint" => Self::CreateEndpoint(decode(body)?),
            "NetworkDriver.DeleteEndpoint" => Self::DeleteEndpoint(decode(body)?),
            "NetworkDriver.Join" => Self::Join(decode(body)?),
            "NetworkDriver.Leave" => Self::Leave(decode(body)?),
            "NetworkDriver.EndpointOperInfo" => Self::OperInfo(decode(body)?),
            "NetworkDriver.ProgramExternalConnectivity"
            | "NetworkDriver.RevokeExternalConnectivity" => Self::External,
            "NetworkDriver.DiscoverNew" | "NetworkDriver.DiscoverDelete" => Self::Discover,
            _ => return Ok(None),
        };
        Ok(Some(call))
    }
}

impl RequestAddress {
    pub fn is_gateway(&self) -> bool {
        self.options.get(REQUEST_TYPE).map(String::as_str) == Some(GATEWAY)
    }

    /// None: it is no container's that starts, but what was given before a restart of
    /// dockerd, or an address that Docker is to give to nobody.
    pub fn mac(&self) -> Option<&str> {
        self.options.get(MAC).map(String::as_str)
    }
}

impl CreateNetwork {
    pub fn internal(&self) -> bool {
        self.options.get(INTERNAL).and_then(Value::as_bool) == Some(true)
    }

    /// What was said with `-o`.
    pub fn said(&self) -> impl Iterator<Item = (&str, &str)> {
        let generic = self.options.get(GENERIC).and_then(Value::as_object);
        let pairs = generic.into_iter().flatten();
        pairs.filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)))
    }

    pub fn data(&self) -> impl Iterator<Item = &IpamData> {
        self.v4.iter().chain(&self.v6)
    }
}

impl CreateEndpoint {
    /// Docker of other versions may say more of a port, and less.
    pub fn ports(&self) -> Result<Vec<PortMap>, serde_json::Error> {
        match self.options.get(PORT_MAP) {
            None | Some(Value::Null) => Ok(Vec::new()),
            Some(ports) => Vec::<PortMap>::deserialize(ports),
        }
    }
}

impl Interface {
    pub fn mac(&self) -> Result<Option<Mac>, overlay::record::MacError> {
        if self.mac_address.is_empty() {
            return Ok(None);
        }
        self.mac_address.parse().map(Some)
    }
}

/// An empty body is an empty object.
fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T, serde_json::Error> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body)
}

/// Go writes a map or list that was never made as null.
fn nullable<'de, T, D>(decoder: D) -> Result<T, D::Error>
where
    T: Default + Deserialize<'de>,
    D: Deserializer<'de>,
{
    Ok(Option::deserialize(decoder)?.unwrap_or_default())
}
