//! Who a machine or an operator is to the controllers of a fleet, and TLS to them.
//!
//! - [`mod@file`]: the key and certificate of one, on its disk.
//! - `request`: asking for a certificate, first and again.
//! - [`connect`]: a line to a controller that is who it says.

pub mod connect;
pub mod file;
mod pin;
mod request;

pub use connect::{Line, Trust};
pub use file::{Credentials, CredentialsError, key_file};
pub use request::{RequestError, join, login, renew};

#[cfg(test)]
mod tests;
