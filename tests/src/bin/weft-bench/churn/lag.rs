//! How long many things took, to the millisecond.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

/// Longer ones count as this.
const LONGEST: usize = 60_000;

pub struct Lags {
    /// How many took so many milliseconds.
    counts: Vec<AtomicU32>,
}

#[derive(Debug, Clone, Copy)]
pub struct Quantiles {
    pub count: u64,
    pub p50: Duration,
    pub p99: Duration,
    pub max: Duration,
}

impl Lags {
    pub fn new() -> Self {
        let counts = (0..=LONGEST).map(|_| AtomicU32::new(0));
        Self {
            counts: counts.collect(),
        }
    }

    pub fn add(&self, lag: Duration) {
        let ms = (lag.as_millis() as usize).min(LONGEST);
        self.counts[ms].fetch_add(1, Ordering::Relaxed);
    }

    /// Of all since the last time.
    pub fn take(&self) -> Quantiles {
        let counts = self
            .counts
            .iter()
            .map(|count| count.swap(0, Ordering::Relaxed));
        let counts: Vec<u64> = counts.map(u64::from).collect();
        let count = counts.iter().sum();
        let at = |share: f64| {
            let rank = ((count as f64 * share).ceil() as u64).max(1);
            let mut seen = 0;
            let ms = counts.iter().position(|here| {
                seen += here;
                seen >= rank
            });
            Duration::from_millis(ms.unwrap_or(0) as u64)
        };
        Quantiles {
            count,
            p50: at(0.5),
            p99: at(0.99),
            max: at(1.0),
        }
    }
}
