//! Leases as `weft lease list -o json` tells of them.

use std::net::IpAddr;

use anyhow::{Context, Result};
use serde_json::Value;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub node: String,
    pub network: String,
    pub subnets: Vec<String>,
    pub underlay: IpAddr,
    pub mac: String,
}

impl Lease {
    /// Those of one network.
    pub fn all(listed: &Value, network: &str) -> Result<Vec<Self>> {
        let of_it = |lease: &&Value| lease["network"] == network;
        let listed_leases = listed.as_array().context("a list of leases")?;
        let leases = listed_leases.iter().filter(of_it).map(Self::parse);
        leases
            .collect::<Result<_>>()
            .with_context(|| listed.to_string())
    }

    fn parse(lease: &Value) -> Result<Self> {
        let text = |field: &str| -> Result<String> {
            let text = lease[field].as_str();
            Ok(text.with_context(|| format!("its {field}"))?.to_owned())
        };
        let subnets = lease["subnets"].as_array().context("its subnets")?;
        let subnets = subnets.iter().filter_map(Value::as_str);
        Ok(Self {
            node: text("node")?,
            network: text("network")?,
            subnets: subnets.map(str::to_owned).collect(),
            underlay: text("underlay")?.parse()?,
            mac: text("mac")?,
        })
    }
}

/// The address at which a subnet begins.
pub fn base(subnet: &str) -> Result<IpAddr> {
    let (base, _) = subnet.split_once('/').context("a subnet")?;
    base.parse().with_context(|| format!("subnet {subnet}"))
}
