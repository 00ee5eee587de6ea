//! A network as it is listed.

use std::time::Duration;

use proto::v1;
use serde::Serialize;

use crate::output::{Row, joined};

/// The counts are subnets, of the pool with the fewest free ones: a lease takes
/// one of each pool.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NetworkRow {
    pub name: String,
    pub vni: u32,
    pub port: u32,
    pub pools: Vec<String>,
    pub subnet_len4: Option<u32>,
    pub subnet_len6: Option<u32>,
    pub underlay: String,
    pub encap: String,
    pub masquerade: bool,
    pub lapse: String,
    pub state: String,
    pub total: u64,
    pub leased: u64,
    pub reserved: u64,
    pub free: u64,
    pub revision: u64,
}

impl From<v1::Network> for NetworkRow {
    fn from(network: v1::Network) -> Self {
        let scarce = network.r#use.into_iter().min_by_key(|pool| pool.free);
        let scarce = scarce.unwrap_or_default();
        Self {
            name: network.name,
            vni: network.vni,
            port: network.port,
            pools: network.pools,
            subnet_len4: Some(network.subnet_len4).filter(|len| *len != 0),
            subnet_len6: Some(network.subnet_len6).filter(|len| *len != 0),
            underlay: network.underlay,
            encap: network.encap,
            masquerade: network.masquerade,
            lapse: options::format_duration(Duration::from_secs(network.lapse_seconds)),
            state: network.state,
            total: scarce.total,
            leased: scarce.leased,
            reserved: scarce.reserved,
            free: scarce.free,
            revision: network.revision,
        }
    }
}

impl Row for NetworkRow {
    const COLUMNS: &'static [&'static str] = &[
        "NAME", "VNI", "POOLS", "UNDERLAY", "ENCAP", "LEASED", "RESERVED", "FREE", "STATE",
    ];
    const SPARE: &'static [&'static str] =
        &["ENCAP", "UNDERLAY", "RESERVED", "VNI", "FREE", "STATE"];

    fn cells(&self, _now_ms: u64) -> Vec<String> {
        vec![
            self.name.clone(),
            self.vni.to_string(),
            joined(&self.pools),
            self.underlay.clone(),
            self.encap.clone(),
            self.used(),
            self.reserved.to_string(),
            self.free.to_string(),
            self.state.clone(),
        ]
    }
}

impl NetworkRow {
    /// `12/4096 (0%)`. Full is said only of what is full.
    pub fn used(&self) -> String {
        let percent = u128::from(self.leased) * 100 / u128::from(self.total.max(1));
        format!("{}/{} ({percent}%)", self.leased, self.total)
    }
}

#[cfg(test)]
mod tests;
