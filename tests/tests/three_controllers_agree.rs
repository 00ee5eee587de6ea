//! Three controllers on one etcd under everything that can befall them, for a short
//! while; `make soak` does it for longer.

use std::{thread, time::Duration};

use anyhow::{Result, ensure};
use tests::{
    controller::Controller,
    dice::Dice,
    etcd::Etcd,
    soak::leases::{self, Plan},
    wait::patiently,
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
    let report = leases::run(plan).await?;
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

#[test]
fn on_the_first_network_when_all_start_at_once() -> Result<()> {
    let etcd = Etcd::start()?;
    let controllers = thread::scope(|scope| {
        let start = || Controller::etcd(&etcd, &[]);
        let starting = [(); 3].map(|()| scope.spawn(start));
        starting.map(|one| one.join().expect("a start does not panic"))
    });
    let controllers: Vec<Controller> = controllers.into_iter().collect::<Result<_>>()?;
    let networks = patiently("there is a network", || {
        let networks = controllers[0].weft_json(&["network", "list"])?;
        ensure!(networks != serde_json::json!([]));
        Ok(networks)
    })?;
    for controller in &controllers {
        patiently("all see the same", || {
            let seen = controller.weft_json(&["network", "list"])?;
            ensure!(seen == networks, "{seen}");
            Ok(())
        })?;
    }
    assert_eq!(networks.as_array().map(Vec::len), Some(1), "{networks}");
    Ok(())
}
