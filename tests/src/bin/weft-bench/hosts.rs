//! Many hosts with a real agent each on one etcd: all start at once, one more joins,
//! one leaves, the controller is away for a while, and nothing happens.

mod away;
mod cold;
mod idle;
mod one;

use std::{fmt::Write, time::Duration};

use anyhow::Result;
use tests::crowd::Crowd;

use crate::{machine, rate::middle, time};
use away::Back;
use cold::Cold;
use idle::Idle;
use one::One;

pub const SIZES: [usize; 4] = [50, 100, 200, 500];
/// Of each figure that is a median.
const ROUNDS: usize = 3;
/// How long a controller is away: agents ask at once, or are at their longest pause.
const AWAY: [Duration; 2] = [Duration::ZERO, Duration::from_secs(30)];

pub fn run(sizes: &[usize]) -> Result<()> {
    let load = machine::load()?;
    let mut cold = format!(
        "All start at once; medians of {ROUNDS} rounds; {load}\n\n\
         | hosts | all routes everywhere | all ready | agents that ended | lines at WARN \
         | CPU of the agents | of the controller | of etcd | of the machine |\n\
         |---:|---:|---:|---:|---:|---:|---:|---:|---:|\n"
    );
    let mut one = "One joins, one leaves; medians\n\n\
         | hosts | joins: its routes everywhere | it is ready | leaves: its routes gone everywhere |\n\
         |---:|---:|---:|---:|\n"
        .to_owned();
    let mut away = "The controller is killed and started again\n\n\
         | hosts | away for | it is ready | all sessions open | most in one second | CPU of the controller |\n\
         |---:|---:|---:|---:|---:|---:|\n"
        .to_owned();
    let mut idle = format!(
        "Nothing happens for {:?}\n\n\
         | hosts | agent's memory, median | largest | of that its own, median | controller's \
         | share of a core, an agent | all agents | controller |\n\
         |---:|---:|---:|---:|---:|---:|---:|---:|\n",
        idle::LENGTH
    );
    for &hosts in sizes {
        let mut crowd = fresh(hosts)?;
        let mut starts = vec![cold::start(&mut crowd, hosts)?];
        for _ in 1..ROUNDS {
            drop(crowd);
            crowd = fresh(hosts)?;
            starts.push(cold::start(&mut crowd, hosts)?);
        }
        cold += &cold_row(hosts, &starts);
        one += &one_row(hosts, &one::joins_and_leaves(&mut crowd, hosts)?);
        idle += &idle_row(hosts, &idle::rest(&crowd, hosts)?);
        for length in AWAY {
            away += &away_row(hosts, length, &away::away(&mut crowd, hosts, length)?);
        }
        eprintln!("{cold}\n{one}\n{away}\n{idle}");
    }
    println!("{cold}\n{one}\n{away}\n{idle}");
    Ok(())
}

/// One more than start at once: it joins later.
fn fresh(hosts: usize) -> Result<Crowd> {
    let began = std::time::Instant::now();
    let mut crowd = Crowd::new(u32::try_from(hosts)? + 1, 1, &[])?;
    eprintln!("{hosts} hosts after {}", time(began.elapsed()));
    crowd.hush();
    Ok(crowd)
}

fn cold_row(hosts: usize, starts: &[Cold]) -> String {
    let of = |field: fn(&Cold) -> Duration| time(middle(starts.iter().map(field).collect()));
    let most = |field: fn(&Cold) -> usize| starts.iter().map(field).max().unwrap_or(0);
    format!(
        "| {hosts} | {} | {} | {} | {} | {} | {} | {} | {} |\n",
        of(|cold| cold.everywhere),
        of(|cold| cold.ready),
        most(|cold| cold.ended),
        most(|cold| cold.complaints),
        of(|cold| cold.agents),
        of(|cold| cold.controller),
        of(|cold| cold.etcd),
        of(|cold| cold.machine)
    )
}

fn one_row(hosts: usize, rounds: &[One]) -> String {
    let of = |field: fn(&One) -> Duration| time(middle(rounds.iter().map(field).collect()));
    format!(
        "| {hosts} | {} | {} | {} |\n",
        of(|one| one.joined),
        of(|one| one.ready),
        of(|one| one.left)
    )
}

fn away_row(hosts: usize, length: Duration, back: &Back) -> String {
    format!(
        "| {hosts} | {length:?} | {} | {} | {} | {} |\n",
        time(back.ready),
        time(back.all),
        back.most_in_a_second,
        time(back.cpu)
    )
}

fn idle_row(hosts: usize, idle: &Idle) -> String {
    let mut row = format!("| {hosts} ");
    for bytes in [idle.median, idle.largest, idle.own, idle.controller] {
        write!(row, "| {:.1} MB ", bytes as f64 / 1e6).expect("a string takes it");
    }
    let shares = [idle.cpu / hosts as f64, idle.cpu, idle.controller_cpu];
    for share in shares {
        write!(row, "| {:.3} % ", share * 100.0).expect("a string takes it");
    }
    row + "|\n"
}
