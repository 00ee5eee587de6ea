//! What etcd's errors mean for a caller.

use std::error::Error as _;

use etcd_client::Error;

/// The answers that lie in the request: etcd applied nothing and never will. They are
/// known by their text, because the codes are shared with answers about passwords
/// and tokens.
const REFUSALS: [&str; 4] = [
    "duplicate key given",
    "too many operations",
    "requested lease not found",
    "request is too large",
];

pub fn refusal(error: &Error) -> Option<String> {
    let Error::GRpcStatus(status) = error else {
        return None;
    };
    let text = status.message();
    let known = REFUSALS.iter().any(|refusal| text.contains(refusal));
    known.then(|| text.to_owned())
}

pub fn ttl_is_gone(error: &Error) -> bool {
    match error {
        // The client says so itself when etcd answers a keepalive with no time left.
        Error::LeaseKeepAliveError(text) => text.contains("lease not found"),
        Error::GRpcStatus(status) => status.message().contains("requested lease not found"),
        _ => false,
    }
}

/// With its causes: "transport error" alone helps nobody.
pub fn reason(error: &Error) -> String {
    let (mut text, mut cause) = match error {
        Error::GRpcStatus(status) => (status.message().to_owned(), status.source()),
        Error::TransportError(error) => (error.to_string(), error.source()),
        other => (other.to_string(), None),
    };
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
