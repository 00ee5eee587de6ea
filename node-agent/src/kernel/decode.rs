//! What the kernel tells, as values. Lists and notifications hold the same messages.
//!
//! They are read in place, because of all routes of a host few are ours, and because
//! an attribute that is new to us must not cost us the rest of the message.

pub mod address;
pub mod attribute;
pub mod link;
pub mod neighbour;
pub mod route;

pub const AF_INET: u8 = 2;
pub const AF_BRIDGE: u8 = 7;
pub const AF_INET6: u8 = 10;
