//! The time of this host's certificate.

use std::sync::atomic::AtomicU64;

use credentials::Credentials;
use overlay::time::WallMs;
use prometheus_client::{metrics::gauge::Gauge, registry::Registry};

#[derive(Clone, Default)]
pub struct Certificate {
    issued: Gauge<f64, AtomicU64>,
    expires: Gauge<f64, AtomicU64>,
}

impl Certificate {
    pub fn show(&self, held: &Credentials) {
        let seconds = |time: WallMs| time.0 as f64 / 1e3;
        self.issued.set(seconds(held.issued_at));
        self.expires.set(seconds(held.expires_at));
    }

    pub fn register(&self, all: &mut Registry) {
        all.register(
            "certificate_issued_timestamp_seconds",
            "When this host's certificate was issued; 0: it has none",
            self.issued.clone(),
        );
        all.register(
            "certificate_expires_timestamp_seconds",
            "When this host's certificate ends; 0: it has none",
            self.expires.clone(),
        );
    }
}
