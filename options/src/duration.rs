//! Durations as a person writes them: `90s`, `15m`, `24h`, `7d`, `500ms`.

use std::time::Duration;

use thiserror::Error;

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DurationError {
    #[error("it is not a duration; write one as 90s, 15m, 24h, 7d or 500ms")]
    Syntax,
    #[error("it has no unit; write {0}s, {0}m or {0}h")]
    NoUnit(u64),
    #[error("it is too long")]
    TooLong,
}

/// In the order in which a duration is tried to be written.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// A whole number and a unit. Fits clap's `value_parser`.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err(DurationError::Syntax);
    }
    let number: u64 = number.parse().map_err(|_| DurationError::TooLong)?;
    if unit.is_empty() {
        return Err(DurationError::NoUnit(number));
    }
    let (_, unit_ms) = UNITS
        .iter()
        .find(|(name, _)| *name == unit)
        .ok_or(DurationError::Syntax)?;
    number
        .checked_mul(*unit_ms)
        .map(Duration::from_millis)
        .ok_or(DurationError::TooLong)
}

/// The shortest text that [`parse_duration`] reads back as the same milliseconds.
/// A day is written as `24h`: that is how people talk about leases.
pub fn format_duration(duration: Duration) -> String {
    let ms = duration.as_millis();
    if ms == 0 {
        return "0s".into();
    }
    let (unit, unit_ms) = UNITS
        .iter()
        .find(|(unit, unit_ms)| {
            let at_least = if *unit == "d" { 2 } else { 1 };
            let unit_ms = u128::from(*unit_ms);
            ms.is_multiple_of(unit_ms) && ms / unit_ms >= at_least
        })
        .copied()
        .unwrap_or(("ms", 1));
    format!("{}{unit}", ms / u128::from(unit_ms))
}

#[cfg(test)]
mod tests;
