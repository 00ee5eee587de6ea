//! A network that is not there, a lease that cannot be read, a line on which nobody
//! speaks, a store that was wiped: each is a nuisance of its own and of nothing else.

use std::net::TcpStream;

use anyhow::{Result, ensure};
use proto::v1::{WatchRequest, controller_message::Message};
use tests::{agent::Agent, client::Client, controller::Controller, etcd::Etcd, wait::eventually};

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_network_costs_no_session() -> Result<()> {
    let controller = Controller::embedded(&[])?;
    let mut agent = Agent::new(1);
    agent.network = "nowhere".into();
    agent.connect(controller.channel()?).await?;
    agent
        .until("it is told that there is no such network", |agent| {
            let refused = |m: &Message| matches!(m, Message::Refused(r) if r.network == "nowhere");
            agent.heard.iter().any(refused)
        })
        .await?;
    let node = controller.weft_json(&["node", "show", "host-1"])?;
    assert_eq!(node["state"], "connected", "{node}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_removal_is_a_removal_though_a_lease_cannot_be_read() -> Result<()> {
    let etcd = Etcd::start()?;
    let controller = Controller::etcd(&etcd, &[])?;
    Client::new(controller.channel()?).acquire("host-1").await?;
    etcd.put("/weft/lease/default/host-1", "{")?;
    eventually("it is set aside", async || {
        ensure!(controller.metric("weft_set_aside_records")? == 1.0);
        Ok(())
    })
    .await?;
    let said = controller.weft(&["node", "remove", "host-1"])?;
    assert_eq!(said.code, 0, "{said:?}");
    let said = controller.weft(&["node", "show", "host-1"])?;
    assert_eq!(said.code, 1, "{said:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_is_not_waited_for_at_the_end() -> Result<()> {
    // The drain time is longer than this test would wait.
    let mut controller = Controller::embedded(&["--drain", "10m"])?;
    let client = Client::new(controller.channel()?);
    let mut watch = client
        .leases()
        .watch(WatchRequest::default())
        .await?
        .into_inner();
    ensure!(
        watch.message().await?.is_some(),
        "a watch begins with a snapshot"
    );
    let address = controller.url()?;
    let _silent = TcpStream::connect(address.trim_start_matches("http://"))?;
    controller.terminate()?;
    let status = controller.ended()?;
    ensure!(status.success(), "{status}");
    let last = watch.message().await;
    ensure!(
        last.is_err(),
        "the watch ended as if all were told: {last:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wiped_store_is_a_new_fleet_with_a_network() -> Result<()> {
    let mut etcd = Etcd::start()?;
    let mut controller = Controller::etcd(&etcd, &[])?;
    let client = Client::new(controller.channel()?);
    let before = client.status().await?.cluster;
    etcd.wipe(true)?;
    eventually("it has seen the other history", async || {
        let status = client.status().await?;
        ensure!(status.cluster != before && status.ready, "{status:?}");
        Ok(())
    })
    .await?;
    let lease = client.acquire("host-1").await?;
    assert_eq!(lease.network, "default");
    controller.hush();
    Ok(())
}
