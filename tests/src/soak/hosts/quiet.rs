//! A quiet moment: nothing is done to anybody, everything gets ready, and then it must
//! be exactly as the leases say.

use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};

use super::{
    complaints::Complaint, control::Control, control::name, kernel, report::Tally, spot::Spot,
    stage::Stage,
};
use crate::wait::patiently;

/// A ping that was not answered for so long is lost.
const ON_ITS_WAY: Duration = Duration::from_secs(2);
/// Lines beside one that nothing explains.
const NEIGHBOURS: Duration = Duration::from_secs(1);

/// What was looked at before is not looked at again.
#[derive(Default)]
pub struct Seen {
    lines: BTreeMap<String, usize>,
}

impl Seen {
    pub fn quiet(
        &mut self,
        stage: &Stage,
        spots: &mut [Spot],
        control: &Control,
        tally: &mut Tally,
    ) -> Result<()> {
        let calm = Instant::now();
        let carried = stage.traffic.end_streams(stage);
        tally.carried(carried);
        ready(stage, spots)?;
        let differences = differences(stage, spots)?;
        for difference in &differences {
            stage.violation(difference.clone());
        }
        stage.processes.rest()?;
        thread::sleep(ON_ITS_WAY.saturating_sub(calm.elapsed()));
        judge_losses(stage, tally, Instant::now() - ON_ITS_WAY);
        self.judge_logs(stage, spots, control, tally)?;
        tally.quiet += 1;
        Ok(())
    }

    fn judge_logs(
        &mut self,
        stage: &Stage,
        spots: &[Spot],
        control: &Control,
        tally: &mut Tally,
    ) -> Result<()> {
        let mut complaints = Vec::new();
        for spot in spots {
            let lines = spot.agent.complaints()?;
            self.add(
                &mut complaints,
                stage,
                &spot.name(),
                Some(spot.number),
                &lines,
            );
        }
        for (index, controller) in control.controllers.iter().enumerate() {
            let lines = controller.complaints()?;
            self.add(&mut complaints, stage, &name(index), None, &lines);
        }
        let deeds = stage.diary.deeds();
        for complaint in &complaints {
            if let Some(rule) = complaint.explained(&deeds, stage.plan.busy) {
                *tally.complaints.entry(rule).or_default() += 1;
                continue;
            }
            let Complaint { by, at, text, .. } = complaint;
            let near = |other: &&Complaint| at.abs_diff(other.at) < NEIGHBOURS;
            let near = complaints
                .iter()
                .filter(near)
                .filter(|other| *other != complaint);
            let near: Vec<String> = near
                .map(|other| {
                    format!(
                        "\n    beside it: {:.3?} {} {}",
                        other.at, other.by, other.text
                    )
                })
                .collect();
            let around = super::judge::around(&deeds, *at, *at);
            let around: Vec<String> = around.iter().map(|deed| format!("\n    {deed}")).collect();
            stage.violation(format!(
                "nothing explains what {by} says at {at:.3?}: {text}{}{}",
                near.concat(),
                around.concat()
            ));
        }
        Ok(())
    }

    fn add(
        &mut self,
        complaints: &mut Vec<Complaint>,
        stage: &Stage,
        by: &str,
        host: Option<u32>,
        lines: &[String],
    ) {
        let seen = self.lines.entry(by.to_owned()).or_default();
        let new = lines.get(*seen..).unwrap_or_default();
        *seen = lines.len();
        let start = stage.start_ms;
        let parsed = new.iter().filter_map(|line| {
            // Before it stands in which file it is.
            let (_, line) = line.split_once(": ")?;
            Complaint::parse(by, host, line, start)
        });
        complaints.extend(parsed);
    }
}

pub fn judge_losses(stage: &Stage, tally: &mut Tally, before: Instant) {
    let losses = stage.traffic.losses_before(before);
    let verdict = super::judge::judge(losses, stage.plan.ping_every, &stage.diary.deeds());
    for one in &verdict.unexplained {
        let around: Vec<String> = one
            .around
            .iter()
            .map(|deed| format!("\n    {deed}"))
            .collect();
        stage.violation(format!(
            "{} lost {} from {:.3?} to {:.3?} and nothing allows it; around it:{}",
            one.way.name,
            one.lost,
            one.from,
            one.to,
            around.concat()
        ));
    }
    tally.losses(&verdict);
}

/// Waits for all agents, and for the controllers to know it.
fn ready(stage: &Stage, spots: &mut [Spot]) -> Result<()> {
    for spot in spots.iter_mut().filter(|spot| !spot.away) {
        spot.agent.ready()?;
    }
    let there: BTreeSet<String> = spots
        .iter()
        .filter(|spot| !spot.away)
        .map(|spot| stage.host(spot.number).node().to_owned())
        .collect();
    patiently("every node is ready and behind nothing", || {
        let mut known = BTreeSet::new();
        for url in stage.desk.controllers.split(',') {
            let nodes = stage.ask(url, &["node", "list"])?;
            let listed = nodes.as_array().context("a list of nodes")?;
            ensure!(listed.len() == there.len(), "{nodes}");
            // A controller knows of those that have a session with it.
            for node in listed.iter().filter(|node| !node["ready"].is_null()) {
                ensure!(node["ready"] == true && node["lag_ms"] == 0, "{node}");
                known.insert(node["name"].as_str().unwrap_or_default().to_owned());
            }
        }
        ensure!(known == there, "known are {known:?}");
        Ok(())
    })
}

/// Between what the leases say and what the kernels hold.
fn differences(stage: &Stage, spots: &[Spot]) -> Result<Vec<String>> {
    let leases = stage.leases(&stage.overlay.network)?;
    let homes = stage.homes();
    let mut all = Vec::new();
    for spot in spots {
        let host = stage.host(spot.number);
        let home = homes.get(&spot.number).into_iter().flatten();
        let ends: Vec<String> = home.map(|container| container.device.clone()).collect();
        let wanted = if spot.away {
            kernel::plain(&ends)
        } else {
            kernel::wanted(&stage.overlay, &leases, host.node(), &ends)?
        };
        let seen = kernel::seen(host, &stage.overlay.device)?;
        let found = kernel::differences(&wanted, &seen);
        all.extend(found.iter().map(|line| format!("h{}: {line}", spot.number)));
    }
    Ok(all)
}
