//! A network is made, joined by two hosts, used, left and deleted.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

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

/// From a leave to the end of its lease, where somebody hears of it.
const RELEASED_WITHIN: Duration = Duration::from_secs(15);
/// A session that is broken is noticed.
const NOTICED_WITHIN: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_millis(200);
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
    delete(stage, &name, &hosts)?;
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
        done(spot, &["join", name])?;
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

/// An agent says only once that it leaves. Where no controller could take that in, the
/// lease stays, and an operator has to use force.
fn delete(stage: &Stage, name: &str, hosts: &[u32]) -> Result<()> {
    let asked = Instant::now();
    loop {
        let said = stage.weft_said(&["network", "delete", name])?;
        if said.code == 0 {
            return Ok(());
        }
        if asked.elapsed() > RELEASED_WITHIN {
            let forgotten = said.stderr.contains("still has") && unheard(stage, hosts);
            ensure!(forgotten, "weft network delete {name}: {said:?}");
            stage.weft(&["network", "delete", name, "--force"])?;
            return Ok(());
        }
        stage.sleep(AGAIN);
    }
}

/// Something kept these hosts from the controllers, or those from their store.
fn unheard(stage: &Stage, hosts: &[u32]) -> bool {
    let now = stage.start.elapsed();
    let recent = now.saturating_sub(RELEASED_WITHIN + NOTICED_WITHIN);
    let deeds = stage.diary.deeds();
    deeds.iter().any(|deed| {
        let cut = deed.act == Act::CutFromControllers
            && deed.hosts.iter().any(|host| hosts.contains(host));
        (cut || deed.hosts.is_empty()) && deed.lasts(recent, now, Duration::ZERO)
    })
}

fn done(spot: &Spot, arguments: &[&str]) -> Result<()> {
    let said = spot.agent.run(arguments)?;
    ensure!(said.code == 0, "{} {arguments:?}: {said:?}", spot.name());
    Ok(())
}

fn name(one: &Spot, dice: &mut Dice) -> String {
    format!("net-{}-{}", one.number, dice.below(1_000_000))
}
