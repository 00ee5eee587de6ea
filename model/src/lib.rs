//! A kernel that is only a value, and things to try on it. For tests alone.
//!
//! - [`kernel`]: what Linux makes of the steps of a plan, with what each takes along.
//! - [`tamper`]: all that somebody else may do to an object of ours.
//! - [`told`]: what a kernel tells those who listen.
//! - [`make`]: proptest strategies: hosts, what an earlier life left behind, changes.
//!
//! What is modelled was seen on Linux 6.18; the model knows only what Weft touches.

pub mod kernel;
pub mod make;
pub mod tamper;
pub mod told;
