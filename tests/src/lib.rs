//! The lab.

pub mod etcd;
