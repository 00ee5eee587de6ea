//! The controllers and their etcd, and what befalls them. No packet knows of it.

use std::{
    ops::Range,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use super::{
    diary::{Act, Loses},
    stage::Stage,
};
use crate::{controller::Controller, dice::Dice, etcd::Etcd};

const BREATH: Range<Duration> = Duration::from_millis(500)..Duration::from_secs(4);
const DEAD_FOR: Range<Duration> = Duration::ZERO..Duration::from_secs(3);
const FROZEN_FOR: Range<Duration> = Duration::from_millis(500)..Duration::from_secs(6);
const AWAY_FOR: Range<Duration> = Duration::from_secs(1)..Duration::from_secs(8);

pub struct Control {
    pub controllers: Vec<Controller>,
    pub etcd: Etcd,
}

impl Control {
    /// Acts until the time is over.
    pub fn run(&mut self, stage: &Stage, until: Duration, mut dice: Dice) {
        stage.sleep(dice.time(&BREATH));
        while stage.start.elapsed() < until && !stage.is_broken() {
            if let Err(error) = self.throw(stage, &mut dice) {
                stage.breaks(&error);
            }
            stage.sleep(dice.time(&BREATH));
        }
    }

    /// Tells of a process that was started.
    pub fn note(&self, stage: &Stage, index: usize) -> Result<()> {
        stage
            .processes
            .started(&name(index), self.controllers[index].pid()?);
        Ok(())
    }

    fn throw(&mut self, stage: &Stage, dice: &mut Dice) -> Result<()> {
        // The first is never killed, so that one sees what becomes of an old one.
        let victim = 1 + dice.below(self.controllers.len() - 1);
        let anyone = dice.below(self.controllers.len());
        match dice.below(12) {
            0..3 => self.killed(stage, victim, dice),
            3..5 => self.stopped(stage, victim, dice),
            5..7 => self.frozen(stage, anyone, dice),
            7..9 => self.away(stage, dice),
            9 => self.etcd_restarted(stage),
            10 => self.etcd_compacted(stage),
            _ => self.etcd_paused(stage, dice),
        }
    }

    fn killed(&mut self, stage: &Stage, victim: usize, dice: &mut Dice) -> Result<()> {
        let doing = stage.begin(Act::ControllerKilled, name(victim), &[], Loses::Nobody);
        self.kill(stage, victim)?;
        stage.sleep(dice.time(&DEAD_FOR));
        self.launch(stage, victim)?;
        self.controllers[victim].ready()?;
        stage.diary.end(doing);
        Ok(())
    }

    fn stopped(&mut self, stage: &Stage, victim: usize, dice: &mut Dice) -> Result<()> {
        let doing = stage.begin(Act::ControllerStopped, name(victim), &[], Loses::Nobody);
        stage.processes.ended(&name(victim));
        let controller = &mut self.controllers[victim];
        controller.terminate()?;
        let status = controller.ended()?;
        ensure!(status.code() == Some(0), "{} ended, {status}", name(victim));
        stage.sleep(dice.time(&DEAD_FOR));
        self.launch(stage, victim)?;
        self.controllers[victim].ready()?;
        stage.diary.end(doing);
        Ok(())
    }

    fn frozen(&mut self, stage: &Stage, victim: usize, dice: &mut Dice) -> Result<()> {
        let doing = stage.begin(Act::ControllerFrozen, name(victim), &[], Loses::Nobody);
        self.controllers[victim].pause()?;
        stage.sleep(dice.time(&FROZEN_FOR));
        self.controllers[victim].resume()?;
        self.controllers[victim].ready()?;
        stage.diary.end(doing);
        Ok(())
    }

    /// The first is frozen, the others are killed.
    fn away(&mut self, stage: &Stage, dice: &mut Dice) -> Result<()> {
        let all = "all of them".to_owned();
        let doing = stage.begin(Act::ControllersAway, all, &[], Loses::Nobody);
        self.controllers[0].pause()?;
        for victim in 1..self.controllers.len() {
            self.kill(stage, victim)?;
        }
        stage.sleep(dice.time(&AWAY_FOR));
        self.controllers[0].resume()?;
        for victim in 1..self.controllers.len() {
            self.launch(stage, victim)?;
        }
        let back = Instant::now();
        for controller in &mut self.controllers {
            controller.ready()?;
        }
        stage.diary.healed(doing, back);
        Ok(())
    }

    fn etcd_restarted(&mut self, stage: &Stage) -> Result<()> {
        let what = "by SIGKILL".to_owned();
        let doing = stage.begin(Act::EtcdRestarted, what, &[], Loses::Nobody);
        self.etcd.restart()?;
        self.all_ready()?;
        stage.diary.end(doing);
        Ok(())
    }

    fn etcd_compacted(&mut self, stage: &Stage) -> Result<()> {
        let what = "to its newest revision".to_owned();
        let doing = stage.begin(Act::EtcdCompacted, what, &[], Loses::Nobody);
        self.etcd.compact().context("compact etcd")?;
        self.all_ready()?;
        stage.diary.end(doing);
        Ok(())
    }

    fn etcd_paused(&mut self, stage: &Stage, dice: &mut Dice) -> Result<()> {
        let what = "by SIGSTOP".to_owned();
        let doing = stage.begin(Act::EtcdPaused, what, &[], Loses::Nobody);
        self.etcd.pause()?;
        stage.sleep(dice.time(&AWAY_FOR));
        self.etcd.resume()?;
        self.all_ready()?;
        stage.diary.end(doing);
        Ok(())
    }

    fn all_ready(&mut self) -> Result<()> {
        self.controllers.iter_mut().try_for_each(|one| one.ready())
    }

    fn kill(&mut self, stage: &Stage, victim: usize) -> Result<()> {
        stage.processes.ended(&name(victim));
        self.controllers[victim].kill()
    }

    fn launch(&mut self, stage: &Stage, victim: usize) -> Result<()> {
        self.controllers[victim].launch()?;
        self.note(stage, victim)
    }
}

pub fn name(index: usize) -> String {
    format!("controller {}", index + 1)
}
