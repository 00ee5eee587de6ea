//! Ends, now, what a removal left to end: each item a transaction of its own.
//! Should this controller die half-way, another's upkeep goes on.

use futures_util::future::join_all;
use overlay::{
    decide::{
        Refusal,
        decay::{Due, Patience, settle},
    },
    registry::Registry,
};

use tracing::warn;

use crate::keeper::{Failure, Keeper};

/// Until nothing is due any more; answers how many leases ended. The removal itself
/// is done: what cannot be ended now is left to upkeep, and does not undo it.
pub async fn finish(
    keeper: &Keeper,
    due: impl Fn(&Registry) -> Vec<Due> + Clone + Send + 'static,
) -> u64 {
    let mut leases = 0;
    if let Err(failure) = end(keeper, due, &mut leases).await {
        warn!(%failure, "a part of what was removed is yet to be ended");
    }
    leases
}

async fn end(
    keeper: &Keeper,
    due: impl Fn(&Registry) -> Vec<Due> + Clone + Send + 'static,
    leases: &mut u64,
) -> Result<(), Failure> {
    loop {
        let look = due.clone();
        let round = keeper.with(move |state| look(state.registry())).await?;
        if round.is_empty() {
            return Ok(());
        }
        let settled = round.into_iter().map(|due| async move {
            let patience = Patience::default();
            let lease = matches!(due, Due::End(..));
            let done = keeper
                .write(move |view| settle(view, &patience, &due))
                .await;
            (lease, done)
        });
        for (lease, done) in join_all(settled).await {
            match done {
                Ok(_) => *leases += u64::from(lease),
                // Somebody else's upkeep was first.
                Err(Failure::Refused(Refusal::NothingToDo)) => {}
                Err(failure) => return Err(failure),
            }
        }
    }
}
