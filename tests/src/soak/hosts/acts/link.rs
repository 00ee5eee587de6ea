//! What lies between the hosts fails.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use anyhow::Result;

use crate::{
    dice::Dice,
    soak::hosts::{
        diary::{Act, Loses},
        spot::Spot,
        stage::Stage,
    },
};

const CUT_FOR: Range<Duration> = Duration::from_millis(500)..Duration::from_secs(8);
/// Short enough for TCP to go on soon afterwards.
const APART_FOR: Range<Duration> = Duration::from_millis(200)..Duration::from_secs(4);
const SLOW_FOR: Range<Duration> = Duration::from_millis(500)..Duration::from_secs(3);
const RATES: [&str; 3] = ["1mbit", "10mbit", "50mbit"];

pub fn cut_from_controllers(stage: &Stage, spot: &mut Spot, dice: &mut Dice) -> Result<()> {
    let host = spot.number;
    let switch = &stage.lab.switch;
    let controllers = (0..stage.plan.controllers).map(|index| stage.lab.plan.controller(index));
    let what = format!("h{host}");
    let doing = stage.begin(Act::CutFromControllers, what, &[host], Loses::Nobody);
    for controller in controllers.clone() {
        switch.cut(host, controller)?;
    }
    stage.sleep(dice.time(&CUT_FOR));
    for controller in controllers {
        switch.mend(host, controller)?;
    }
    let mended = Instant::now();
    spot.agent.ready()?;
    stage.diary.healed(doing, mended);
    Ok(())
}

pub fn parted(stage: &Stage, one: &Spot, other: &Spot, dice: &mut Dice) -> Result<()> {
    let (one, other) = (one.number, other.number);
    let (what, loses) = (format!("h{one} and h{other}"), Loses::Pair(one, other));
    let doing = stage.begin(Act::Partition, what, &[one, other], loses);
    stage.lab.switch.cut(one, other)?;
    stage.sleep(dice.time(&APART_FOR));
    stage.lab.switch.mend(one, other)?;
    let mended = Instant::now();
    stage.reach(one, other)?;
    stage.diary.healed(doing, mended);
    Ok(())
}

pub fn cut_one_way(stage: &Stage, one: &Spot, other: &Spot, dice: &mut Dice) -> Result<()> {
    let (one, other) = (one.number, other.number);
    let (what, loses) = (format!("from h{one} to h{other}"), Loses::Pair(one, other));
    let doing = stage.begin(Act::OneWayCut, what, &[one, other], loses);
    stage.lab.switch.cut_one_way(one, other)?;
    stage.sleep(dice.time(&APART_FOR));
    stage.lab.switch.mend_one_way(one, other)?;
    let mended = Instant::now();
    stage.reach(one, other)?;
    stage.diary.healed(doing, mended);
    Ok(())
}

pub fn pulled(stage: &Stage, spot: &mut Spot, dice: &mut Dice) -> Result<()> {
    let host = spot.number;
    let (what, loses) = (format!("h{host}"), Loses::Host(host));
    let doing = stage.begin(Act::UplinkPulled, what, &[host], loses);
    stage.lab.uplink_down(host)?;
    stage.sleep(dice.time(&APART_FOR));
    stage.lab.uplink_up(host)?;
    let plugged = Instant::now();
    stage.reach_all(host)?;
    stage.diary.healed(doing, plugged);
    spot.agent.ready()
}

/// What does not fit through it is lost.
pub fn slow(stage: &Stage, spot: &mut Spot, dice: &mut Dice) -> Result<()> {
    let host = spot.number;
    let rate = RATES[dice.below(RATES.len())];
    let (what, loses) = (format!("h{host} {rate}"), Loses::Host(host));
    let doing = stage.begin(Act::SlowLink, what, &[host], loses);
    stage.lab.slow(host, rate)?;
    stage.sleep(dice.time(&SLOW_FOR));
    stage.lab.fast(host)?;
    let fast = Instant::now();
    stage.reach_all(host)?;
    stage.diary.healed(doing, fast);
    spot.agent.ready()
}
