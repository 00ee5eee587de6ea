//! Which calls each may make: the one table, by the names of gRPC.

use thiserror::Error;

use super::{Role, Subject};

const ADMINS: &str = "operators with the role admin";

/// What a call needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// Nothing: it brings its own proof, or tells nothing that is worth one.
    Nothing,
    /// A node, and the call is about that very node.
    Node,
    /// Any certificate of this fleet: it is about whom that names.
    Anybody,
    /// An operator of at least this role.
    Operator(Role),
}

/// Who calls, as the connection shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Plain text where that is served: on this machine, or because `--insecure` was said.
    Plain,
    /// Plain text where it is not served.
    Unencrypted,
    /// No certificate.
    Stranger,
    /// A certificate of this fleet, within its time.
    Known(Subject),
    /// One whose time is over or has not begun; why, in a sentence. With it a new one may
    /// be asked for, and nothing else.
    Untimely(Subject, String),
}

#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Denied {
    #[error(
        "this needs a certificate of the fleet: an operator gets one by `weft login`, a host by `weft-agent join`"
    )]
    NoCertificate,
    #[error("this controller speaks TLS alone: say https://")]
    Unencrypted,
    #[error("{0}")]
    Untimely(String),
    #[error("{who} may not do this: it is for {needed}")]
    NotFor { who: String, needed: &'static str },
    #[error("there is no such call")]
    Unknown,
}

/// What a call of gRPC, such as `/weft.v1.LeaseService/List`, needs. None: there is no such
/// call, or nobody has thought about it.
pub fn need(path: &str) -> Option<Need> {
    const READER: Need = Need::Operator(Role::Reader);
    const ADMIN: Need = Need::Operator(Role::Admin);
    let (service, call) = path.strip_prefix('/')?.split_once('/')?;
    Some(match (service, call) {
        ("weft.v1.AgentService", "Session") => Need::Node,
        ("weft.v1.TrustService", "Join" | "Login") => Need::Nothing,
        ("weft.v1.TrustService", "Renew") => Need::Anybody,
        ("weft.v1.TrustService", "ListOperators") => READER,
        (
            "weft.v1.TrustService",
            "CreateToken" | "ListTokens" | "RevokeToken" | "RemoveOperator",
        ) => ADMIN,
        ("weft.v1.EndpointService", "List" | "Watch")
        // What changes something on a node needs more: `overlay::afar`.
        | ("weft.v1.FleetService", "Ask" | "Events" | "Inspect")
        | ("weft.v1.LeaseService", "Get" | "List" | "Watch" | "ListReservations")
        | ("weft.v1.NetworkService", "Get" | "List")
        | ("weft.v1.NodeService", "Get" | "List")
        | ("weft.v1.StatusService", "Get") => READER,
        ("weft.v1.LeaseService", "Acquire" | "Renew" | "Release" | "Reserve" | "Unreserve")
        | ("weft.v1.NetworkService", "Create" | "Grow" | "Delete")
        | ("weft.v1.NodeService", "Remove") => ADMIN,
        // Whether this controller serves, and what calls there are: in the source, too.
        ("grpc.health.v1.Health", "Check" | "Watch" | "List")
        | ("grpc.reflection.v1.ServerReflection", "ServerReflectionInfo") => Need::Nothing,
        _ => return None,
    })
}

/// May this caller make this call? `role` is what the store says of an operator now; none:
/// it knows no such operator any more.
pub fn allowed(path: &str, caller: &Caller, role: Option<Role>) -> Result<(), Denied> {
    let need = need(path).ok_or(Denied::Unknown)?;
    let subject = match (need, caller) {
        (_, Caller::Unencrypted) => return Err(Denied::Unencrypted),
        (Need::Nothing, _) => return Ok(()),
        // Who speaks plain text has no certificate that could be renewed.
        (Need::Anybody, Caller::Plain) | (_, Caller::Stranger) => {
            return Err(Denied::NoCertificate);
        }
        (_, Caller::Plain) | (Need::Anybody, Caller::Known(_) | Caller::Untimely(..)) => {
            return Ok(());
        }
        (_, Caller::Untimely(_, why)) => return Err(Denied::Untimely(why.clone())),
        (_, Caller::Known(subject)) => subject,
    };
    let not_for = |needed| Err(not_for(subject, role, needed));
    match (need, subject, role) {
        (Need::Node, Subject::Node(..), _) => Ok(()),
        (Need::Node, _, _) => not_for("the agent of a node"),
        (Need::Operator(needed), Subject::Operator(..), Some(role)) if role >= needed => Ok(()),
        (Need::Operator(Role::Admin), _, _) => not_for(ADMINS),
        (Need::Operator(Role::Reader), _, _) => not_for("operators"),
        (Need::Nothing | Need::Anybody, _, _) => Ok(()),
    }
}

fn not_for(subject: &Subject, role: Option<Role>, needed: &'static str) -> Denied {
    let who = match subject {
        Subject::Node(name, _) => format!("node {name}"),
        Subject::Operator(name, _) => match role {
            Some(role) => format!("operator {name} ({role})"),
            None => format!("operator {name}, who was removed,"),
        },
    };
    Denied::NotFor { who, needed }
}
