//! The lab: real controllers on a real etcd, what can happen to them, and what
//! their clients were told meanwhile.

pub mod agent;
pub mod carried;
pub mod certificates;
pub mod client;
pub mod cni;
pub mod controller;
pub mod crowd;
pub mod daemon;
pub mod dice;
pub mod engine;
pub mod etcd;
pub mod history;
pub mod lab;
pub mod ops;
pub mod port;
pub mod process;
pub mod prometheus;
pub mod recorded;
pub mod soak;
pub mod trusted;
pub mod wait;
pub mod wire;
