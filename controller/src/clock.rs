//! The wall clock, read in one place.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use overlay::time::WallMs;

pub fn now() -> WallMs {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    WallMs(0).after(since.unwrap_or(Duration::ZERO))
}
