//! A rate as the kernel counts it: bytes, and a bucket that they are taken from.

use netlink_packet_core::DefaultNla;
use netlink_packet_route::tc::TcOption;
use overlay::endpoint::rate::{LEAST, Rate};

use crate::kernel::decode::attribute::{Attributes, u32_at};

/// Bytes of an Ethernet header, which the kernel counts as well.
const ETHERNET: u32 = 14;
/// A whole packet of an application fits at once, before it is cut for the wire.
const LEAST_BURST: u64 = 64 << 10;
/// A packet waits no longer than this time at the full rate.
const LATENCY_MS: u64 = 25;
/// The kernel tells how long the bucket takes to fill in units of 64 ns, of 32 bits.
const TICK_NS: u64 = 64;
const LONGEST_SECONDS: u64 = 270;

const TCA_TBF_PARMS: u16 = 1;
const TCA_TBF_RATE64: u16 = 4;
const TCA_TBF_BURST: u16 = 6;
const TC_LINKLAYER_ETHERNET: u8 = 1;

/// The kernel's `struct tc_tbf_qopt`: a rate, the rate of its peaks, three numbers.
const RATE: usize = 8;
const PEAK: usize = 20;
const LIMIT: usize = 24;
const TICKS: usize = 28;
const PARMS: usize = 36;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// Bytes a second.
    pub rate: u64,
    /// Bytes that may go at once.
    pub burst: u32,
    /// Bytes that may wait.
    pub limit: u32,
}

/// What the kernel tells of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    rate: u64,
    peak: u32,
    limit: u32,
    /// Of [`TICK_NS`], until it is full again.
    ticks: u32,
}

impl Bucket {
    /// Of a device with this MTU: a packet that fits the device fits the bucket.
    pub fn of(wanted: Rate, mtu: u32) -> Self {
        let rate = wanted.rate.max(LEAST) / 8;
        let usual = (rate / 100).max(LEAST_BURST);
        let burst = wanted.burst.map_or(usual, |bits| bits / 8);
        let most = rate
            .saturating_mul(LONGEST_SECONDS)
            .min(u64::from(u32::MAX));
        let burst = burst.min(most).max(u64::from(mtu) + u64::from(ETHERNET));
        let limit = (rate / 1000).saturating_mul(LATENCY_MS) + usual;
        Self {
            rate,
            burst: u32::try_from(burst).unwrap_or(u32::MAX),
            limit: u32::try_from(limit).unwrap_or(u32::MAX),
        }
    }

    /// What the kernel wants to know to have it.
    pub fn options(&self) -> Vec<TcOption> {
        let mut parms = Vec::with_capacity(PARMS);
        // The kernel counts by itself if it is told that this is Ethernet; otherwise it
        // would want a table of how long each size takes.
        parms.extend([0, TC_LINKLAYER_ETHERNET, 0, 0, 0, 0, 0, 0]);
        parms.extend(u32::try_from(self.rate).unwrap_or(u32::MAX).to_ne_bytes());
        parms.resize(LIMIT, 0);
        parms.extend(self.limit.to_ne_bytes());
        let ticks = u32::try_from(self.ticks()).unwrap_or(u32::MAX);
        parms.extend(ticks.to_ne_bytes());
        parms.resize(PARMS, 0);
        let mut options = vec![(TCA_TBF_PARMS, parms)];
        if u32::try_from(self.rate).is_err() {
            options.push((TCA_TBF_RATE64, self.rate.to_ne_bytes().to_vec()));
        }
        options.push((TCA_TBF_BURST, self.burst.to_ne_bytes().to_vec()));
        let option = |(kind, value)| TcOption::Other(DefaultNla::new(kind, value));
        options.into_iter().map(option).collect()
    }

    /// How long it takes to fill.
    fn ticks(&self) -> u64 {
        let ns = u128::from(self.burst) * 1_000_000_000 / u128::from(self.rate);
        u64::try_from(ns).unwrap_or(u64::MAX) / TICK_NS
    }
}

impl Told {
    pub fn read(options: &[u8]) -> Option<Self> {
        let options = Attributes::of(options);
        let parms = options.clone().value(TCA_TBF_PARMS)?;
        let wide = options.value(TCA_TBF_RATE64);
        let wide = wide.and_then(|wide| Some(u64::from_ne_bytes(*wide.first_chunk()?)));
        Some(Self {
            rate: wide.unwrap_or(u32_at(parms, RATE)?.into()),
            peak: u32_at(parms, PEAK)?,
            limit: u32_at(parms, LIMIT)?,
            ticks: u32_at(parms, TICKS)?,
        })
    }

    /// The kernel rounds how long it takes to fill, and tells no bytes.
    pub fn is(&self, bucket: &Bucket) -> bool {
        let ticks = bucket.ticks();
        let near = ticks.abs_diff(self.ticks.into()) <= 1 + ticks / 1000;
        self.rate == bucket.rate && self.peak == 0 && self.limit == bucket.limit && near
    }
}

#[cfg(test)]
mod tests;
