//! weft-agent: one host's side of the overlay.
//!
//! The road of a change: [`session`] hears it from a controller, [`reconcile`] takes it
//! in (the thinking is `overlay::datapath`'s), [`kernel`] does it. [`kept`] has the last
//! good state on disk; [`identity`] says who this host is, and [`lock`] that only one
//! agent is it. [`probe`] asks peers whether packets pass. [`local`] are the doors for operators and this host's tools.

pub mod access;
pub mod cleanup;
pub mod config;
pub mod docker;
pub mod doctor;
pub mod dry_run;
pub mod endpoints;
pub mod frames;
pub mod identity;
pub mod kept;
pub mod kernel;
pub mod knock;
pub mod local;
pub mod lock;
pub mod metrics;
pub mod probe;
pub mod reconcile;
pub mod run;
pub mod session;
pub mod show;
pub mod status;
pub mod subnet_env;
pub mod support;
pub mod trace;
pub mod traffic;
pub mod trial;
