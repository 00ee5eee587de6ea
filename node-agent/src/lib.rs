//! weft-agent: one host's side of the overlay.
//!
//! Today it holds the host's session and lease, and follows its peers ([`session`])
//! under an identity kept on disk ([`identity`]), alone in its directory ([`lock`]). It does not program the kernel yet.

pub mod config;
pub mod identity;
pub mod kernel;
pub mod lock;
pub mod run;
pub mod session;
