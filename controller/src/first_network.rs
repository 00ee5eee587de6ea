//! The first network: a fleet without any gets `default` from whichever controller is
//! first. A store that was wiped holds another fleet, and gets one again.

use std::time::Duration;

use overlay::{
    decide::{Refusal, network::create_first},
    network::NetworkSpec,
};
use tokio::time::sleep;
use tracing::{info, warn};

use crate::keeper::{Failure, Keeper};

const AGAIN: Duration = Duration::from_millis(500);

/// Sees to it in every history of the store, until the keeper stops.
pub async fn keep(keeper: Keeper, spec: NetworkSpec) {
    let mut feed = keeper.feed();
    loop {
        make(&keeper, &spec).await;
        let cluster = feed.borrow_and_update().cluster().to_owned();
        let settled = cluster.clone();
        keeper.tell(move |state| state.settled(&settled)).await;
        if feed
            .wait_for(|feed| feed.cluster() != cluster)
            .await
            .is_err()
        {
            return;
        }
    }
}

async fn make(keeper: &Keeper, spec: &NetworkSpec) {
    loop {
        let spec = spec.clone();
        match keeper.write(move |view| create_first(view, &spec)).await {
            Ok((network, _)) => {
                let pools: Vec<String> = network.pools().map(|pool| pool.to_string()).collect();
                info!(network = %network.name, pools = pools.join(","), "made the first network");
                return;
            }
            Err(Failure::Refused(Refusal::NothingToDo)) => return,
            Err(Failure::Refused(refusal)) => {
                warn!(%refusal, "could not make the first network");
                return;
            }
            Err(Failure::Unavailable(_)) => sleep(AGAIN).await,
        }
    }
}
