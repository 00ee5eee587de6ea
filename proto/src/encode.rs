//! Encodes.
