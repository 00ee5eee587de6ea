//! Why a session ended.

use proto::decode::BadField;
use thiserror::Error;
use tonic::{Code, Status};

use crate::identity::IdentityError;

#[derive(Debug, Error)]
pub enum SessionError {
    /// Another attempt will not be answered otherwise.
    #[error("the controller refused this node: {}", .0.message())]
    Refused(Box<Status>),
    #[error("{}", .0.message())]
    Broken(Box<Status>),
    #[error(
        "this host has no certificate: make a token with `weft token create`, and here say `weft-agent join --token TOKEN`"
    )]
    NotJoined,
    #[error(
        "no controller can be reached at {url}: {reason}; does weft-controller listen there, \
         and is the way to it open?"
    )]
    Unreachable { url: String, reason: String },
    #[error("the controller said something that cannot be: {0}")]
    Nonsense(#[from] BadField),
    #[error(transparent)]
    Identity(#[from] IdentityError),
    #[error("the agent is stopping")]
    Stopping,
}

pub fn refused_or_broken(status: Status) -> SessionError {
    match status.code() {
        // A certificate that is over is being renewed meanwhile.
        Code::PermissionDenied | Code::AlreadyExists | Code::InvalidArgument => {
            SessionError::Refused(Box::new(status))
        }
        _ => SessionError::Broken(Box::new(status)),
    }
}
