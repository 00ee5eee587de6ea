//! What peers cost the agent of one host, and how fast it is with them.

use std::{fmt::Write, time::Duration};

use anyhow::Result;

use super::{
    ROUNDS,
    batch::{Batch, Metrics},
    change::{Change, change},
    fleet::Fleet,
    look::{Look, look},
    stay::{LENGTH, Stay, stay},
    trial::Trial,
};
use crate::{machine, rate::middle, time};

const SIZES: [usize; 5] = [0, 1_000, 5_000, 10_000, 50_000];
/// With one metric for all routes the kernel takes quadratic time: beyond this many it
/// is not waited for.
const MOST_WITH_ONE_METRIC: usize = 10_000;
/// Of what is looked at more closely.
const CLOSELY: usize = 10_000;

pub fn run() -> Result<()> {
    let mut programmed = format!(
        "Peers programmed; medians of {ROUNDS} rounds; {}\n\n\
         | peers | fresh agent, ready | of that, programming | `bridge`, `ip -batch` | ratio \
         | one metric for all | restarted, nothing to do |\n\
         |---:|---:|---:|---:|---:|---:|---:|\n",
        machine::load()?
    );
    let mut stayed = format!(
        "An agent that has nothing to do for {LENGTH:?}\n\n\
         | peers | memory | after it | bytes a peer | looks | share of a core |\n\
         |---:|---:|---:|---:|---:|---:|\n"
    );
    let mut closely = String::new();
    let mut without_peers = None;
    let mut fleet = Fleet::new()?;
    let mut trial = Trial::new(fleet.with_agent(), &fleet.controllers()?)?;
    for peers in SIZES {
        fleet.grow(peers)?;
        if peers > 0 {
            programmed += &row(peers, &rounds(&fleet, &mut trial, peers)?);
        }
        trial.start()?;
        let now = stay(&trial)?;
        stayed += &stay_row(peers, &now, *without_peers.get_or_insert(now.memory_later));
        if peers == CLOSELY {
            let looked = look(fleet.with_agent(), &trial)?;
            closely = close_rows(peers, &change(&fleet, &trial)?, &looked)?;
        }
        trial.wipe()?;
    }
    println!("{programmed}\n{stayed}\n{closely}");
    Ok(())
}

/// Medians.
struct Programmed {
    ready: Duration,
    programming: Duration,
    by_hand: Duration,
    one_metric: Option<Duration>,
    restarted: Duration,
}

fn rounds(fleet: &Fleet, trial: &mut Trial, peers: usize) -> Result<Programmed> {
    let (mut ready, mut programming) = (Vec::new(), Vec::new());
    let (mut by_hand, mut one_metric, mut restarted) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let start = trial.start()?;
        ready.push(start.ready);
        programming.push(start.programming);
        trial.kill()?;
        restarted.push(trial.start()?.ready);
        let batch = Batch::of(fleet.with_agent())?;
        trial.wipe()?;
        by_hand.push(batch.run(fleet.by_hand(), Metrics::Each)?);
        if peers <= MOST_WITH_ONE_METRIC {
            one_metric.push(batch.run(fleet.by_hand(), Metrics::One)?);
        }
    }
    Ok(Programmed {
        ready: middle(ready),
        programming: middle(programming),
        by_hand: middle(by_hand),
        one_metric: (!one_metric.is_empty()).then(|| middle(one_metric)),
        restarted: middle(restarted),
    })
}

fn row(peers: usize, programmed: &Programmed) -> String {
    let Programmed {
        ready,
        programming,
        by_hand,
        one_metric,
        restarted,
    } = programmed;
    format!(
        "| {peers} | {} | {} | {} | {:.2} | {} | {} |\n",
        time(*ready),
        time(*programming),
        time(*by_hand),
        programming.as_secs_f64() / by_hand.as_secs_f64(),
        one_metric.map_or("not waited for".into(), time),
        time(*restarted)
    )
}

fn stay_row(peers: usize, stay: &Stay, without_peers: u64) -> String {
    let mb = |bytes: u64| bytes as f64 / 1e6;
    let more = stay.memory_later.saturating_sub(without_peers);
    let each = match peers {
        0 => "-".into(),
        _ => (more / peers as u64).to_string(),
    };
    format!(
        "| {peers} | {:.1} MB | {:.1} MB | {each} | {} | {:.3} % |\n",
        mb(stay.memory),
        mb(stay.memory_later),
        stay.looks,
        stay.cpu * 100.0
    )
}

fn close_rows(peers: usize, change: &Change, look: &Look) -> Result<String> {
    let mut rows = format!("Among {peers} peers; medians\n\n| what | figure |\n|---|---:|\n");
    let mut row = |what: &str, took| writeln!(rows, "| {what} | {} |", time(took));
    row("one peer's MAC changes: CPU time of the agent", change.cpu)?;
    row(
        "from the request to the kernel's entry",
        change.after_request,
    )?;
    row("from its answer", change.after_answer)?;
    row("all is read and compared, nothing to do", look.took)?;
    row("CPU time of it", look.cpu)?;
    for (list, took) in &look.lists {
        row(&format!("`{list}`"), *took)?;
    }
    Ok(rows)
}
