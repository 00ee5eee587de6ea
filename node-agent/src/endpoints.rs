//! Containers on this host: who is attached to which network, and with which address.
//!
//! [`door`] is how everybody else asks: the unix socket, and the Docker driver.
//! [`owner`] answers: it alone has the book ([`journal`] keeps it on disk) and the
//! links in the kernel ([`remover`] takes them out). [`ground`] is what the reconciler tells it of the networks,
//! [`sandbox`] where containers are.

pub mod door;
pub mod ground;
pub mod journal;
pub mod owner;
pub mod remover;
pub mod sandbox;

pub use door::Door;
pub use ground::Grounds;
pub use owner::Owner;
