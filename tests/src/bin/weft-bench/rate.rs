//! Many clients at once, each with one request under way: how many a second, and how
//! long each took.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::Result;
use tokio::task::JoinSet;

#[derive(Debug, Clone)]
pub struct Rate {
    pub per_second: f64,
    pub p50: Duration,
    pub p99: Duration,
}

/// Runs `total` requests from `clients` at once. `request` gets the client's number
/// and the request's.
pub async fn measure<F, Fut>(clients: usize, total: usize, request: F) -> Result<Rate>
where
    F: Fn(usize, usize) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<()>> + Send,
{
    let request = Arc::new(request);
    let next = Arc::new(AtomicUsize::new(0));
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for client in 0..clients {
        let (request, next) = (request.clone(), next.clone());
        tasks.spawn(async move {
            let mut took = Vec::with_capacity(total / clients + 1);
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= total {
                    return Ok::<_, anyhow::Error>(took);
                }
                let began = Instant::now();
                request(client, number).await?;
                took.push(began.elapsed());
            }
        });
    }
    let mut took = Vec::with_capacity(total);
    while let Some(result) = tasks.join_next().await {
        took.extend(result??);
    }
    let elapsed = began.elapsed();
    took.sort_unstable();
    Ok(Rate {
        per_second: total as f64 / elapsed.as_secs_f64(),
        p50: quantile(&took, 0.5),
        p99: quantile(&took, 0.99),
    })
}

pub fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let last = sorted.len().saturating_sub(1);
    let place = (last as f64 * share).round() as usize;
    sorted.get(place).copied().unwrap_or_default()
}

/// The run whose rate is the median.
pub fn median(mut runs: Vec<Rate>) -> Option<Rate> {
    runs.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
    let middle = runs.len() / 2;
    runs.into_iter().nth(middle)
}

pub fn middle<T: Ord + Copy>(mut values: Vec<T>) -> T {
    values.sort_unstable();
    values[values.len() / 2]
}
