//! The wall clock, read in one place.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use overlay::time::WallMs;

/// What tells a controller the time of day.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> WallMs + Send + Sync>);

impl Clock {
    pub fn new(read: impl Fn() -> WallMs + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    /// This machine's.
    pub fn system() -> Self {
        Self::new(|| {
            let since = SystemTime::now().duration_since(UNIX_EPOCH);
            WallMs(0).after(since.unwrap_or(Duration::ZERO))
        })
    }

    pub fn now(&self) -> WallMs {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Clock").field(&self.now()).finish()
    }
}
