//! The gRPC services: each decodes, asks the keeper, encodes.

pub mod agent;
pub mod lease;
pub mod network;
pub mod node;
pub mod status;

use overlay::decide::Refusal;
use proto::decode::BadField;
use tonic::{Code, Status, metadata::MetadataValue};

use crate::keeper::Failure;

/// When to ask again after UNAVAILABLE, in the header that gRPC clients know.
const RETRY_AFTER: &str = "grpc-retry-pushback-ms";
const RETRY_AFTER_MS: &str = "250";

/// The one place where a failure becomes a gRPC status.
pub fn status(failure: &Failure) -> Status {
    match failure {
        Failure::Refused(refusal) => Status::new(code(refusal), refusal.to_string()),
        Failure::Unavailable(_) => {
            let mut status = Status::unavailable(failure.to_string());
            let hint = MetadataValue::from_static(RETRY_AFTER_MS);
            status.metadata_mut().insert(RETRY_AFTER, hint);
            status
        }
    }
}

pub fn invalid(error: &BadField) -> Status {
    Status::invalid_argument(error.to_string())
}

fn code(refusal: &Refusal) -> Code {
    match refusal {
        Refusal::BadNetwork(_) | Refusal::BadField { .. } => Code::InvalidArgument,
        Refusal::NoNetwork { .. }
        | Refusal::NoNode { .. }
        | Refusal::NoLease { .. }
        | Refusal::NoReservation { .. } => Code::NotFound,
        Refusal::NetworkExists { .. }
        | Refusal::NameTaken { .. }
        | Refusal::Cloned { .. }
        | Refusal::SubnetTaken { .. }
        | Refusal::ReservationExists { .. } => Code::AlreadyExists,
        Refusal::Removed { .. } => Code::PermissionDenied,
        Refusal::NetworkDeleting { .. }
        | Refusal::NetworkInUse { .. }
        | Refusal::OtherLife { .. }
        | Refusal::HeldByAgent { .. }
        | Refusal::AgentConnected { .. }
        | Refusal::UnderlayTaken { .. }
        | Refusal::HoldsAnother { .. }
        | Refusal::Unreadable { .. }
        | Refusal::NothingToDo => Code::FailedPrecondition,
        Refusal::Exhausted { .. } => Code::ResourceExhausted,
        Refusal::Busy { .. } => Code::Unavailable,
        Refusal::SessionOver { .. } => Code::Aborted,
    }
}
