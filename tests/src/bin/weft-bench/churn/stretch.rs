//! A stretch of time at one rate of changes, and what it cost.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use anyhow::Result;

use super::{Churn, LENGTH, lag::Quantiles};
use crate::time;

pub struct Stretch {
    changes: usize,
    lags: Quantiles,
    messages: u64,
    /// Sessions that broke and were opened again.
    reopened: usize,
    /// Of one core.
    controllers: Vec<f64>,
    etcd: f64,
    clients: f64,
}

impl Stretch {
    pub fn row(&self, rate: u32, agents: usize) -> String {
        let seconds = LENGTH.as_secs_f64();
        let percent = |share: &f64| format!("{:.0} %", share * 100.0);
        let controllers: Vec<String> = self.controllers.iter().map(percent).collect();
        let lag = |lag| match self.lags.count {
            0 => "-".into(),
            _ => time(lag),
        };
        format!(
            "| {rate} | {:.0} | {} | {} | {} | {:.1} | {} | {} | {} | {} |",
            self.changes as f64 / seconds,
            lag(self.lags.p50),
            lag(self.lags.p99),
            lag(self.lags.max),
            self.messages as f64 / agents as f64 / seconds,
            self.reopened,
            controllers.join(", "),
            percent(&self.etcd),
            percent(&self.clients)
        )
    }
}

impl Churn {
    /// Changes at this rate, until all have been told of all of them.
    pub async fn stretch(&mut self, rate: u32) -> Result<Stretch> {
        let before = self.used()?;
        let (first, messages) = (self.changes, self.fleet.messages.load(Ordering::Relaxed));
        let began = Instant::now();
        self.change(rate, LENGTH).await?;
        let elapsed = began.elapsed().as_secs_f64();
        let used = self.used()?;
        let messages = self.fleet.messages.load(Ordering::Relaxed) - messages;
        let reopened = self.fleet.openings(began).len();
        self.mark().await?;
        let share = |index: usize| {
            let used: Duration = used[index].since(&before[index]);
            used.as_secs_f64() / elapsed
        };
        Ok(Stretch {
            changes: self.changes - first,
            lags: self.fleet.lags.take(),
            messages,
            reopened,
            controllers: (2..used.len()).map(share).collect(),
            etcd: share(0),
            clients: share(1),
        })
    }
}
