//! Tells the standard health service and systemd how this controller is.

use std::time::Duration;

use options::Notify;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tonic_health::{ServingStatus, server::HealthReporter};

use crate::keeper::Keeper;

const LOOK_EVERY: Duration = Duration::from_millis(500);

/// A keeper that does not answer gives no sign of life, and systemd starts another
/// controller. Without its store it is alive and says what it waits for.
pub async fn tell(
    keeper: Keeper,
    health: HealthReporter,
    mut notify: Notify,
    closed: CancellationToken,
) {
    let follow = async {
        let mut said = None;
        while let Ok(reason) = keeper.with(|state| state.why_not_ready()).await {
            if said.is_none() {
                notify.ready();
            }
            notify.alive();
            if said.as_ref() != Some(&reason) {
                let status = match &reason {
                    None => ServingStatus::Serving,
                    Some(_) => ServingStatus::NotServing,
                };
                health.set_service_status("", status).await;
                notify.status(
                    &reason
                        .as_ref()
                        .map_or("ready".into(), |reason| format!("not ready: {reason}")),
                );
                said = Some(reason);
            }
            let look = Instant::now() + LOOK_EVERY;
            sleep_until(notify.next().map_or(look, |due| look.min(due))).await;
        }
    };
    closed.run_until_cancelled(follow).await;
    notify.stopping();
    health
        .set_service_status("", ServingStatus::NotServing)
        .await;
}
