//! Subnets and what is wrong with them, as they are listed.

use serde::Serialize;
use socket::words::{Finding, Use};

use crate::output::{Row, or_dash};

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UseRow {
    pub network: String,
    pub subnet: String,
    pub used: u64,
    pub held: u64,
    pub cooling: u64,
    pub free: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FindingRow {
    pub problem: String,
    pub remedy: Option<String>,
}

impl From<Use> for UseRow {
    fn from(told: Use) -> Self {
        Self {
            network: told.network.to_string(),
            subnet: told.subnet.to_string(),
            used: told.used,
            held: told.held,
            cooling: told.cooling,
            free: told.free,
        }
    }
}

impl From<Finding> for FindingRow {
    fn from(finding: Finding) -> Self {
        let Finding { problem, remedy } = finding;
        Self { problem, remedy }
    }
}

impl Row for UseRow {
    const COLUMNS: &'static [&'static str] =
        &["NETWORK", "SUBNET", "USED", "HELD", "COOLING", "FREE"];
    const SPARE: &'static [&'static str] = &["HELD", "COOLING"];

    fn cells(&self, _now_ms: u64) -> Vec<String> {
        let counts = [self.used, self.held, self.cooling, self.free];
        let names = [self.network.clone(), self.subnet.clone()];
        let counts = counts.map(|count| count.to_string());
        names.into_iter().chain(counts).collect()
    }
}

impl Row for FindingRow {
    const COLUMNS: &'static [&'static str] = &["PROBLEM", "REMEDY"];
    const SPARE: &'static [&'static str] = &[];

    fn cells(&self, _now_ms: u64) -> Vec<String> {
        vec![self.problem.clone(), or_dash(self.remedy.as_ref())]
    }
}
