//! `weft.v1`, the gRPC API, and its translation to and from `overlay`'s types.
//!
//! The `.proto` files beside this crate are the API; [`decode`] parses what comes
//! in into types that cannot be wrong, [`encode`] writes what goes out.

pub mod decode;
pub mod encode;
pub mod encoded;

/// The generated messages, clients and servers.
#[allow(clippy::all, clippy::unwrap_used, unused_qualifications)]
pub mod v1 {
    tonic::include_proto!("weft.v1");
}

/// The session's server over messages that are encoded already.
#[allow(clippy::all, clippy::unwrap_used, unused_qualifications, dead_code)]
pub mod shared {
    include!(concat!(env!("OUT_DIR"), "/shared/weft.v1.rs"));
}

/// Everything the API is, for server reflection.
pub const DESCRIPTOR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/weft.v1.bin"));
