//! What nodes have attached is kept, listed and watched everywhere, for as long as the
//! leases that it belongs to.

#[path = "the_fleet_knows_its_endpoints/garbage.rs"]
mod garbage;
#[path = "the_fleet_knows_its_endpoints/lease.rs"]
mod lease;
#[path = "the_fleet_knows_its_endpoints/life.rs"]
mod life;
#[path = "the_fleet_knows_its_endpoints/multitude.rs"]
mod multitude;
#[path = "the_fleet_knows_its_endpoints/refusal.rs"]
mod refusal;
#[path = "the_fleet_knows_its_endpoints/resumption.rs"]
mod resumption;
#[path = "the_fleet_knows_its_endpoints/watch.rs"]
mod watch;

use anyhow::{Context, Result, ensure};
use proto::v1;
use serde_json::Value;
use tests::{agent::Agent, controller::Controller, wait::patiently};

async fn joined(controller: &Controller, number: u32) -> Result<Agent> {
    let mut agent = Agent::new(number);
    agent.connect(controller.channel()?).await?;
    agent.joined().await?;
    Ok(agent)
}

fn kept(answer: &v1::EndpointsKept) {
    assert_eq!(
        (answer.problem.as_str(), answer.refused.len()),
        ("", 0),
        "{answer:?}"
    );
    assert!(answer.revision > 0);
}

fn rows(controller: &Controller, arguments: &[&str]) -> Result<Vec<Value>> {
    let listed = controller.weft_json(&[&["endpoint", "list"], arguments].concat())?;
    Ok(listed.as_array().context("a list")?.clone())
}

/// Waits until exactly these are listed.
fn listed(controller: &Controller, names: &[&str]) -> Result<()> {
    patiently(&format!("{names:?} are listed"), || {
        let rows = rows(controller, &[])?;
        let mut known: Vec<&str> = rows.iter().filter_map(|row| row["name"].as_str()).collect();
        known.sort_unstable();
        ensure!(known == names, "{known:?}");
        Ok(())
    })
}
