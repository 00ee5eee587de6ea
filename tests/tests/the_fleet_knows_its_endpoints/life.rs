//! They come, change and go, and outlive their controller.

use anyhow::{Context, Result};
use proto::v1;
use serde_json::json;
use tests::{agent::endpoint, controller::Controller, etcd::Etcd};

use super::{joined, kept, listed, rows};

#[tokio::test(flavor = "multi_thread")]
async fn in_etcd() -> Result<()> {
    let etcd = Etcd::start()?;
    let mut one = Controller::etcd(&etcd, &[])?;
    let other = Controller::etcd(&etcd, &[])?;
    a_story(&mut one, Some(&other)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn in_one_file() -> Result<()> {
    a_story(&mut Controller::embedded(&[])?, None).await
}

async fn a_story(one: &mut Controller, other: Option<&Controller>) -> Result<()> {
    let mut agent = joined(one, 1).await?;
    assert_eq!(agent.had(), Some(0));
    let all = agent.containers(0..3)?;
    kept(&agent.has(all.clone()).await?);
    let everywhere = |here: &Controller, names: &[&str]| -> Result<()> {
        for controller in [Some(here), other].into_iter().flatten() {
            listed(controller, names)?;
        }
        Ok(())
    };
    everywhere(one, &["host-1-c0", "host-1-c1", "host-1-c2"])?;
    let row = &rows(one, &[])?[1];
    let lease = agent.lease.clone().context("a lease")?;
    let expected = json!({
        "network": "default",
        "node": "host-1",
        "name": row["name"],
        "addresses": row["addresses"],
        "mac": row["mac"],
        "ports": row["ports"],
        "aliases": row["aliases"],
        "labels": row["labels"],
        "container": row["container"],
        "key": row["key"],
        "id": row["id"],
        "state": "alive",
        "since": "2023-11-14T22:13:20Z",
        "revision": row["revision"],
    });
    assert_eq!(*row, expected);
    for (number, told) in all.iter().enumerate() {
        found_by_each_of_its_names(one, number, told)?;
    }

    // One is another now, one is gone, and one is new.
    let mut renamed = all[0].clone();
    renamed.name = "renamed".into();
    let new = endpoint(&lease, 7)?;
    let gone = vec![all[1].id.clone()];
    kept(
        &agent
            .changed(vec![renamed.clone(), new.clone()], gone)
            .await?,
    );
    everywhere(one, &["host-1-c2", "host-1-c7", "renamed"])?;

    one.kill()?;
    one.start()?;
    agent.connect(one.channel()?).await?;
    agent.joined().await?;
    assert_eq!(agent.had(), Some(3));
    everywhere(one, &["host-1-c2", "host-1-c7", "renamed"])?;
    // The same again is not written again.
    let before = rows(one, &[])?;
    kept(&agent.has(vec![renamed, all[2].clone(), new]).await?);
    assert_eq!(rows(one, &[])?, before);
    // What went away meanwhile is told by what is there.
    kept(&agent.has(vec![all[2].clone()]).await?);
    everywhere(one, &["host-1-c2"])?;

    agent.leave().await?;
    everywhere(one, &[])?;
    Ok(())
}

fn found_by_each_of_its_names(
    controller: &Controller,
    number: usize,
    told: &v1::Endpoint,
) -> Result<()> {
    let alias = format!("alias-{number}");
    let short = &told.container[..12];
    let names = [&told.name, &alias, &told.id, &told.key, short];
    let addresses = told.addresses.iter().map(String::as_str);
    for name in names.into_iter().chain(addresses) {
        let shown = controller.weft_json(&["endpoint", "show", name])?;
        assert_eq!(shown["id"], told.id, "{name}");
    }
    let said = controller.weft(&["endpoint", "show", "nobody"])?;
    assert_eq!((said.code, said.stdout.as_str()), (1, ""));
    assert!(said.stderr.contains("no endpoint nobody"), "{said:?}");
    Ok(())
}
