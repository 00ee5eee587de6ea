//! Times that the API takes in whole seconds: nothing is rounded in silence.

use std::time::Duration;

use options::duration::DurationError;
use thiserror::Error;

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SecondsError {
    #[error(transparent)]
    Duration(#[from] DurationError),
    #[error("it is not in whole seconds; write 1s or more")]
    Fraction,
    #[error("it is no time at all; write 1s or more")]
    Zero,
}

/// At least one. Fits clap's `value_parser`.
pub fn parse_seconds(text: &str) -> Result<Duration, SecondsError> {
    let time = options::parse_duration(text)?;
    match (time.as_secs(), time.subsec_nanos()) {
        (0, 0) => Err(SecondsError::Zero),
        (_, 0) => Ok(time),
        _ => Err(SecondsError::Fraction),
    }
}
