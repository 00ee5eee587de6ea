//! Containers on this host: who is attached to which network, and with which address.
//!
//! [`door`] is how everybody else asks: the unix socket, and the Docker driver.

pub mod door;

pub use door::Door;
