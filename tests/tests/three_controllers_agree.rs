//! Three controllers on one etcd under everything that can befall them, for a short
//! while; `make soak` does it for longer.

use std::time::Duration;

use anyhow::Result;
use tests::{
    dice::Dice,
    soak::{self, Plan},
};

#[tokio::test(flavor = "multi_thread")]
async fn while_they_are_killed_and_etcd_is_restarted() -> Result<()> {
    let plan = Plan {
        clients: 32,
        nodes_of_each: 4,
        time: Duration::from_secs(15),
        etcd_restarts: 1,
        seed: Dice::seed(),
    };
    let report = soak::run(plan).await?;
    println!("{report}");
    assert!(report.violations.is_empty(), "{report}\n{}", report.logs);
    // It was put to the test, and it did not pass by doing nothing.
    assert!(report.troubles.kills > 0, "{report}");
    assert!(report.troubles.etcd_restarts == 1, "{report}");
    assert!(report.troubles.compactions == 1, "{report}");
    for what in ["acquires", "renewals", "releases", "looks"] {
        assert!(report.acknowledged.contains_key(what), "{report}");
    }
    assert!(report.after_trouble > 0, "{report}");
    Ok(())
}
