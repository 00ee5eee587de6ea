//! The gRPC services: each decodes, asks the keeper, encodes.

pub mod agent;
pub mod endpoint;
pub mod fleet;
pub mod lease;
pub mod network;
pub mod node;
pub mod status;
pub mod trust;

use overlay::{decide::Refusal, name::NetworkName, trust::Subject};
use proto::decode::{self, BadField};
use tonic::{Code, Request, Status, metadata::MetadataValue};

use crate::{
    keeper::{Failure, Keeper},
    listener::Peer,
    trust::{Identity, identity::Certified},
};

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

/// Who is at the other end.
fn peer<T>(request: &Request<T>) -> Peer {
    let peer = request.extensions().get::<Peer>();
    peer.cloned().unwrap_or_default()
}

/// Who asks, for those who read later what was done: an operator, or an address.
fn by<T>(request: &Request<T>) -> String {
    let peer = peer(request);
    match (&peer.identity, peer.address) {
        (Identity::Certified(Certified { subject, .. }), _) => match subject {
            Subject::Operator(name, _) => name.to_string(),
            Subject::Node(name, _) => format!("node {name}"),
        },
        (_, Some(address)) => address.ip().to_canonical().to_string(),
        (_, None) => "nobody known".into(),
    }
}

/// The network that is asked about, if one is: one that is not there is no network
/// without leases.
async fn named(keeper: &Keeper, name: &str) -> Result<Option<NetworkName>, Status> {
    let name = decode::parse_optional("network", name).map_err(|error| invalid(&error))?;
    let Some(network) = name else {
        return Ok(None);
    };
    let looked = keeper.with(move |state| {
        let registry = state.registry();
        if registry.space(&network).is_some() {
            return Ok(Some(network));
        }
        let known = registry.networks().filter_map(|space| space.network());
        let known = known.map(|network| network.value.name.clone()).collect();
        Err(Failure::Refused(Refusal::NoNetwork { network, known }))
    });
    let found = looked.await.and_then(|found| found);
    found.map_err(|failure| status(&failure))
}

fn code(refusal: &Refusal) -> Code {
    match refusal {
        Refusal::BadNetwork(_) | Refusal::BadField { .. } => Code::InvalidArgument,
        Refusal::NoNetwork { .. }
        | Refusal::NoNode { .. }
        | Refusal::NoLease { .. }
        | Refusal::NoOperator { .. }
        | Refusal::NoToken { .. }
        | Refusal::NoReservation { .. } => Code::NotFound,
        Refusal::NetworkExists { .. }
        | Refusal::NameTaken { .. }
        | Refusal::Cloned { .. }
        | Refusal::SubnetTaken { .. }
        | Refusal::OperatorExists { .. }
        | Refusal::ReservationExists { .. } => Code::AlreadyExists,
        Refusal::Removed { .. }
        | Refusal::NotJoined { .. }
        | Refusal::TokenExpired { .. }
        | Refusal::TokenRevoked { .. }
        | Refusal::TokenUsed { .. }
        | Refusal::HasCertificate { .. }
        | Refusal::TokenOfAnother { .. }
        | Refusal::TokenOfOperator { .. }
        | Refusal::TokenOfNode { .. } => Code::PermissionDenied,
        Refusal::NetworkDeleting { .. }
        | Refusal::NetworkInUse { .. }
        | Refusal::OtherLife { .. }
        | Refusal::HeldByAgent { .. }
        | Refusal::AgentConnected { .. }
        | Refusal::UnderlayTaken { .. }
        | Refusal::MacTaken { .. }
        | Refusal::HoldsAnother { .. }
        | Refusal::Unreadable { .. }
        | Refusal::NothingToDo => Code::FailedPrecondition,
        Refusal::Exhausted { .. }
        | Refusal::EndpointsTooLarge { .. }
        | Refusal::TooManyEndpoints { .. } => Code::ResourceExhausted,
        Refusal::Busy { .. } => Code::Unavailable,
        Refusal::SessionOver { .. } => Code::Aborted,
    }
}
