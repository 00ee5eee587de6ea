//! Weft under everything that can befall it, for as long as one likes, and judges over
//! what came of it.

pub mod hosts;
pub mod leases;
