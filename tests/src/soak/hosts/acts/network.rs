//! A network is made, joined by two hosts, used, left and deleted.

use std::{ops::Range, time::Duration};

use anyhow::{Context, Result, ensure};

use crate::{
    dice::Dice,
    lab::ping,
    soak::hosts::{
        diary::{Act, Loses},
        spot::Spot,
        stage::Stage,
    },
    wait::patiently,
};

const NOTICED_IN: Range<Duration> = Duration::ZERO..Duration::from_millis(500);

pub fn comes_and_goes(stage: &Stage, one: &Spot, other: &Spot, dice: &mut Dice) -> Result<()> {
    let name = name(one, dice);
    let hosts = [one.number, other.number];
    let what = format!("{name} on h{} and h{}", hosts[0], hosts[1]);
    let doing = stage.begin(Act::NetworkComesAndGoes, what, &hosts, Loses::Nobody);
    let device = used(stage, &name, one, other, dice)?;
    for spot in [one, other] {
        done(spot, &["leave", &name])?;
    }
    gone(stage, &device, one, other)?;
    // The leases end when a controller hears of it that has a store.
    patiently(&format!("{name} is deleted"), || {
        let said = stage.weft_said(&["network", "delete", &name])?;
        ensure!(said.code == 0, "{said:?}");
        Ok(())
    })?;
    stage.diary.end(doing);
    Ok(())
}

/// Its agents take it down, and say so until they are told that it is not wanted. One
/// that has no session at that moment keeps it until then.
pub fn deleted_in_use(stage: &Stage, one: &Spot, other: &Spot, dice: &mut Dice) -> Result<()> {
    let name = name(one, dice);
    let hosts = [one.number, other.number];
    let what = format!("{name} on h{} and h{}", hosts[0], hosts[1]);
    let doing = stage.begin(Act::NetworkDeletedInUse, what, &hosts, Loses::Nobody);
    let device = used(stage, &name, one, other, dice)?;
    stage.weft(&["network", "delete", &name, "--force"])?;
    stage.sleep(dice.time(&NOTICED_IN));
    for spot in [one, other] {
        done(spot, &["leave", &name])?;
    }
    gone(stage, &device, one, other)?;
    stage.diary.end(doing);
    Ok(())
}

/// The device that it has.
fn used(stage: &Stage, name: &str, one: &Spot, other: &Spot, dice: &mut Dice) -> Result<String> {
    let pool = format!("10.{}.0.0/16", 100 + dice.below(100));
    let underlay = stage.plan.underlay_name();
    // Asked again after a lost answer it may be there.
    let create = [
        "network",
        "create",
        name,
        "--pool",
        &pool,
        "--underlay",
        underlay,
    ];
    let vni = patiently("the network is made", || {
        let said = stage.weft_said(&create)?;
        let shown = stage.weft_said(&["network", "show", name])?;
        ensure!(shown.code == 0, "{said:?} {shown:?}");
        let shown: serde_json::Value = serde_json::from_str(&shown.stdout)?;
        let network = shown.get(0).unwrap_or(&shown);
        network["vni"].as_u64().with_context(|| shown.to_string())
    })?;
    for spot in [one, other] {
        // Without a controller, or where that one has no store, it is asked again.
        patiently(&format!("{} joins {name}", spot.name()), || {
            done(spot, &["join", name])
        })?;
    }
    let mut here = Vec::new();
    for spot in [one, other] {
        stage.lease(name, spot.number)?;
        here.push(stage.container(spot.number, name)?);
    }
    for (from, to) in [(&here[0], &here[1]), (&here[1], &here[0])] {
        patiently(
            &format!("{} reaches {} in {name}", from.name(), to.name()),
            || {
                let pings = ping(from, to.v4(), 1)?;
                ensure!(pings.lost() == 0, "{}", pings.said.stdout);
                Ok(())
            },
        )?;
    }
    Ok(format!("weft{vni}"))
}

fn gone(stage: &Stage, device: &str, one: &Spot, other: &Spot) -> Result<()> {
    for spot in [one, other] {
        patiently(&format!("{device} is gone from h{}", spot.number), || {
            let shown = stage
                .host(spot.number)
                .run(&["ip", "link", "show", device])?;
            ensure!(shown.code != 0, "{}", shown.stdout);
            Ok(())
        })?;
    }
    Ok(())
}

fn done(spot: &Spot, arguments: &[&str]) -> Result<()> {
    let said = spot.agent.run(arguments)?;
    ensure!(said.code == 0, "{} {arguments:?}: {said:?}", spot.name());
    Ok(())
}

fn name(one: &Spot, dice: &mut Dice) -> String {
    format!("net-{}-{}", one.number, dice.below(1_000_000))
}
