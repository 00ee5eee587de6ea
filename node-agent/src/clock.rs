//! The wall clock, for what people read.

use std::time::{SystemTime, UNIX_EPOCH};

use overlay::time::WallMs;

pub fn now() -> WallMs {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    WallMs(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
