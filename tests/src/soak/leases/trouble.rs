//! What happens to the fleet meanwhile.

use std::{
    ops::Range,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use super::{Ground, Plan};
use crate::dice::Dice;

/// From one kill of a controller to the next.
const KILL_EVERY: Range<Duration> = Duration::from_millis(1500)..Duration::from_millis(4000);
/// How long a killed one stays dead.
const DEAD_FOR: Range<Duration> = Duration::ZERO..Duration::from_millis(700);
/// The rest of the time nothing happens any more.
const TROUBLED: f64 = 0.85;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Troubles {
    pub kills: u32,
    pub etcd_restarts: u32,
    pub compactions: u32,
}

enum Trouble {
    Kill,
    RestartEtcd,
    Compact,
}

/// Does all of it, sees that the fleet is well, and leaves it alone until the plan's
/// time is over. Says when the last trouble was.
pub fn trouble(
    plan: &Plan,
    mut ground: Ground,
    start: Instant,
) -> Result<(Ground, Troubles, Duration)> {
    let mut dice = Dice::new(plan.seed);
    let mut done = Troubles::default();
    for (when, what) in schedule(plan, &mut dice) {
        thread::sleep(when.saturating_sub(start.elapsed()));
        match what {
            Trouble::Kill => {
                let victims = ground.controllers.len();
                let victim = &mut ground.controllers[dice.below(victims)];
                victim.kill()?;
                thread::sleep(dice.time(&DEAD_FOR));
                victim.launch()?;
                done.kills += 1;
            }
            Trouble::RestartEtcd => {
                ground.etcd.restart()?;
                done.etcd_restarts += 1;
            }
            Trouble::Compact => {
                ground.etcd.compact()?;
                done.compactions += 1;
            }
        }
    }
    for controller in &mut ground.controllers {
        controller.ready().context("after all the trouble")?;
    }
    let calm = start.elapsed();
    thread::sleep(plan.time.saturating_sub(calm));
    Ok((ground, done, calm))
}

fn schedule(plan: &Plan, dice: &mut Dice) -> Vec<(Duration, Trouble)> {
    let mut schedule = vec![(plan.time.mul_f64(0.55), Trouble::Compact)];
    for restart in 1..=plan.etcd_restarts {
        let share = f64::from(restart) / f64::from(plan.etcd_restarts + 1);
        schedule.push((plan.time.mul_f64(share), Trouble::RestartEtcd));
    }
    let mut kill = dice.time(&KILL_EVERY);
    while kill < plan.time.mul_f64(TROUBLED) {
        schedule.push((kill, Trouble::Kill));
        kill += dice.time(&KILL_EVERY);
    }
    schedule.sort_by_key(|(when, _)| *when);
    schedule
}
