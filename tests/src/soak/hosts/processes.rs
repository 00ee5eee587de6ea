//! The programs under test, from outside: memory, open files, threads.

use std::{
    fs,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

/// A series that is shorter says nothing about an hour.
const LONG_ENOUGH: Duration = Duration::from_secs(5 * 60);
/// What comes at the beginning is warming up.
const FIRST_SHARE: f64 = 1.0 / 3.0;
/// Bytes that a process may grow in an hour of this: at rest agents and controllers
/// have 10 to 30 MB, so one that grows by more has doubled within hours. What the
/// allocator keeps for itself levels off, and is well below.
const MOST_AN_HOUR: f64 = 12e6;
/// Sessions, and what waits for its end, come and go between quiet moments.
const MORE_AT_REST: u64 = 4;
/// Quiet moments that are compared.
const LEAST_RESTS: usize = 6;

/// One process's life.
#[derive(Debug, Clone)]
pub struct Series {
    pub name: String,
    pub pid: u32,
    /// When, and bytes of memory in use.
    pub memory: Vec<(Duration, u64)>,
    /// Open files and threads at quiet moments.
    pub rests: Vec<Rest>,
    runs: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rest {
    pub files: u64,
    pub threads: u64,
}

pub struct Processes {
    start: Instant,
    all: Mutex<Vec<Series>>,
}

impl Processes {
    pub fn new(start: Instant) -> Self {
        Self {
            start,
            all: Mutex::default(),
        }
    }

    /// A new one of this name runs.
    pub fn started(&self, name: &str, pid: u32) {
        let mut all = self.lock();
        ended(&mut all, name);
        all.push(Series {
            name: name.to_owned(),
            pid,
            memory: Vec::new(),
            rests: Vec::new(),
            runs: true,
        });
    }

    pub fn ended(&self, name: &str) {
        ended(&mut self.lock(), name);
    }

    /// How much memory each has in use now.
    pub fn sample(&self) {
        let at = self.start.elapsed();
        for series in self.lock().iter_mut().filter(|series| series.runs) {
            // It may end at this very moment.
            if let Ok(bytes) = memory(series.pid) {
                series.memory.push((at, bytes));
            }
        }
    }

    /// At a quiet moment.
    pub fn rest(&self) -> Result<()> {
        for series in self.lock().iter_mut().filter(|series| series.runs) {
            let pid = series.pid;
            let files = fs::read_dir(format!("/proc/{pid}/fd")).context(series.name.clone())?;
            series.rests.push(Rest {
                files: files.count() as u64,
                threads: status(pid, "Threads:")?,
            });
        }
        Ok(())
    }

    pub fn all(&self) -> Vec<Series> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Series>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Series {
    pub fn newest(&self) -> Option<u64> {
        self.memory.last().map(|(_, bytes)| *bytes)
    }

    pub fn most(&self) -> Option<u64> {
        self.memory.iter().map(|(_, bytes)| *bytes).max()
    }

    pub fn lived(&self) -> Duration {
        let ends = self.memory.first().zip(self.memory.last());
        ends.map_or(Duration::ZERO, |((first, _), (last, _))| *last - *first)
    }

    pub fn runs(&self) -> bool {
        self.runs
    }

    /// Bytes an hour by which it grows after it has warmed up; none: it was too short.
    pub fn slope(&self) -> Option<f64> {
        let (first, last) = (self.memory.first()?.0, self.memory.last()?.0);
        let long = last - first;
        if long < LONG_ENOUGH {
            return None;
        }
        let warm = first + long.mul_f64(FIRST_SHARE);
        let points: Vec<(f64, f64)> = self
            .memory
            .iter()
            .filter(|(at, _)| *at >= warm)
            .map(|(at, bytes)| (at.as_secs_f64() / 3600.0, *bytes as f64))
            .collect();
        least_squares(&points)
    }

    /// What grows and must not.
    pub fn leaks(&self) -> Vec<String> {
        let name = format!("{} (pid {})", self.name, self.pid);
        let mut leaks = Vec::new();
        if let Some(slope) = self.slope().filter(|slope| *slope > MOST_AN_HOUR) {
            leaks.push(format!(
                "{name} grows by {:.1} MB an hour, and {:.0} are too much",
                slope / 1e6,
                MOST_AN_HOUR / 1e6
            ));
        }
        let files: Vec<u64> = self.rests.iter().map(|rest| rest.files).collect();
        let threads: Vec<u64> = self.rests.iter().map(|rest| rest.threads).collect();
        for (what, counts) in [("open files", files), ("threads", threads)] {
            if let Some((before, after)) = grown(&counts) {
                leaks.push(format!(
                    "{name} had up to {before} {what}, and has at least {after}"
                ));
            }
        }
        leaks
    }
}

fn ended(all: &mut [Series], name: &str) {
    for series in all.iter_mut().filter(|series| series.name == name) {
        series.runs = false;
    }
}

/// The most at the beginning and the least at the end, if that is more.
fn grown(counts: &[u64]) -> Option<(u64, u64)> {
    if counts.len() < LEAST_RESTS {
        return None;
    }
    let third = counts.len() / 3;
    let before = *counts[..third].iter().max()?;
    let after = *counts[counts.len() - third..].iter().min()?;
    (after > before + MORE_AT_REST).then_some((before, after))
}

fn least_squares(points: &[(f64, f64)]) -> Option<f64> {
    let many = points.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / many;
    let (x, y) = (mean(|point| point.0), mean(|point| point.1));
    let spread: f64 = points.iter().map(|point| (point.0 - x).powi(2)).sum();
    let together: f64 = points
        .iter()
        .map(|point| (point.0 - x) * (point.1 - y))
        .sum();
    (spread > 0.0).then(|| together / spread)
}

fn memory(pid: u32) -> Result<u64> {
    Ok(status(pid, "VmRSS:")? * 1024)
}

/// A number of /proc/PID/status.
fn status(pid: u32, name: &str) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).context(path)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let value = line.and_then(|line| line.split_whitespace().next());
    Ok(value.with_context(|| format!("{name} of {pid}"))?.parse()?)
}

#[cfg(test)]
mod tests;
