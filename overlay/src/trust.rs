//! Who is trusted with what.
//!
//! - [`token`]: what an operator hands to a machine, or to another operator, that is yet
//!   to be trusted.
//! - [`subject`]: whom a certificate names.
//! - [`table`]: which calls each may make.

pub mod subject;
pub mod table;
pub mod token;

pub use subject::{OperatorId, Role, Subject};
pub use table::{Caller, Denied, allowed};
pub use token::{Token, TokenId};

#[cfg(test)]
mod tests;
