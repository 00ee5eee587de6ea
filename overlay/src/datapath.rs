//! One host's data path, as values: what the kernel should hold, what it holds, and the
//! steps between.
//!
//! - [`uplink`]: where a network's packets leave the host, and what fits into one.
//! - [`device`], [`entry`]: the objects that Weft puts into a kernel.
//! - [`member`]: one network on this host: its lease, its peers, what follows from them.
//! - [`loss`]: a sudden loss of most peers is not obeyed at once.
//! - [`firewall`]: who may send to the VXLAN port, and which ports lead to containers.
//! - [`forward`]: packets of the overlay pass under somebody else's iptables.
//! - [`host`]: all networks together.
//! - [`observed`]: what a kernel holds, and which of it is ours ([`observed::ours`]).
//! - [`plan`]: the difference, as [`step::Step`]s in an order whose every prefix is safe.

pub mod claimed;
pub mod device;
pub mod entry;
pub mod firewall;
pub mod forward;
pub mod host;
pub mod loss;
pub mod member;
pub mod observed;
pub mod plan;
pub mod step;
pub mod uplink;
