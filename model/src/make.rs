//! Strategies: hosts, what an earlier life left in their kernels, changes to their
//! peers. Values are few and small, so that they collide and shrink to what can be read.

mod foreign;
mod hosts;
mod leftovers;
mod peers;
mod ports;

pub use foreign::{Foreign, foreign, is_foreign, plant};
pub use hosts::{Part, Standing, doubtful_hosts, host, host_of, hosts};
pub use leftovers::{leftovers, own_leftovers, parts};
pub use peers::{changes, peers};
pub use ports::{filters, ports};
