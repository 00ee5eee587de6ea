//! The thinking half of Weft, pure: no IO, no clock, no async, no randomness.
//!
//! - The words: [`name`], [`id`], [`subnet`], [`network`], [`time`], [`hash`].
//! - What the store holds: [`key`], [`record`]; how it is changed: [`txn`].
//! - What a controller knows: [`registry`], built from the store's changes alone.
//! - What a controller may do: [`decide`], one function a transaction. A decision
//!   is a value (comparisons and writes) that the store then judges.
//! - What agents are told: [`feed`].
//! - What an agent does with it: [`datapath`]; without a session: [`pause`].
//! - What may be asked of an agent from afar: [`afar`]; the way of a packet: [`trace`];
//!   what is sent and measured between hosts for a while: [`trial`].
//! - What happened at a daemon: [`event`].
//! - How agents find out whether packets pass between them: [`probe`]; and whether their
//!   hosts are fit for it: [`doctor`].
//! - What is attached to a network, and what the fleet knows of it: [`endpoint`].
//! - Who is trusted with what: [`trust`].
//!
//! The walls of this crate are in its `clippy.toml` and in `tests/tests/walls.rs`.

pub mod afar;
pub mod allocation;
pub mod datapath;
pub mod decide;
pub mod doctor;
pub mod endpoint;
pub mod event;
pub mod feed;
pub mod flight;
pub mod hash;
pub mod id;
pub mod key;
pub mod name;
pub mod network;
pub mod pause;
pub mod probe;
pub mod record;
pub mod registry;
pub mod subnet;
pub mod time;
pub mod trace;
pub mod trial;
pub mod trust;
pub mod txn;

#[cfg(test)]
mod fleet;
