//! A pool gives out every subnet it has, each once, and then says that it is empty.

use std::collections::BTreeSet;

use anyhow::{Context, Result};
use proto::v1;
use tests::{client::Client, controller::Controller, etcd::Etcd};
use tokio::task::JoinSet;
use tonic::Code;

const NODES: usize = 64;
/// 64 subnets each.
const POOLS: [&str; 2] = ["--default-network", "10.99.0.0/18,fd99::/58"];

#[tokio::test(flavor = "multi_thread")]
async fn through_one_controller() -> Result<()> {
    let controller = Controller::embedded(&POOLS)?;
    fill(&[controller]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn through_three_controllers() -> Result<()> {
    let etcd = Etcd::start()?;
    let controllers = (0..3).map(|_| Controller::etcd(&etcd, &POOLS));
    let controllers = controllers.collect::<Result<Vec<_>>>()?;
    fill(&controllers).await
}

async fn fill(controllers: &[Controller]) -> Result<()> {
    let mut asked = JoinSet::new();
    for number in 0..NODES {
        let client = Client::new(controllers[number % controllers.len()].channel()?);
        asked.spawn(async move { client.acquire(&format!("node-{number}")).await });
    }
    let mut leases = Vec::new();
    while let Some(lease) = asked.join_next().await {
        leases.push(lease.context("a caller")??);
    }
    for family in [":", "."] {
        let subnets = subnets(&leases, family);
        assert_eq!(subnets.len(), NODES, "{subnets:?}");
    }

    for controller in controllers {
        one_too_many(controller).await?;
    }
    // Given back, it is there again for whoever comes.
    let client = Client::new(controllers[0].channel()?);
    let lease = &leases[0];
    client.release(&lease.node, &lease.life).await?;
    let last = Client::new(controllers[controllers.len() - 1].channel()?);
    let late = last.acquire("late").await?;
    assert_eq!(late.subnets, lease.subnets);
    Ok(())
}

async fn one_too_many(controller: &Controller) -> Result<()> {
    let client = Client::new(controller.channel()?);
    let refused = client.acquire("one-too-many").await;
    let status = refused.err().context("a 65th lease of 64 subnets")?;
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    for word in ["default", "of 64", "64 are leased", "network grow"] {
        assert!(status.message().contains(word), "{status:?}");
    }
    let said = controller.weft(&["lease", "acquire", "--node", "one-too-many"])?;
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stderr.contains(status.message()), "{said:?}");
    assert_eq!(said.stderr.lines().count(), 1, "{said:?}");
    Ok(())
}

fn subnets<'a>(leases: &'a [v1::Lease], family: &str) -> BTreeSet<&'a str> {
    let all = leases.iter().flat_map(|lease| &lease.subnets);
    all.map(String::as_str)
        .filter(|subnet| subnet.contains(family))
        .collect()
}
