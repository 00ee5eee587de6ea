//! A node that is gone keeps its subnets for a time; then they go to the back of
//! the queue.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use tests::{agent::Agent, client::Client, controller::Controller, etcd::Etcd, wait::patiently};

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
async fn a_node_that_returns_in_time_has_lost_nothing() -> Result<()> {
    // This network's lapse is a day.
    let controller = Controller::embedded(&QUICK)?;
    let mut agent = Agent::new(1);
    agent.connect(controller.channel()?).await?;
    agent.joined().await?;
    let (subnets, life) = (agent.subnets(), life(&agent));
    agent.disconnect();
    lease_is(&controller, &agent, "lapsed")?;
    // Its peers keep it meanwhile, and nobody else gets it.
    let client = Client::new(controller.channel()?);
    let other = client.acquire("other").await?;
    assert!(subnets.iter().all(|subnet| !other.subnets.contains(subnet)));

    agent.connect(controller.channel()?).await?;
    agent.joined().await?;
    assert_eq!((agent.subnets(), self::life(&agent)), (subnets, life));
    lease_is(&controller, &agent, "alive")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reclaimed_subnet_is_the_last_to_be_given_again() -> Result<()> {
    let controller = Controller::embedded(&QUICK)?;
    short_network(&controller)?;
    let mut agent = in_short(1);
    agent.connect(controller.channel()?).await?;
    agent.joined().await?;
    let first = agent.subnets();
    agent.disconnect();
    reclaimed(&controller, &agent)?;

    // Three were never used; the one that came back is after them.
    let mut given = BTreeSet::new();
    for _ in 0..3 {
        given.extend(acquire_in_short(&controller, given.len())?);
    }
    assert!(!given.contains(&first[0]), "{given:?} and {first:?}");
    let last = acquire_in_short(&controller, 3)?;
    assert_eq!(last, first);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn any_controller_ends_what_a_dead_one_left() -> Result<()> {
    let etcd = Etcd::start()?;
    let mut dead = Controller::etcd(&etcd, &QUICK)?;
    let living = Controller::etcd(&etcd, &QUICK)?;
    short_network(&living)?;
    let mut agent = in_short(1);
    agent.connect(dead.channel()?).await?;
    agent.joined().await?;
    let mut witness = in_short(2);
    witness.connect(living.channel()?).await?;
    witness
        .until("it knows the other", |witness| {
            witness.held.peers.contains_key("host-1")
        })
        .await?;
    dead.kill()?;
    reclaimed(&living, &agent)?;
    witness
        .until("it hears that the other is gone", |witness| {
            !witness.held.peers.contains_key("host-1")
        })
        .await?;
    // Late, but welcome, and with another subnet.
    let before = agent.subnets();
    agent.connect(living.channel()?).await?;
    agent.joined().await?;
    assert_ne!(agent.subnets(), before);
    Ok(())
}

/// Four subnets, and little patience.
fn short_network(controller: &Controller) -> Result<()> {
    let pool = ["--pool", "10.77.0.0/22", "--lapse", "1s"];
    let create = [&["network", "create", "short"], &pool[..]].concat();
    let said = controller.weft(&create)?;
    ensure!(said.code == 0, "{said:?}");
    Ok(())
}

fn in_short(number: u32) -> Agent {
    let mut agent = Agent::new(number);
    agent.network = "short".into();
    agent
}

fn acquire_in_short(controller: &Controller, number: usize) -> Result<Vec<String>> {
    let node = format!("node-{number}");
    let acquire = ["lease", "acquire", "--network", "short", "--node", &node];
    let lease = controller.weft_json(&acquire)?;
    Ok(serde_json::from_value(lease["subnets"].clone())?)
}

fn lease_is(controller: &Controller, agent: &Agent, state: &str) -> Result<()> {
    patiently(&format!("its lease is {state}"), || {
        let lease = controller.weft_json(&["lease", "show", "--node", &agent.node])?;
        ensure!(lease["state"] == state, "{lease}");
        Ok(())
    })
}

fn reclaimed(controller: &Controller, agent: &Agent) -> Result<()> {
    patiently("its lease is reclaimed", || {
        let leases = controller.weft_json(&["lease", "list", "--node", &agent.node])?;
        ensure!(leases == serde_json::json!([]), "{leases}");
        Ok(())
    })
}

fn life(agent: &Agent) -> String {
    let lease = agent.lease.as_ref();
    lease.map(|lease| lease.life.clone()).unwrap_or_default()
}
