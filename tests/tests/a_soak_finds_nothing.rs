//! A few hosts under everything that can befall them, for a short while: no packet is
//! lost that no act allows, nothing is stale, no log complains without a cause;
//! `weft-soak hosts` does it for longer. Nothing here is decided by the time that a
//! busy machine takes: a permission lasts until everything is right again.

use std::time::Duration;

use anyhow::Result;
use tests::{
    lab::{Ground, by_hand::Underlay},
    soak::hosts::{self, Plan},
};

#[test]
fn of_a_few_hosts_for_a_short_while() -> Result<()> {
    let report = hosts::run(Plan {
        hosts: 4,
        controllers: 2,
        ground: Ground::Switched,
        underlay: Underlay::V4,
        time: Duration::from_secs(16),
        round: Duration::from_secs(8),
        ping_every: Duration::from_millis(20),
        seed: 7,
        busy: true,
        progress: false,
    })?;
    println!("{}{report}", report.diary());
    assert!(report.violations.is_empty(), "{report}");
    // It was put to the test, and it did not pass by doing nothing.
    assert!(report.deeds.len() > 5, "{report}");
    assert!(report.sent > 1000, "{report}");
    Ok(())
}
