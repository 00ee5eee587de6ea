//! What happened in a run, in order, and the first thing that should not have.

use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use overlay::hash::fnv1a;
use tokio::{sync::Notify, time::Instant};

/// So much of the end is shown with a failure.
const TAIL: usize = 60;

#[derive(Debug)]
pub struct Trace {
    began: Instant,
    said: Mutex<Said>,
    failed: Notify,
}

#[derive(Debug, Default)]
struct Said {
    lines: Vec<String>,
    digest: u64,
    wrong: Option<String>,
}

impl Trace {
    pub fn begin() -> Self {
        Self {
            began: Instant::now(),
            said: Mutex::default(),
            failed: Notify::new(),
        }
    }

    pub fn say(&self, what: impl fmt::Display) {
        let at = self.began.elapsed().as_micros();
        let line = format!("{:>4}.{:06} {what}", at / 1_000_000, at % 1_000_000);
        let mut said = self.said();
        said.digest = said.digest.rotate_left(5) ^ fnv1a(line.as_bytes());
        said.lines.push(line);
    }

    /// The first counts.
    pub fn wrong(&self, what: impl fmt::Display) {
        self.say(format_args!("WRONG: {what}"));
        self.said().wrong.get_or_insert_with(|| what.to_string());
        self.failed.notify_one();
    }

    /// Until something is wrong.
    pub async fn fails(&self) {
        self.failed.notified().await;
    }

    /// What is wrong, and how it came to it.
    pub fn verdict(&self) -> Result<(), String> {
        let said = self.said();
        let Some(wrong) = &said.wrong else {
            return Ok(());
        };
        let tail = said.lines.len().saturating_sub(TAIL);
        Err(format!("{}\n\n{wrong}", said.lines[tail..].join("\n")))
    }

    pub fn lines(&self) -> Vec<String> {
        self.said().lines.clone()
    }

    /// Of every line: two runs with the same one were the same.
    pub fn digest(&self) -> String {
        let said = self.said();
        format!("{:016x} of {} events", said.digest, said.lines.len())
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
