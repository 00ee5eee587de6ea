//! A host leaves the fleet without a trace, and one that nobody knows comes.

use std::time::Instant;

use anyhow::{Context, Result, ensure};

use crate::{
    dice::Dice,
    soak::hosts::{
        diary::{Act, Loses},
        kernel,
        spot::Spot,
        stage::Stage,
    },
    wait::patiently,
};

pub fn leaves(stage: &Stage, spot: &mut Spot, _: &mut Dice) -> Result<()> {
    let _changing = stage.leases_change();
    let (number, host) = (spot.number, stage.host(spot.number));
    let lease = stage.lease(&stage.overlay.network, number)?;
    stage.traffic.end(Some(number))?;
    stage.settle(number, None);
    let doing = stage.begin(
        Act::NodeLeaves,
        format!("h{number}"),
        &[number],
        Loses::Nobody,
    );
    spot.stop(stage)?;
    let removed = Instant::now();
    stage.weft(&["node", "remove", host.node()])?;
    spot.away = true;
    let cleaned = spot
        .agent
        .run(&["--state-dir", &state(spot)?, "cleanup", "--forget"])?;
    ensure!(cleaned.code == 0, "cleanup on h{number}: {cleaned:?}");
    stage.all_send(number, &lease.mac, None)?;
    stage.diary.healed(doing, removed);
    stage.all_hold(number, None, Some(&lease))?;
    patiently(&format!("h{number} has no trace"), || {
        // Devices of containers vanish a moment after them.
        let seen = kernel::seen(host, &stage.overlay.device)?;
        let differences = kernel::differences(&kernel::plain(&[]), &seen);
        ensure!(differences.is_empty(), "{}", differences.join("\n"));
        Ok(())
    })
}

pub fn comes(stage: &Stage, spot: &mut Spot, dice: &mut Dice) -> Result<()> {
    let _changing = stage.leases_change();
    let number = spot.number;
    let doing = stage.begin(
        Act::NodeComes,
        format!("h{number}"),
        &[number],
        Loses::Nobody,
    );
    let began = Instant::now();
    spot.launch(stage)?;
    spot.agent.ready()?;
    spot.away = false;
    let lease = stage.lease(&stage.overlay.network, number)?;
    stage.all_send(number, &lease.mac, Some(lease.underlay))?;
    stage.diary.healed(doing, began);
    stage.all_hold(number, Some(&lease), None)?;
    spot.settle(stage)?;
    stage.traffic.begin(stage, number, dice)
}

fn state(spot: &Spot) -> Result<String> {
    let directory = spot.agent.socket().parent().context("its directory")?;
    Ok(directory.join("state").display().to_string())
}
