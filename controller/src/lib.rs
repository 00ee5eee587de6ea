//! weft-controller: leases every host its own subnets.
//!
//! Two roads lead through this crate:
//!
//! - request -> store: [`services`] decode, the [`keeper`] decides (by
//!   `overlay::decide`) and commits to the [`store`], the service encodes the answer.
//! - change -> agents: [`follow`] reads the store, the [`keeper`] applies it to the
//!   registry, the [`feed`] encodes it once, each [`session`] sends it on.
//!
//! Who may walk on them is decided before: [`listener`], [`trust`].
//!
//! One task owns what the controller knows ([`keeper`]), one the ttls that sessions
//! hang on ([`seats`]), one drives each agent's stream ([`session`]). The first two have
//! a thread apart from all streams.

mod apart;
pub mod carry;
pub mod clock;
pub mod config;
pub mod endpoint_watch;
pub mod feed;
pub mod finish;
pub mod first_network;
pub mod follow;
pub mod health;
pub mod keeper;
pub mod lease_watch;
pub mod listener;
pub mod metrics;
pub mod ops;
mod parts;
pub mod roster;
pub mod run;
pub mod seats;
pub mod services;
pub mod session;
pub mod store;
pub mod trust;
pub mod upkeep;
pub mod watching;
