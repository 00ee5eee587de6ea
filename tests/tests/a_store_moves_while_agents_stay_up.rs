//! From the embedded store to etcd and back, by one command each way, while agents stay up
//! and containers talk; killed at any moment, it is done by the same command once more.

use std::{net::IpAddr, path::Path, thread, time::Duration};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tests::{
    carried::{Carried, controller},
    client::Client,
    controller::{Controller, Store},
    dice::Dice,
    etcd::Etcd,
    lab::{Lab, Pinger, Place},
    process::{self, keep},
    wait::patiently,
};

#[test]
fn and_nobody_loses_a_packet() -> Result<()> {
    let mut lab = Lab::new(3)?;
    lab.start_controller(&[])?;
    let agents = lab.agents(&[])?;
    let (one, other) = (lab.container_on(1)?, lab.container_on(3)?);
    let place = lab.controllers[0].place().clone();
    let data = path(&lab.controllers[0].data())?;
    let pinger = Pinger::start(&one, other.v4())?;
    patiently("pings come back", || {
        ensure!(pinger.received() > 50);
        Ok(())
    })?;
    let etcd = lab.start_etcd()?;
    let endpoint = etcd.endpoint();
    let before = leases(&lab)?;
    assert_eq!(before.len(), 3);
    let seed = Dice::seed();
    println!("seed {seed}");
    let mut dice = Dice::new(seed);

    let to_etcd = [
        "move",
        "etcd",
        "--data-dir",
        &data,
        "--etcd-endpoints",
        &endpoint,
    ];
    let used = "in use by another controller";
    moved(&mut lab, &place, &to_etcd, used, &mut dice)?;
    let said = controller(&place, &["--data-dir", &data])?;
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stderr.contains("were moved to etcd"), "{said:?}");

    let address = IpAddr::V4(lab.plan.v4(lab.plan.controller(0)));
    let on_etcd = Controller::within(place.namespace()?, address, Store::Etcd(&etcd), &[])?;
    let mut embedded = std::mem::replace(&mut lab.controllers[0], on_etcd);
    with_it(&lab, &agents, &before)?;

    let from_etcd = [&["move", "embedded"], &to_etcd[2..]].concat();
    let used = "controllers run on that etcd";
    moved(&mut lab, &place, &from_etcd, used, &mut dice)?;
    embedded.start()?;
    lab.controllers[0] = embedded;
    with_it(&lab, &agents, &before)?;
    let pinged = pinger.finish()?;
    assert_eq!(pinged.lost(), 0, "{pinged:?}");
    Ok(())
}

/// What is moved is large enough to be met at every step.
#[tokio::test(flavor = "multi_thread")]
async fn and_is_whole_whenever_it_was_killed() -> Result<()> {
    let mut source = Controller::embedded(&[])?;
    let client = Client::new(source.channel()?);
    let mut going = Vec::new();
    for number in 0..240 {
        let node = format!("node-{number}");
        let lease = client.acquire(&node).await?;
        if number % 3 == 0 {
            going.push((node, lease.life));
        }
    }
    let half = going.len() / 2;
    going.rotate_left(half);
    for (node, life) in &going {
        client.release(node, life).await?;
    }
    source.terminate()?;
    source.ended()?;
    let data = path(&source.data())?;
    let here = Place::Here;
    let whole = Carried::of(&here, &["--data-dir", &data])?;
    assert_eq!(whole.queue.len(), 80);

    let etcd = Etcd::start()?;
    let endpoint = etcd.endpoint();
    let store = ["--store", "etcd", "--etcd-endpoints", &endpoint];
    let to_etcd = [
        "move",
        "etcd",
        "--data-dir",
        &data,
        "--etcd-endpoints",
        &endpoint,
    ];
    let directory = tempfile::tempdir()?;
    let back = path(&directory.path().join("back"))?;
    let from_etcd = [
        "move",
        "embedded",
        "--data-dir",
        &back,
        "--etcd-endpoints",
        &endpoint,
    ];
    let seed = Dice::seed();
    println!("seed {seed}");
    let mut dice = Dice::new(seed);
    let standing = || etcd.get("/weft/standing");
    for arrives in [true, false, true] {
        killed_when(&to_etcd, || Ok(standing()?.is_some() == arrives))?;
    }
    for _ in 0..12 {
        killed(
            &here,
            &to_etcd,
            dice.time(&(Duration::ZERO..Duration::from_millis(400))),
        )?;
        if standing()?.is_none() {
            assert_eq!(
                Carried::of(&here, &store)?,
                whole,
                "controllers may use half of it"
            );
        }
    }
    again(&here, &to_etcd)?;
    assert_eq!(standing()?, None);
    assert_eq!(Carried::of(&here, &store)?, whole);
    // What was moved can still be read, should etcd be lost.
    assert_eq!(Carried::of(&here, &["--data-dir", &data])?, whole);

    let mut there = Controller::etcd(&etcd, &[])?;
    there.terminate()?;
    there.ended()?;
    killed_when(&from_etcd, || Ok(standing()?.is_some()))?;
    for _ in 0..12 {
        killed(
            &here,
            &from_etcd,
            dice.time(&(Duration::ZERO..Duration::from_millis(100))),
        )?;
        assert_eq!(Carried::of(&here, &store)?, whole);
    }
    again(&here, &from_etcd)?;
    let said = standing()?.context("etcd stays closed")?;
    assert!(said.contains("moved"), "{said}");
    assert_eq!(Carried::of(&here, &["--data-dir", &back])?, whole);
    there.launch()?;
    patiently("a controller on etcd says where to look", || {
        let ready = there.ops("/readyz")?;
        ensure!(
            ready.body.contains("were moved to embedded"),
            "{}",
            ready.body
        );
        Ok(())
    })?;
    Ok(())
}

/// Nothing is moved while a controller uses it, which is said in these words; once that has
/// ended it is, however often the command is killed.
fn moved(
    lab: &mut Lab,
    place: &Place,
    command: &[&str],
    used: &str,
    dice: &mut Dice,
) -> Result<()> {
    let said = controller(place, command)?;
    assert_eq!(said.code, 1, "{said:?}");
    assert!(said.stderr.contains(used), "{said:?}");
    lab.controllers[0].terminate()?;
    lab.controllers[0].ended()?;
    for _ in 0..3 {
        killed(
            place,
            command,
            dice.time(&(Duration::ZERO..Duration::from_millis(120))),
        )?;
    }
    // Once it is done, it is done.
    again(place, command)
}

/// Gives a command once more, whether or not it was done before.
fn again(place: &Place, command: &[&str]) -> Result<()> {
    let said = controller(place, command)?;
    println!("{said:?}");
    let done = said.code == 0 || said.stderr.contains("start the controller");
    ensure!(done, "{said:?}");
    Ok(())
}

/// Runs it and kills it as soon as this is seen, or lets it end.
fn killed_when(arguments: &[&str], seen: impl Fn() -> Result<bool>) -> Result<()> {
    let mut command = process::mortal(process::weft("weft-controller")?);
    command.args(arguments);
    let mut child = keep(command)?;
    while child.try_wait()?.is_none() && !seen()? {}
    process::kill(&mut child)
}

/// Runs it and kills it after this long, if it has not ended by then.
fn killed(place: &Place, arguments: &[&str], after: Duration) -> Result<()> {
    let mut command = place.mortal(process::weft("weft-controller")?);
    command.args(arguments);
    let mut child = keep(command)?;
    thread::sleep(after);
    process::kill(&mut child)
}

/// All agents are back with their controller, and hold what they held.
fn with_it(
    lab: &Lab,
    agents: &[tests::lab::Agent],
    before: &[(Value, Value, Value)],
) -> Result<()> {
    patiently("the agents are back", || {
        for agent in agents {
            let ready = agent.ops("/readyz")?;
            ensure!(ready.status == 200, "{}", ready.body);
        }
        let status = lab.weft(&["status"])?;
        ensure!(status["sessions"] == 3, "{status}");
        Ok(())
    })?;
    assert_eq!(leases(lab)?, before);
    Ok(())
}

fn leases(lab: &Lab) -> Result<Vec<(Value, Value, Value)>> {
    let leases = lab.weft(&["lease", "list"])?;
    let leases = leases.as_array().context("a list")?.iter();
    let told = leases.map(|lease| {
        let of = |name: &str| lease[name].clone();
        (of("node"), of("life"), of("subnets"))
    });
    Ok(told.collect())
}

fn path(path: &Path) -> Result<String> {
    Ok(path.to_str().context("a path that is text")?.to_owned())
}
