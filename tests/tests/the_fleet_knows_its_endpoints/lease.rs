//! They end with the lease that they belong to, and not before.

use anyhow::{Context, Result, ensure};
use proto::v1;
use serde_json::Value;
use tests::{agent::Agent, controller::Controller, etcd::Etcd, wait::patiently};

use super::{
    joined, kept, listed, rows,
    watch::{Seen, Watch},
};

const QUICK: [&str; 8] = [
    "--session-ttl",
    "2s",
    "--grace",
    "1s",
    "--clock-skew",
    "1s",
    "--reclaim-hold",
    "1s",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_lapsed_nodes_are_kept_and_marked_and_end_with_the_lease() -> Result<()> {
    let controller = Controller::embedded(&QUICK)?;
    let create = ["network", "create", "short", "--pool", "10.77.0.0/20"];
    let said = controller.weft(&[&create[..], &["--lapse", "4s"]].concat())?;
    ensure!(said.code == 0, "{said:?}");
    let mut stays = joined(&controller, 1).await?;
    let all = stays.containers(0..2)?;
    kept(&stays.has(all).await?);
    let mut goes = Agent::new(2);
    goes.network = "short".into();
    goes.connect(controller.channel()?).await?;
    goes.joined().await?;
    // More than go with the lease in one transaction.
    let many = goes.containers(0..200)?;
    kept(&goes.has(many).await?);
    let mut watch = Watch::begin(&controller).await?;
    watch
        .until("all are there", |seen| seen.len() == 202)
        .await?;

    stays.disconnect();
    goes.disconnect();
    let lapsed = |network: &str, seen: &Seen| {
        let of = seen.values().filter(|one| one.network == network);
        of.filter(|one| one.state() == v1::LeaseState::Lapsed)
            .count()
    };
    let all_lapsed = |seen: &Seen| (lapsed("default", seen), lapsed("short", seen)) == (2, 200);
    watch.until("both have lapsed", all_lapsed).await?;
    let rows = rows(&controller, &["--node", "host-1"])?;
    assert!(rows.iter().all(|row| row["state"] == "lapsed"), "{rows:?}");

    // One comes back, the other's lease is reclaimed.
    stays.connect(controller.channel()?).await?;
    stays.joined().await?;
    assert_eq!(stays.had(), Some(2));
    watch
        .until("one is back, the other gone", |seen| {
            seen.len() == 2 && lapsed("default", seen) == 0
        })
        .await?;
    // Nothing of it is left behind: its network can be deleted.
    patiently("the network is gone", || {
        controller.weft(&["network", "delete", "short"])?;
        let networks = controller.weft_json(&["network", "list"])?;
        let names = networks.as_array().context("a list")?.iter();
        let names: Vec<&Value> = names.map(|network| &network["name"]).collect();
        ensure!(names == ["default"], "{names:?}");
        Ok(())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_nodes_go_with_it() -> Result<()> {
    let etcd = Etcd::start()?;
    let controller = Controller::etcd(&etcd, &[])?;
    let mut agent = joined(&controller, 1).await?;
    let all = agent.containers(0..200)?;
    kept(&agent.has(all).await?);
    let said = controller.weft(&["node", "remove", "host-1"])?;
    ensure!(said.code == 0, "{said:?}");
    listed(&controller, &[])?;
    let left = etcd.etcdctl(["get", "--prefix", "/weft/endpoint/", "--keys-only"])?;
    assert_eq!(left.trim(), "");
    Ok(())
}
