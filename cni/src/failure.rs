//! Why something cannot be done, in CNI's words. Engines show people `msg` and `details`.

use serde_json::json;
use socket::{
    AskError,
    words::{Reason, Refusal},
};
use thiserror::Error;

use crate::version::Version;

#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{msg}; {details}")]
pub struct Failure {
    pub code: Code,
    pub msg: String,
    pub details: String,
}

/// The specification's numbers, and ours from 100 on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    Version,
    Unsupported,
    UnknownContainer,
    Environment,
    Io,
    Decode,
    Config,
    Later,
    /// Nothing can be attached now.
    Unavailable,
    /// Nor may what is attached be well.
    Impaired,
    /// CHECK found something wrong.
    Wrong,
    Taken,
    NotOurs,
    InterfaceTaken,
    Kernel,
}

impl Code {
    pub fn number(self) -> u32 {
        match self {
            Self::Version => 1,
            Self::Unsupported => 2,
            Self::UnknownContainer => 3,
            Self::Environment => 4,
            Self::Io => 5,
            Self::Decode => 6,
            Self::Config => 7,
            Self::Later => 11,
            Self::Unavailable => 50,
            Self::Impaired => 51,
            Self::Wrong => 100,
            Self::Taken => 101,
            Self::NotOurs => 102,
            Self::InterfaceTaken => 103,
            Self::Kernel => 104,
        }
    }
}

impl Failure {
    pub fn new(code: Code, msg: impl Into<String>, details: impl Into<String>) -> Self {
        let (msg, details) = (msg.into(), details.into());
        Self { code, msg, details }
    }

    /// A value of the network configuration that cannot be.
    pub fn config(details: impl Into<String>) -> Self {
        let msg = "the network configuration is not valid";
        Self::new(Code::Config, msg, details)
    }

    pub fn environment(details: impl Into<String>) -> Self {
        let msg = "the environment is not what a CNI plugin needs";
        Self::new(Code::Environment, msg, details)
    }

    pub fn json(&self, version: Option<Version>) -> String {
        let said = json!({
            "cniVersion": version.unwrap_or(Version::NEWEST).as_str(),
            "code": self.code.number(),
            "msg": self.msg,
            "details": self.details,
        });
        said.to_string()
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        let (code, msg) = match refusal.reason {
            Reason::Bad => (Code::Config, "the agent cannot make sense of this"),
            Reason::NotJoined => (Code::Config, "this host is not in that network"),
            Reason::NotReady => (Code::Later, "not now; try again in a moment"),
            Reason::Taken => (Code::Taken, "somebody else has that"),
            Reason::NotOurs => (Code::NotOurs, "that address is not this host's to give"),
            Reason::Exhausted => (Code::Later, "this host has no address left"),
            Reason::NoSandbox => (Code::Environment, "CNI_NETNS is no network namespace"),
            Reason::InterfaceTaken => (
                Code::InterfaceTaken,
                "the container has an interface of the name in CNI_IFNAME already",
            ),
            Reason::Stale => (Code::UnknownContainer, "that attachment has ended"),
            Reason::Kernel => (Code::Kernel, "the kernel refused"),
            Reason::Disk => (Code::Io, "the agent cannot write to its disk"),
        };
        Self::new(code, msg, refusal.message)
    }
}

impl From<AskError> for Failure {
    fn from(error: AskError) -> Self {
        let (code, msg) = match error {
            AskError::Refused(refusal) => return refusal.into(),
            AskError::Nobody { .. } => (Code::Later, "the weft-agent of this host is not running"),
            AskError::Silent { .. } => (Code::Later, "the weft-agent of this host is busy"),
            AskError::Broken { .. } => (Code::Later, "the weft-agent of this host went away"),
            AskError::Forbidden { .. } => (Code::Io, "the weft-agent may not be asked"),
            AskError::Nonsense { .. } => (Code::Io, "no weft-agent of this version answers"),
        };
        Self::new(code, msg, error.to_string())
    }
}

#[cfg(test)]
mod tests;
