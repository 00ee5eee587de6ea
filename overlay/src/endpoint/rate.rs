//! How fast an endpoint may send and be sent to.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Bits a second, and how many at once; none: as fast as it goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Bandwidth {
    /// Towards the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Rate>,
    /// From the container.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub egress: Option<Rate>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    /// Bits a second.
    pub rate: u64,
    /// Bits that may go at once; none: what the rate needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "{0:?} is no rate; write one as 100M (bits a second), or 100M/50M towards and from the container"
)]
pub struct RateError(String);

/// Slower than this no packet comes through in time.
pub const LEAST: u64 = 8_000;

impl Bandwidth {
    pub fn is_unbound(&self) -> bool {
        self.ingress.is_none() && self.egress.is_none()
    }
}

impl FromStr for Bandwidth {
    type Err = RateError;

    /// `RATE` for both ways, or `TOWARDS/FROM`; `-` where there is no bound.
    fn from_str(text: &str) -> Result<Self, RateError> {
        let one = |part: &str| match part {
            "-" => Ok(None),
            part => rate(part).map(Some).ok_or_else(|| RateError(text.into())),
        };
        let (towards, from) = text.split_once('/').unwrap_or((text, text));
        Ok(Self {
            ingress: one(towards)?,
            egress: one(from)?,
        })
    }
}

fn rate(text: &str) -> Option<Rate> {
    let (number, unit) = match text.char_indices().last()? {
        (at, 'k' | 'K') => (&text[..at], 1_000),
        (at, 'm' | 'M') => (&text[..at], 1_000_000),
        (at, 'g' | 'G') => (&text[..at], 1_000_000_000),
        _ => (text, 1),
    };
    let number: u64 = number.parse().ok()?;
    let rate = number.checked_mul(unit).filter(|rate| *rate >= LEAST)?;
    Some(Rate { rate, burst: None })
}

impl fmt::Display for Bandwidth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let one = |rate: Option<Rate>| match rate {
            None => "-".to_owned(),
            Some(Rate { rate, .. }) if rate % 1_000_000_000 == 0 => {
                format!("{}G", rate / 1_000_000_000)
            }
            Some(Rate { rate, .. }) if rate % 1_000_000 == 0 => format!("{}M", rate / 1_000_000),
            Some(Rate { rate, .. }) if rate % 1_000 == 0 => format!("{}k", rate / 1_000),
            Some(Rate { rate, .. }) => rate.to_string(),
        };
        write!(f, "{}/{}", one(self.ingress), one(self.egress))
    }
}

#[cfg(test)]
mod tests;
