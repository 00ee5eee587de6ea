//! CPU time of a process, to the nanosecond.

use std::{collections::BTreeMap, fs, time::Duration};

use anyhow::{Context, Result};

/// What each of its threads has used so far.
pub struct Cpu {
    threads: BTreeMap<String, u64>,
}

impl Cpu {
    pub fn of(pid: u32) -> Result<Self> {
        let tasks = format!("/proc/{pid}/task");
        let mut threads = BTreeMap::new();
        for task in fs::read_dir(&tasks).context(tasks)? {
            let task = task?;
            // A thread may end while it is looked at.
            let Ok(text) = fs::read_to_string(task.path().join("schedstat")) else {
                continue;
            };
            let used = text.split(' ').next().context("a schedstat")?;
            let thread = task.file_name().to_string_lossy().into_owned();
            threads.insert(thread, used.parse().context("a schedstat")?);
        }
        Ok(Self { threads })
    }

    /// Of the threads that there are.
    pub fn total(&self) -> Duration {
        Duration::from_nanos(self.threads.values().sum())
    }

    /// Without what threads used that ended meanwhile: they were idle.
    pub fn since(&self, before: &Self) -> Duration {
        let used = self.threads.iter().map(|(thread, now)| {
            let then = before.threads.get(thread).copied().unwrap_or(0);
            now.saturating_sub(then)
        });
        Duration::from_nanos(used.sum())
    }
}
