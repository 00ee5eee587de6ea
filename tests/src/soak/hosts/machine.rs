//! How busy the machine is, whoever makes it so.

use std::fs;

/// Of all processors since the machine was started: busy, and all there was.
pub fn machine() -> Option<(u64, u64)> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    let times = text.lines().next()?.split_whitespace().skip(1).take(8);
    let times: Vec<u64> = times.filter_map(|time| time.parse().ok()).collect();
    let all: u64 = times.iter().sum();
    // The fourth and fifth are idle, and idle until a disk answers.
    let idle = times.get(3)? + times.get(4)?;
    Some((all - idle, all))
}

/// Of all there was between two moments: how much was busy.
pub fn share(before: Option<(u64, u64)>, after: Option<(u64, u64)>) -> Option<f64> {
    let ((busy, all), (busy_now, all_now)) = (before?, after?);
    Some((busy_now - busy) as f64 / (all_now - all).max(1) as f64)
}
