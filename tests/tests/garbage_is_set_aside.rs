//! A record that cannot be read is named, changes nothing else, and is forgotten
//! when it is deleted or mended.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::{client::Client, controller::Controller, etcd::Etcd, wait::patiently};

const COUNT: &str = "weft_set_aside_records";

/// A key of each kind. Those of `new` stand beside what is there; the claims are of
/// subnets that would be given out next, one in either family.
const NEW: [&str; 13] = [
    "/weft/net/ghost",
    "/weft/node/ghost",
    "/weft/removed/7b0f1c7e-5a53-4f43-8f53-0c5e7f0d9a11",
    "/weft/lease/default/ghost",
    "/weft/claim/default/4/10.99.2.0-24",
    "/weft/claim/default/6/fd99:0:0:3::-64",
    "/weft/free/default/4/10.99.5.0-24",
    "/weft/resv/default/ghost",
    "/weft/under/default/192.0.2.99",
    "/weft/endpoint/default/ghost/00f3a9c1d2e4b",
    "/weft/sess/ghost",
    "/weft/ctl/7b0f1c7e-5a53-4f43-8f53-0c5e7f0d9a11",
    "/weft/prophecy/ghost",
];
const CLAIMED: [&str; 2] = ["10.99.2.0/24", "fd99:0:0:3::/64"];

const FLAGS: [&str; 2] = ["--default-network", "10.99.0.0/18,fd99::/58"];

#[tokio::test(flavor = "multi_thread")]
async fn of_every_kind_and_changes_nothing_else() -> Result<()> {
    let etcd = Etcd::start()?;
    let controller = Controller::etcd(&etcd, &FLAGS)?;
    let client = Client::new(controller.channel()?);
    for node in ["a", "b"] {
        client.acquire(node).await?;
    }
    let before = controller.weft_json(&["lease", "list"])?;
    let nodes = controller.weft_json(&["node", "list"])?;

    for key in NEW {
        etcd.put(key, "{")?;
    }
    set_aside(&controller, &NEW)?;
    assert_eq!(controller.weft_json(&["lease", "list"])?, before);
    assert_eq!(controller.weft_json(&["node", "list"])?, nodes);

    let mut given = BTreeSet::new();
    for number in 0..8 {
        let lease = client.acquire(&format!("late-{number}")).await?;
        given.extend(lease.subnets);
    }
    assert_eq!(given.len(), 16, "{given:?}");
    for claimed in CLAIMED {
        assert!(!given.contains(claimed), "{claimed} was given out");
    }

    for key in NEW {
        etcd.delete(key)?;
    }
    set_aside(&controller, &[])?;
    // Nothing claims them any more, so they are given out again.
    for number in 8..12 {
        let lease = client.acquire(&format!("late-{number}")).await?;
        given.extend(lease.subnets);
    }
    for claimed in CLAIMED {
        assert!(
            given.contains(claimed),
            "{claimed} is not given out: {given:?}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn over_a_good_record_it_takes_nothing_away() -> Result<()> {
    let etcd = Etcd::start()?;
    let mut controller = Controller::etcd(&etcd, &FLAGS)?;
    let client = Client::new(controller.channel()?);
    for node in ["a", "b"] {
        client.acquire(node).await?;
    }
    let before = controller.weft_json(&["lease", "list"])?;
    let key = "/weft/lease/default/a";
    let good = etcd.get(key)?.context("the lease's record")?;

    etcd.put(key, "{")?;
    set_aside(&controller, &[key])?;
    assert_eq!(controller.weft_json(&["lease", "list"])?, before);
    let said = controller.weft(&["lease", "acquire", "--node", "a"])?;
    assert_eq!(said.code, 1, "{said:?}");
    assert!(
        said.stderr.contains("lease/default/a cannot be read"),
        "{said:?}"
    );

    // A controller that never saw the good one serves all others, and does not take
    // the subnet for free: its claim is there.
    controller.kill()?;
    controller.start()?;
    set_aside(&controller, &[key])?;
    assert_eq!(client.acquire("b").await?.subnets, subnets(&before, "b")?);
    let other = client.acquire("c").await?;
    for subnet in subnets(&before, "a")? {
        assert!(!other.subnets.contains(&subnet), "{subnet} was given twice");
    }

    etcd.put(key, &good)?;
    set_aside(&controller, &[])?;
    assert_eq!(client.acquire("a").await?.subnets, subnets(&before, "a")?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn over_what_all_stands_on_it_stops_no_lease() -> Result<()> {
    let etcd = Etcd::start()?;
    let controller = Controller::etcd(&etcd, &FLAGS)?;
    let client = Client::new(controller.channel()?);
    let lease = client.acquire("a").await?;
    let own = controller.weft_json(&["status"])?;
    let own = own["controllers"][0]["id"].as_str().context("its own id")?;
    let ground = [
        "/weft/nets".to_owned(),
        "/weft/net/default".to_owned(),
        format!("/weft/ctl/{own}"),
    ];
    let ground: Vec<&str> = ground.iter().map(String::as_str).collect();
    let mut good = Vec::new();
    for key in &ground {
        good.push(etcd.get(key)?.with_context(|| format!("{key} is there"))?);
        etcd.put(key, "{")?;
    }
    set_aside(&controller, &ground)?;
    assert_eq!(client.list("a").await?.leases.len(), 1);
    let renewed = client.renew("a", lease.life.parse()?).await?;
    assert_eq!(renewed.subnets, lease.subnets);

    for (key, value) in ground.iter().zip(good) {
        etcd.put(key, &value)?;
    }
    set_aside(&controller, &[])?;
    client.acquire("b").await?;
    Ok(())
}

/// Waits until exactly these are named, wherever one can ask.
fn set_aside(controller: &Controller, keys: &[&str]) -> Result<()> {
    let wanted: BTreeSet<&str> = keys
        .iter()
        .filter_map(|key| key.strip_prefix("/weft/"))
        .collect();
    patiently("what cannot be read is named", || {
        let status = controller.weft_json(&["status"])?;
        let named = status["set_aside"].as_array().context("a list")?;
        let named: BTreeSet<&str> = named.iter().filter_map(|one| one["key"].as_str()).collect();
        ensure!(named == wanted, "named: {named:?}");
        let count = controller.metric(COUNT)?;
        ensure!(count == wanted.len() as f64, "{COUNT} is {count}");
        Ok(())
    })?;
    let said = controller.weft(&["status"])?;
    for key in wanted {
        assert!(said.stdout.contains(key), "{said:?}");
    }
    Ok(())
}

fn subnets(leases: &Value, node: &str) -> Result<Vec<String>> {
    let leases = leases.as_array().context("a list of leases")?;
    let lease = leases.iter().find(|lease| lease["node"] == node);
    let subnets = lease.context("its lease")?["subnets"].as_array();
    let subnets = subnets.context("its subnets")?.iter();
    Ok(subnets
        .filter_map(|subnet| subnet.as_str().map(str::to_owned))
        .collect())
}
