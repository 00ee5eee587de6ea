//! What container engines say to a plugin, and what they hear: CNI's plugins are asked by
//! environment and standard input, netavark's by arguments and standard input. Here is
//! what the words mean; `main.rs` has the doors.
//!
//! - [`call`], [`conf`], [`runtime`]: what an engine asks by CNI, in any of [`version`].
//! - [`outcome`]: what it hears.
//! - [`failure`]: why not, in CNI's words.
//! - [`netavark`]: the same for Podman's own plugins.
//! - [`loose`]: JSON as engines write it.
//! - [`usage`]: what a person may say.

pub mod call;
pub mod conf;
pub mod failure;
pub mod loose;
pub mod netavark;
pub mod outcome;
pub mod runtime;
pub mod usage;
pub mod version;
