//! What happened at a daemon: what its log says at `info` and above, kept for a while.

use std::{collections::BTreeMap, fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::time::WallMs;

pub use ring::Ring;

mod ring;

/// How long events are kept.
pub const KEPT: Duration = Duration::from_secs(86_400);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Greater than that of every earlier event of the same daemon, also from before its
    /// last start.
    pub seq: u64,
    #[serde(rename = "at_ms")]
    pub at: WallMs,
    pub level: Level,
    pub what: String,
    #[serde(default)]
    pub fields: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    #[default]
    Info,
    Warn,
    Error,
}

/// Which events are wanted. As text it is the query of a URL, where it leaves out what is as
/// by default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wish {
    /// From this moment on.
    pub since: WallMs,
    /// Only those with a greater number.
    pub after: u64,
    pub least: Level,
    /// No more than these; the newest.
    pub most: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum WishError {
    #[error("{0}: nothing is known of that; say since, after, level or limit")]
    Unknown(String),
    #[error("{name}={value}: that is no {wanted}")]
    Value {
        name: &'static str,
        value: String,
        wanted: &'static str,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("say info, warn or error")]
pub struct LevelError;

impl Event {
    /// About what it takes in memory, which is more than what its line takes in a file.
    pub fn size(&self) -> usize {
        const EACH: usize = 128;
        let field = |(name, value): (&String, &String)| name.len() + value.len() + EACH / 2;
        EACH + self.what.len() + self.fields.iter().map(field).sum::<usize>()
    }
}

impl Level {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Level {
    type Err = LevelError;

    fn from_str(text: &str) -> Result<Self, LevelError> {
        let all = [Self::Info, Self::Warn, Self::Error];
        let found = all.into_iter().find(|level| level.as_str() == text);
        found.ok_or(LevelError)
    }
}

impl Default for Wish {
    fn default() -> Self {
        Self {
            since: WallMs(0),
            after: 0,
            least: Level::Info,
            most: usize::MAX,
        }
    }
}

impl Wish {
    pub fn admits(&self, event: &Event) -> bool {
        event.at >= self.since && event.seq > self.after && event.level >= self.least
    }
}

impl fmt::Display for Wish {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "since={}", self.since)?;
        if self.after > 0 {
            write!(f, "&after={}", self.after)?;
        }
        if self.least > Level::Info {
            write!(f, "&level={}", self.least)?;
        }
        if self.most < usize::MAX {
            write!(f, "&limit={}", self.most)?;
        }
        Ok(())
    }
}

impl FromStr for Wish {
    type Err = WishError;

    fn from_str(query: &str) -> Result<Self, WishError> {
        let mut wish = Self::default();
        for part in query.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            match name {
                "since" => wish.since = WallMs(read("since", value, "time in Unix milliseconds")?),
                "after" => wish.after = read("after", value, "number of an event")?,
                "level" => wish.least = read("level", value, "level: info, warn or error")?,
                "limit" => wish.most = read("limit", value, "number")?,
                _ => return Err(WishError::Unknown(name.into())),
            }
        }
        Ok(wish)
    }
}

fn read<T: FromStr>(name: &'static str, value: &str, wanted: &'static str) -> Result<T, WishError> {
    value.parse().map_err(|_| WishError::Value {
        name,
        value: value.into(),
        wanted,
    })
}

#[cfg(test)]
mod tests;
