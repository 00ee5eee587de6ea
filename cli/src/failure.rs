//! Why a command did not do what was asked: one sentence and an exit code.

use std::{error::Error, io, time::Duration};

use credentials::{CredentialsError, connect::TlsError};
use options::{Exit, format_duration, log::LogError};
use socket::{client::AskError, words::Reason};
use thiserror::Error;
use tonic::{Code, Status};

use crate::{
    attach::{engine::EngineError, sandbox::SandboxError},
    support::ArchiveError,
};

#[derive(Debug, Error)]
pub enum Failure {
    #[error(
        "no controller answers ({tried}); start one with `weft-controller`, \
         or say where it is with --controller URL or WEFT_CONTROLLER"
    )]
    NoController { tried: String },
    #[error("{url} has not answered within {}; --timeout gives it longer", format_duration(*.timeout))]
    Late { url: String, timeout: Duration },
    #[error("the connection to {url} broke: {reason} (is a Weft controller listening there?)")]
    Broken { url: String, reason: String },
    #[error("{url} is not ready: {reason}")]
    NotReady { url: String, reason: String },
    /// A node's agent cannot be asked, or cannot answer, just now.
    #[error("{0}")]
    NodeNotReady(String),
    #[error("{0}")]
    BadRequest(String),
    #[error("{0}")]
    Refused(String),
    #[error("{url} failed: {reason}; its log says more")]
    ControllerFailed { url: String, reason: String },
    #[error("{url} does not know this request; is that controller older than this weft?")]
    Unknown { url: String },
    #[error(
        "the controller ended the watch; resume it with --since {revision} --cluster {cluster}"
    )]
    WatchEnded { cluster: String, revision: u64 },
    #[error(
        "an https:// controller wants a certificate: get one with `weft login --controller URL --token TOKEN`; an admin makes the token with `weft operator create`"
    )]
    NotLoggedIn,
    #[error(transparent)]
    Credentials(#[from] CredentialsError),
    #[error(transparent)]
    Tls(#[from] TlsError),
    #[error(transparent)]
    Agent(#[from] AskError),
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error("cannot start")]
    Runtime(#[source] io::Error),
    #[error("cannot write the output")]
    Output(#[source] io::Error),
    /// As with `weft lease list | head -1`: nobody wants to read on.
    #[error("whoever read the output has gone")]
    ReaderGone,
}

impl Failure {
    pub fn exit(&self) -> Exit {
        match self {
            Self::NoController { .. }
            | Self::Late { .. }
            | Self::Broken { .. }
            | Self::NotReady { .. }
            | Self::NodeNotReady(_) => Exit::NotReady,
            Self::Agent(error) => of_agent(error),
            Self::BadRequest(_) | Self::Log(_) => Exit::BadUsage,
            Self::NotLoggedIn
            | Self::Credentials(_)
            | Self::Tls(_)
            | Self::Refused(_)
            | Self::ControllerFailed { .. }
            | Self::Unknown { .. }
            | Self::WatchEnded { .. }
            | Self::Sandbox(_)
            | Self::Engine(_)
            | Self::Archive(_)
            | Self::Runtime(_)
            | Self::Output(_) => Exit::Failed,
            Self::ReaderGone => Exit::Done,
        }
    }

    /// Of controllers none of which answers.
    pub fn of_all(failures: Vec<Self>) -> Self {
        let mut tried = Vec::new();
        for failure in failures {
            match failure {
                Self::NoController { tried: one } => tried.push(one),
                // One that was there says more than those that were not.
                other => return other,
            }
        }
        let tried = tried.join(", ");
        Self::NoController { tried }
    }

    /// What the controller at `url` answered instead of what was asked for.
    pub fn answered(url: &str, status: &Status) -> Self {
        let url = url.to_string();
        let reason = if status.message().is_empty() {
            status.code().description().to_string()
        } else {
            status.message().to_string()
        };
        // Only a status that was made on this side has a source.
        if let Some(source) = status.source() {
            let reason = options::root(source).to_string();
            return Self::Broken { url, reason };
        }
        match status.code() {
            Code::InvalidArgument | Code::OutOfRange => Self::BadRequest(as_typed(&reason)),
            Code::Unavailable | Code::DeadlineExceeded => Self::NotReady { url, reason },
            Code::NotFound
            | Code::AlreadyExists
            | Code::FailedPrecondition
            | Code::ResourceExhausted
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::Aborted
            | Code::Cancelled => Self::Refused(reason),
            Code::Unimplemented => Self::Unknown { url },
            Code::Ok | Code::Unknown | Code::Internal | Code::DataLoss => {
                Self::ControllerFailed { url, reason }
            }
        }
    }
}

fn of_agent(error: &AskError) -> Exit {
    match error {
        AskError::Nobody { .. } | AskError::Silent { .. } | AskError::Broken { .. } => {
            Exit::NotReady
        }
        AskError::Forbidden { .. } | AskError::Nonsense { .. } => Exit::Failed,
        AskError::Refused(refusal) => match refusal.reason {
            Reason::Bad => Exit::BadUsage,
            Reason::NotReady => Exit::NotReady,
            Reason::NotJoined
            | Reason::Taken
            | Reason::NotOurs
            | Reason::Exhausted
            | Reason::NoSandbox
            | Reason::InterfaceTaken
            | Reason::Stale
            | Reason::Kernel
            | Reason::Disk => Exit::Failed,
        },
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::ReaderGone
        } else {
            Self::Output(error)
        }
    }
}

/// A field of the API, which begins what is wrong with it, as the flag that set it.
fn as_typed(reason: &str) -> String {
    let flagged = reason.split_once(": ").and_then(|(field, problem)| {
        let (_, flag) = FLAGS.iter().find(|(name, _)| *name == field)?;
        Some(format!("{flag}: {problem}"))
    });
    flagged.unwrap_or_else(|| reason.into())
}

const FLAGS: [(&str, &str); 15] = [
    ("encap", "--encap"),
    ("lapse", "--lapse"),
    ("lapse_seconds", "--lapse"),
    ("life", "--life"),
    ("mac", "--mac"),
    ("network", "--network"),
    ("node", "--node"),
    ("node_id", "--node-id"),
    ("pools", "--pool"),
    ("port", "--port"),
    ("subnet_len4", "--subnet-len"),
    ("subnet_len6", "--subnet-len6"),
    ("subnets", "--subnet"),
    ("ttl_seconds", "--ttl"),
    ("underlay", "--underlay"),
];
