//! What the exit code of a Weft binary means.

use std::process::{ExitCode, Termination};

use thiserror::Error;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    Done = 0,
    Failed = 1,
    BadUsage = 2,
    /// Nothing is wrong with the request: try again later.
    NotReady = 3,
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        ExitCode::from(self as u8)
    }
}

/// What an option says cannot be, seen only after clap had accepted it. A daemon
/// that returns one ends with [`Exit::BadUsage`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct BadUsage(pub String);

/// Nothing is wrong with what was asked, and it cannot be done now. A command that
/// returns one ends with [`Exit::NotReady`].
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct NotReady(pub String);

impl Exit {
    /// How a program ends that met `error`.
    pub fn of(error: &anyhow::Error) -> Self {
        // Among the causes too: who adds context does not change the blame.
        if error.chain().any(|cause| cause.is::<BadUsage>()) {
            Self::BadUsage
        } else if error.chain().any(|cause| cause.is::<NotReady>()) {
            Self::NotReady
        } else {
            Self::Failed
        }
    }
}

#[cfg(test)]
mod tests;
