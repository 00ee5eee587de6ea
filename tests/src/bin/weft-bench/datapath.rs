//! The data path: what peers cost a host, and what the overlay costs packets. Real
//! agents on hosts of a lab, beside what the same kernel does without them in the same
//! minutes.

pub mod bandwidth;
pub mod cpu;
pub mod peers;
pub mod traffic;

mod batch;
mod change;
mod fleet;
mod look;
mod meter;
mod stay;
mod trial;

use anyhow::{Context, Result};

/// Of each figure that is a median; the variants take turns.
const ROUNDS: usize = 5;

/// Tables of a busy machine say so.
fn load() -> Result<String> {
    let load = std::fs::read_to_string("/proc/loadavg").context("/proc/loadavg")?;
    let minute = load.split(' ').next().context("a load")?;
    Ok(format!("load average before: {minute}"))
}
