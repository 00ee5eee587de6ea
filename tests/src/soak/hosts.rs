//! Hosts with agents and containers, controllers and an etcd, under everything that can
//! befall them: no packet may be lost that no act allows, nothing may be stale at rest,
//! nothing may leak, and no log may complain without a cause.
//!
//! It goes in rounds. In a round several act at once, each on hosts of his own; then
//! there is a quiet moment at which everything is looked at.

use std::{
    io::{self, Write},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};

use acts::Lane;
use control::Control;
use machine::{machine, share};
use quiet::Seen;
use spot::Spot;
use stage::{Desk, Stage};

use crate::{
    dice::Dice,
    lab::{Agent, Lab},
};

mod acts;
mod complaints;
mod control;
mod diary;
mod judge;
mod kernel;
mod lease;
mod machine;
mod plan;
mod processes;
mod quiet;
mod report;
mod spot;
mod stage;
mod traffic;

pub use diary::{Act, Deed};
pub use plan::Plan;
pub use report::Report;

const NETWORK: &str = "soak";
const POOLS: &str = "10.40.0.0/16,fd77:40::/48";
const VNI: u32 = 40;
const PORT: u16 = 4789;
/// Agents are not to look by themselves: what they mend, they were told of.
const LOOK_EVERY: &str = "1h";
/// More would need more processors.
const LANES: usize = 2;
const HOSTS_OF_A_LANE: usize = 3;
const SAMPLE_EVERY: Duration = Duration::from_secs(1);
const PROGRESS_EVERY: u32 = 5;

/// Everything from the first host to the report.
pub fn run(plan: Plan) -> Result<Report> {
    let (stage, mut spots, mut control) = set(plan)?;
    let over = AtomicBool::new(false);
    let tally = Mutex::default();
    let before = machine();
    let ended = thread::scope(|scope| {
        let watching = scope.spawn(|| watch(&stage, &over, &tally));
        let ended = rounds(&stage, &mut spots, &mut control, &tally);
        over.store(true, Ordering::Relaxed);
        drop(watching.join());
        ended
    });
    if let Err(error) = &ended {
        stage.breaks(error);
    }
    let busy = share(before, machine());
    for series in stage.processes.all() {
        series
            .leaks()
            .into_iter()
            .for_each(|leak| stage.violation(leak));
    }
    spots.iter_mut().for_each(|spot| spot.agent.hush());
    control.controllers.iter_mut().for_each(|one| one.hush());
    let tally = tally.into_inner().expect("who counts does not panic");
    Ok(Report::of(&stage, tally, busy))
}

/// Hosts, controllers, agents and containers, all ready.
fn set(plan: Plan) -> Result<(Stage, Vec<Spot>, Control)> {
    let mut lab = Lab::on(plan.ground, plan.hosts)?;
    for host in lab.hosts() {
        // One address takes the place of another, as distributions have it.
        host.sysctl("net/ipv4/conf/all/promote_secondaries", "1")?;
    }
    lab.start_controllers(plan.controllers, &["--default-network", "10.250.0.0/16"])?;
    let underlay = plan.underlay_name();
    let vni = VNI.to_string();
    let create = ["network", "create", NETWORK, "--pool", POOLS, "--vni", &vni];
    lab.weft(&[&create[..], &["--underlay", underlay]].concat())?;
    let urls = lab.controller_urls()?;
    let desk = Desk {
        place: lab.controllers[0].place().clone(),
        controllers: urls.clone(),
    };
    let control = Control {
        controllers: std::mem::take(&mut lab.controllers),
        etcd: lab.etcd.take().context("several controllers share one")?,
    };
    let overlay = kernel::Overlay {
        network: NETWORK.into(),
        device: format!("weft{VNI}"),
        vni: VNI,
        port: PORT,
        mtu: plan.underlay.mtu(),
    };
    let stage = Stage::new(plan, lab, overlay, desk);
    for index in 0..control.controllers.len() {
        control.note(&stage, index)?;
    }
    let flags = ["--networks", NETWORK, "--look-every", LOOK_EVERY];
    let mut spots = Vec::new();
    for host in stage.lab.hosts() {
        spots.push(Spot {
            number: host.number,
            agent: Agent::new(host, &urls, &flags)?,
            elder: host.number <= stage.plan.elders(),
            // One comes later.
            away: host.number == stage.plan.hosts && stage.plan.hosts > 2,
        });
    }
    for spot in spots.iter_mut().filter(|spot| !spot.away) {
        spot.launch(&stage)?;
    }
    for spot in spots.iter_mut().filter(|spot| !spot.away) {
        spot.agent.ready()?;
        spot.settle(&stage)?;
    }
    Ok((stage, spots, control))
}

fn rounds(
    stage: &Stage,
    spots: &mut [Spot],
    control: &mut Control,
    tally: &Mutex<report::Tally>,
) -> Result<()> {
    let mut dice = Dice::new(stage.plan.seed);
    let mut seen = Seen::default();
    let mut quiet = |spots: &mut [Spot], control: &Control| {
        let mut counted = tally.lock().expect("who counts does not panic").clone();
        let quiet = seen.quiet(stage, spots, control, &mut counted);
        *tally.lock().expect("who counts does not panic") = counted;
        quiet
    };
    for host in stage.inhabited() {
        stage.traffic.begin(stage, host, &mut dice)?;
    }
    quiet(spots, control)?;
    let mut round = 0;
    while stage.start.elapsed() < stage.plan.time && !stage.is_broken() {
        round += 1;
        act(stage, spots, control, &mut dice, round)?;
        // One that cannot go on is not expected to get ready, either.
        if stage.is_broken() {
            break;
        }
        quiet(spots, control)?;
    }
    stage.traffic.end(None)?;
    let mut counted = tally.lock().expect("who counts does not panic");
    quiet::judge_losses(stage, &mut counted, Instant::now());
    Ok(())
}

/// One round: lanes of hosts, and one who acts on the controllers.
fn act(
    stage: &Stage,
    spots: &mut [Spot],
    control: &mut Control,
    dice: &mut Dice,
    round: u64,
) -> Result<()> {
    let until = (stage.start.elapsed() + stage.plan.round).min(stage.plan.time);
    let away = spots.iter().find(|spot| spot.away).map(|spot| spot.number);
    let elders = stage.plan.elders() as usize;
    // One that is away comes; otherwise somebody leaves now and then.
    let chosen = elders + dice.below(spots.len().saturating_sub(elders));
    let leaves = dice.below(2) == 0 && spots.len() > 2;
    let mover = away.or_else(|| leaves.then(|| spots[chosen].number));
    stage.traffic.begin_streams(stage, mover, dice)?;
    let many = (spots.len() / HOSTS_OF_A_LANE).clamp(1, LANES);
    let mut lanes: Vec<Lane<'_>> = Vec::new();
    let mut hosts: Vec<&mut Spot> = spots.iter_mut().collect();
    for lane in 0..many {
        let mut own = Vec::new();
        for _ in 0..hosts.len() / (many - lane) {
            let one = dice.below(hosts.len());
            own.push(hosts.swap_remove(one));
        }
        let number = round.wrapping_mul(31).wrapping_add(lane as u64 + 1);
        lanes.push(Lane {
            mover: mover.filter(|mover| own.iter().any(|spot| spot.number == *mover)),
            spots: own,
            dice: Dice::new(stage.plan.seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15)),
        });
    }
    let number = round.wrapping_mul(31);
    let own = Dice::new(stage.plan.seed ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    thread::scope(|scope| {
        for lane in lanes {
            scope.spawn(move || lane.run(stage, until));
        }
        scope.spawn(move || control.run(stage, until, own));
    });
    Ok(())
}

/// Samples memory, and says how it goes.
fn watch(stage: &Stage, over: &AtomicBool, tally: &Mutex<report::Tally>) {
    let mut since: u32 = 0;
    while !over.load(Ordering::Relaxed) {
        stage.processes.sample();
        since += 1;
        if stage.plan.progress && since.is_multiple_of(PROGRESS_EVERY) {
            let tally = tally.lock().expect("who counts does not panic").clone();
            progress(stage, &tally);
        }
        thread::sleep(SAMPLE_EVERY);
    }
}

fn progress(stage: &Stage, tally: &report::Tally) {
    let processes = stage.processes.all();
    let most = |of: &str| {
        let those = processes
            .iter()
            .filter(|one| one.runs() && one.name.starts_with(of));
        let most = those.filter_map(processes::Series::newest).max();
        most.unwrap_or(0) as f64 / 1e6
    };
    let line = format!(
        "{:>5.0} s  {:>4} acts  {:>8} pings in {} flows, lost {} allowed, {} not  \
         agents up to {:.1} MB, controllers {:.1} MB  {} violations",
        stage.start.elapsed().as_secs_f64(),
        stage.diary.count(),
        stage.traffic.sent(),
        stage.traffic.flows(),
        tally.allowed(),
        tally.unexplained,
        most("agent"),
        most("controller"),
        stage.violations().len(),
    );
    // Whoever reads it may be gone.
    drop(writeln!(io::stdout(), "{line}"));
}
