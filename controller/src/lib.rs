//! weft-controller.

pub mod store;
