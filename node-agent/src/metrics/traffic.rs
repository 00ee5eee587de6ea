//! What the devices of networks have counted. Between whom it went is for `weft top`: a
//! series for each peer would be many.

use std::sync::atomic::Ordering;

use overlay::name::NetworkName;
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use crate::kernel::traffic::Counters;

#[derive(Clone, Default)]
pub struct Traffic {
    bytes: Family<Labels, Counter>,
    packets: Family<Labels, Counter>,
    dropped: Family<Labels, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    network: String,
    direction: &'static str,
}

impl Traffic {
    /// The kernel's own numbers, which begin again with a device that is made anew.
    pub fn show(&self, counted: &[(NetworkName, Counters)]) {
        for family in [&self.bytes, &self.packets, &self.dropped] {
            family.clear();
        }
        for (network, counters) in counted {
            let set = |family: &Family<Labels, Counter>, direction, count| {
                let network = network.to_string();
                let labels = Labels { network, direction };
                let counter = family.get_or_create(&labels);
                counter.inner().store(count, Ordering::Relaxed);
            };
            set(&self.bytes, "received", counters.rx_bytes);
            set(&self.bytes, "sent", counters.tx_bytes);
            set(&self.packets, "received", counters.rx_packets);
            set(&self.packets, "sent", counters.tx_packets);
            set(&self.dropped, "received", counters.rx_dropped);
            set(&self.dropped, "sent", counters.tx_dropped);
        }
    }

    pub fn register(&self, all: &mut Registry) {
        all.register(
            "network_bytes",
            "Bytes that came out of a network's tunnel, and went in",
            self.bytes.clone(),
        );
        all.register(
            "network_packets",
            "Packets that came out of a network's tunnel, and went in",
            self.packets.clone(),
        );
        all.register(
            "network_dropped_packets",
            "Packets that a network's device dropped",
            self.dropped.clone(),
        );
    }
}
