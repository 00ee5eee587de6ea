//! The agent of a host dies, ends, or sleeps. No packet knows of it.

use std::{ops::Range, time::Duration};

use anyhow::Result;

use crate::{
    dice::Dice,
    soak::hosts::{
        diary::{Act, Loses},
        spot::Spot,
        stage::Stage,
    },
};

const DEAD_FOR: Range<Duration> = Duration::ZERO..Duration::from_secs(3);
const FROZEN_FOR: Range<Duration> = Duration::from_millis(300)..Duration::from_millis(1500);

pub fn killed(stage: &Stage, spot: &mut Spot, dice: &mut Dice) -> Result<()> {
    if spot.elder {
        return frozen(stage, spot, dice);
    }
    let host = spot.number;
    let doing = stage.begin(Act::AgentKilled, format!("h{host}"), &[host], Loses::Nobody);
    spot.kill(stage)?;
    stage.sleep(dice.time(&DEAD_FOR));
    spot.launch(stage)?;
    spot.agent.ready()?;
    stage.diary.end(doing);
    Ok(())
}

pub fn stopped(stage: &Stage, spot: &mut Spot, dice: &mut Dice) -> Result<()> {
    if spot.elder {
        return frozen(stage, spot, dice);
    }
    let host = spot.number;
    let doing = stage.begin(
        Act::AgentStopped,
        format!("h{host}"),
        &[host],
        Loses::Nobody,
    );
    spot.stop(stage)?;
    stage.sleep(dice.time(&DEAD_FOR));
    spot.launch(stage)?;
    spot.agent.ready()?;
    stage.diary.end(doing);
    Ok(())
}

pub fn frozen(stage: &Stage, spot: &mut Spot, dice: &mut Dice) -> Result<()> {
    let host = spot.number;
    let doing = stage.begin(Act::AgentFrozen, format!("h{host}"), &[host], Loses::Nobody);
    spot.agent.pause()?;
    stage.sleep(dice.time(&FROZEN_FOR));
    spot.agent.resume()?;
    spot.agent.ready()?;
    stage.diary.end(doing);
    Ok(())
}
