//! How a connection to a controller is made.

use std::time::Duration;

use credentials::Line;
use tonic::transport::{Channel, Endpoint};

use super::SessionError;

const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// A controller that answers no ping is gone: another is tried.
const PING_EVERY: Duration = Duration::from_secs(2);
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// A connection to the controller at a URL, spoken to over such a line.
pub(crate) async fn connect(url: &str, line: &Line) -> Result<Channel, SessionError> {
    let unreachable = |reason: String| SessionError::Unreachable {
        url: url.to_owned(),
        reason,
    };
    // What is spoken there is the line's business.
    let plain = url.replacen("https://", "http://", 1);
    let endpoint = Endpoint::from_shared(plain)
        .map_err(|error| unreachable(options::root(&error).to_string()))?
        .connect_timeout(CONNECT_WITHIN)
        .http2_keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_TIMEOUT)
        .keep_alive_while_idle(true);
    line.connect(&endpoint)
        .await
        .map_err(|error| unreachable(options::root(&error).to_string()))
}
