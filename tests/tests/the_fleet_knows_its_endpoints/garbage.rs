//! Records of them that cannot be read.

use anyhow::{Context, Result, ensure};
use tests::{controller::Controller, etcd::Etcd, wait::patiently};

use super::{joined, kept, listed};

#[tokio::test(flavor = "multi_thread")]
async fn garbage_is_set_aside_and_told_anew() -> Result<()> {
    let etcd = Etcd::start()?;
    let mut controller = Controller::etcd(&etcd, &[])?;
    let mut agent = joined(&controller, 1).await?;
    let all = agent.containers(0..2)?;
    kept(&agent.has(all.clone()).await?);
    let key = format!("endpoint/default/host-1/{}", all[0].id);
    let names = ["host-1-c0", "host-1-c1"];
    etcd.put(&format!("/weft/{key}"), "{")?;
    set_aside(&controller, &[&key])?;
    listed(&controller, &names)?;

    // One that starts now cannot know it, and has all others.
    controller.kill()?;
    controller.start()?;
    set_aside(&controller, &[&key])?;
    listed(&controller, &names[1..])?;
    agent.connect(controller.channel()?).await?;
    agent.joined().await?;
    kept(&agent.has(all).await?);
    set_aside(&controller, &[])?;
    listed(&controller, &names)
}

fn set_aside(controller: &Controller, keys: &[&str]) -> Result<()> {
    patiently("what cannot be read is named", || {
        let status = controller.weft_json(&["status"])?;
        let named = status["set_aside"].as_array().context("a list")?;
        let named: Vec<&str> = named.iter().filter_map(|one| one["key"].as_str()).collect();
        ensure!(named == keys, "{named:?}");
        Ok(())
    })
}
