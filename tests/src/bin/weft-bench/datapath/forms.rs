//! The two forms of a container's link beside each other: routed, and a port of a
//! bridge.

use std::time::Duration;

use anyhow::Result;
use tests::lab::{Attached, Lab};

use super::{ROUNDS, meter::Way};
use crate::{machine, rate::middle, time};

#[derive(Default)]
struct Measured {
    throughput: Vec<u64>,
    /// Of all processors, while a gigabit went.
    cost: Vec<Duration>,
    round_trip: Vec<Duration>,
    datagrams: Vec<u64>,
}

pub fn run() -> Result<()> {
    let load = machine::load()?;
    let mut lab = Lab::new(4)?;
    lab.start_controller(&["--default-network", "10.32.0.0/12"])?;
    for controller in &mut lab.controllers {
        controller.hush();
    }
    let mut agents = Vec::new();
    let mut containers: Vec<Attached> = Vec::new();
    for host in 1..=4 {
        let flags: &[&str] = if host > 2 {
            &["--bridge", "default"]
        } else {
            &[]
        };
        let mut agent = lab.agent(host, flags)?;
        agent.hush();
        for which in ["a", "b"] {
            containers.push(agent.attached(&format!("{which}{host}"))?);
        }
        agents.push(agent);
    }
    let between = |from: usize, to: usize| Way {
        from: &containers[from],
        to: &containers[to],
        address: containers[to].addresses()[0],
    };
    let underlay = Way {
        from: lab.host(1),
        to: lab.host(2),
        address: lab.host(2).v4().into(),
    };
    let ways = [
        ("hosts, no overlay", underlay),
        ("two hosts, routed", between(0, 2)),
        ("two hosts, bridge", between(4, 6)),
        ("one host, routed", between(0, 1)),
        ("one host, bridge", between(4, 5)),
    ];
    let mut measured: Vec<Measured> = ways.iter().map(|_| Measured::default()).collect();
    for _ in 0..ROUNDS {
        for ((_, way), measured) in ways.iter().zip(&mut measured) {
            let before = machine::busy()?;
            let throughput = way.throughput()?;
            let gigabits = throughput as f64 / 1e9;
            let spent = (machine::busy()? - before).as_secs_f64() / gigabits;
            measured.cost.push(Duration::from_secs_f64(spent));
            measured.throughput.push(throughput);
            measured.round_trip.push(way.round_trip()?);
            measured.datagrams.push(way.datagrams()?);
        }
    }
    println!("Two forms of a container's link; medians of {ROUNDS} rounds; {load}\n");
    println!("| between | TCP | CPU a gigabit | one byte there and back | datagrams of 64 bytes |");
    println!("|---|---:|---:|---:|---:|");
    for ((name, _), measured) in ways.iter().zip(measured) {
        println!(
            "| {name} | {:.1} Gbit/s | {} | {} | {:.0} k/s |",
            middle(measured.throughput) as f64 / 1e9,
            time(middle(measured.cost)),
            time(middle(measured.round_trip)),
            middle(measured.datagrams) as f64 / 1e3
        );
    }
    println!();
    Ok(())
}
