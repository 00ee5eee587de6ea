//! Names, ids and sessions: who may be whom, and who has to go.

use anyhow::{Context, Result};
use tests::{agent::Agent, client::Client, controller::Controller, etcd::Etcd};
use tonic::Code;

#[tokio::test(flavor = "multi_thread")]
async fn a_removed_machine_goes_and_stays_out() -> Result<()> {
    let controller = Controller::embedded(&[])?;
    let client = Client::new(controller.channel()?);
    let mut agent = Agent::new(1);
    agent.connect(controller.channel()?).await?;
    agent.joined().await?;
    let mut witness = Agent::new(2);
    witness.connect(controller.channel()?).await?;
    witness.joined().await?;

    let said = controller.weft(&["node", "remove", "host-1"])?;
    assert_eq!(said.code, 0, "{said:?}");
    let status = agent.dismissed().await?;
    assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");
    assert!(status.message().contains("host-1"), "{status:?}");
    witness
        .until("the others hear that it is gone", |witness| {
            !witness.held.peers.contains_key("host-1")
        })
        .await?;
    assert_eq!(client.list("host-1").await?.leases, []);

    let refused = agent.connect(controller.channel()?).await.err();
    let status = refused.context("a removed machine was let in")?;
    assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");
    assert!(
        status.message().contains(&agent.id.to_string()),
        "{status:?}"
    );
    // Its name is free for another.
    let mut heir = Agent::new(1);
    heir.connect(controller.channel()?).await?;
    heir.joined().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_has_one_machine() -> Result<()> {
    let controller = Controller::embedded(&[])?;
    let mut first = Agent::new(1);
    first.connect(controller.channel()?).await?;
    first.joined().await?;
    let mut second = Agent::new(1);
    let refused = second.connect(controller.channel()?).await.err();
    let status = refused.context("a name was given twice")?;
    assert_eq!(status.code(), Code::AlreadyExists, "{status:?}");
    for id in [first.id, second.id] {
        assert!(status.message().contains(&id.to_string()), "{status:?}");
    }
    // Nor by a request without an agent.
    let client = Client::new(controller.channel()?);
    let refused = client.acquire("host-1").await.err();
    let status = refused.context("an agent's lease was taken over")?;
    assert_eq!(status.code(), Code::FailedPrecondition, "{status:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_session_wins_wherever_it_is() -> Result<()> {
    let etcd = Etcd::start()?;
    let here = Controller::etcd(&etcd, &[])?;
    let there = Controller::etcd(&etcd, &[])?;
    for second in [&here, &there] {
        let mut before = Agent::new(1);
        before.connect(here.channel()?).await?;
        before.joined().await?;
        // The same machine again, its old stream still open.
        let mut after = before.restarted();
        after.connect(second.channel()?).await?;
        after.joined().await?;
        assert_eq!(after.subnets(), before.subnets());
        let status = before.dismissed().await?;
        assert_eq!(status.code(), Code::Aborted, "{status:?}");
        assert!(status.message().contains("newer session"), "{status:?}");
        Client::new(here.channel()?).acquire_at("other", 2).await?;
        after
            .until("the new one hears what happens", |after| {
                after.held.peers.contains_key("other")
            })
            .await?;
        here.weft(&["node", "remove", "host-1"])?;
        here.weft(&["node", "remove", "other"])?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copied_disk_is_noticed() -> Result<()> {
    let controller = Controller::embedded(&[])?;
    let mut agent = Agent::new(1);
    agent.connect(controller.channel()?).await?;
    agent.joined().await?;
    let mut copy = agent.restarted();
    agent.connect(controller.channel()?).await?;
    agent.joined().await?;
    // Once it may be a disk that was set back; twice it is two machines.
    copy.connect(controller.channel()?).await?;
    copy.joined().await?;
    let status = agent.dismissed().await?;
    assert_eq!(status.code(), Code::Aborted, "{status:?}");
    let refused = agent.connect(controller.channel()?).await.err();
    let status = refused.context("two machines with one disk")?;
    assert_eq!(status.code(), Code::AlreadyExists, "{status:?}");
    assert!(
        status.message().contains("two machines at once"),
        "{status:?}"
    );
    Ok(())
}
