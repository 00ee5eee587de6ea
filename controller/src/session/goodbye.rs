//! The last words of a session that the controller ends.

use std::time::Duration;

use futures_util::SinkExt;
use overlay::name::NodeName;
use proto::v1::{self, controller_message::Message};
use tokio::time::timeout;
use tonic::{Status, Streaming};
use tracing::info;

use super::Output;
use crate::roster::End;

/// How soon an agent is to be gone that is asked to move.
const MOVE_WITHIN: Duration = Duration::from_secs(3);

/// Tells an agent why its session ends. One that is to move is given the time to.
pub async fn say(
    end: &End,
    node: &NodeName,
    output: &mut Output,
    input: &mut Streaming<v1::AgentMessage>,
) {
    let last = match end {
        End::Removed => {
            info!(%node, "the node was removed: ending its session");
            Status::permission_denied(format!("node {node} was removed"))
        }
        End::TakenOver => {
            info!(%node, "the node has a newer session: ending this one");
            Status::aborted(format!("node {node} has a newer session"))
        }
        End::Expired => {
            info!(%node, "the session expired in the store");
            Status::unavailable("the session expired in the store; open it again")
        }
        End::Move(reason) => {
            let message = Message::Move(v1::Move {
                reason: reason.clone(),
                within_ms: u64::try_from(MOVE_WITHIN.as_millis()).unwrap_or(u64::MAX),
            });
            let moved = async {
                if output.send(Ok(message.into())).await.is_ok() {
                    while let Ok(Some(_)) = input.message().await {}
                }
            };
            // Not gone in time: the stream ends all the same.
            let _ = timeout(MOVE_WITHIN, moved).await;
            Status::unavailable(format!("{reason}; go to another controller"))
        }
    };
    let _ = output.try_send(Err(last));
}
