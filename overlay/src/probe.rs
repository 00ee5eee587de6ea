//! Probes of peers over the overlay: who asks whom, what is said, what it shows.
//!
//! - [`choice`]: every node probes about k ln n others, and each is probed by as many.
//! - [`packet`]: a question, its answer, and how many are answered.
//! - [`window`]: the last probes of one address, and the verdict on them.
//! - [`table`]: all that are probed in one network, and what is told of them.

pub mod choice;
pub mod packet;
pub mod table;
pub mod window;

/// The UDP port at which agents answer.
pub const PORT: u16 = 7443;
