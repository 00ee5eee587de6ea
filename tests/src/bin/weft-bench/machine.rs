//! What the whole machine did.

use std::{fs, time::Duration};

use anyhow::{Context, Result};

/// The kernel counts in hundredths of a second.
const TICK: Duration = Duration::from_millis(10);

/// Tables of a busy machine say so.
pub fn load() -> Result<String> {
    let load = fs::read_to_string("/proc/loadavg").context("/proc/loadavg")?;
    let minute = load.split(' ').next().context("a load")?;
    Ok(format!("load average before: {minute}"))
}

/// CPU time of everything so far, the kernel's own with it.
pub fn busy() -> Result<Duration> {
    let stat = fs::read_to_string("/proc/stat").context("/proc/stat")?;
    let line = stat.lines().next().context("a line of /proc/stat")?;
    let ticks = line.split_whitespace().skip(1).map(str::parse);
    let ticks = ticks.collect::<Result<Vec<u32>, _>>()?;
    // user, nice, system, idle, iowait, irq, softirq
    let busy = [0, 1, 2, 5, 6].map(|column| ticks.get(column).copied().unwrap_or(0));
    Ok(TICK * busy.iter().sum::<u32>())
}
