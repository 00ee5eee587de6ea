//! The data path: what peers cost a host, and what the overlay costs packets. Real
//! agents on hosts of a lab, beside what the same kernel does without them in the same
//! minutes.

pub mod bandwidth;
pub mod cpu;
pub mod forms;
pub mod peers;
pub mod traffic;

mod batch;
mod change;
mod fleet;
mod look;
mod meter;
mod stay;
mod trial;

/// Of each figure that is a median; the variants take turns.
const ROUNDS: usize = 5;
