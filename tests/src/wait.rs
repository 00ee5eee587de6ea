//! Waiting for a condition, with a deadline that tells what was there instead.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

/// Far more than anything here takes on an idle machine.
pub const DEADLINE: Duration = Duration::from_secs(30);
const AGAIN: Duration = Duration::from_millis(20);

/// Until it holds; what it last said is the error of one that never does.
pub async fn eventually<T>(what: &str, mut attempt: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    loop {
        let error = match within(what, attempt()).await? {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        if start.elapsed() > DEADLINE {
            return Err(error.context(format!("{what}: still not after {DEADLINE:?}")));
        }
        tokio::time::sleep(AGAIN).await;
    }
}

/// The same for what needs no runtime.
pub fn patiently<T>(what: &str, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    let start = Instant::now();
    loop {
        let error = match attempt() {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        if start.elapsed() > DEADLINE {
            return Err(error.context(format!("{what}: still not after {DEADLINE:?}")));
        }
        thread::sleep(AGAIN);
    }
}

/// What must come by itself.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> Result<T> {
    tokio::time::timeout(DEADLINE, future)
        .await
        .with_context(|| format!("{what}: still not after {DEADLINE:?}"))
}
