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

use crate::keeper::{Failure, Keeper};

/// Until nothing is due any more; answers how many leases ended.
pub async fn finish(
    keeper: &Keeper,
    due: impl Fn(&Registry) -> Vec<Due> + Clone + Send + 'static,
) -> Result<u64, Failure> {
    let mut leases = 0;
    loop {
        let look = due.clone();
        let round = keeper.with(move |state| look(state.registry())).await?;
        if round.is_empty() {
            return Ok(leases);
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
                Ok(_) => leases += u64::from(lease),
                // Somebody else's upkeep was first.
                Err(Failure::Refused(Refusal::NothingToDo)) => {}
                Err(failure) => return Err(failure),
            }
        }
    }
}
