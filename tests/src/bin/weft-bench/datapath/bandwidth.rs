//! How near containers come to the bandwidth that they were given, towards them and
//! from them, beside one that has no bound.

use std::net::IpAddr;

use anyhow::Result;
use tests::lab::{Lab, Namespace};

use super::meter::Way;
use crate::{machine, rate::middle};

const ASKED: [u64; 3] = [10_000_000, 100_000_000, 1_000_000_000];
/// Of each figure, which is their median; the variants take turns.
const ROUNDS: usize = 3;
/// Of a packet of the overlay what is TCP's payload, and the whole of its frame: the
/// bound is on what goes over the wire.
const PAYLOAD: f64 = 1398.0;
const FRAME: f64 = 1464.0;

struct Bounded {
    asked: Option<u64>,
    container: Namespace,
    address: IpAddr,
    towards: Vec<u64>,
    from: Vec<u64>,
}

pub fn run() -> Result<()> {
    let load = machine::load()?;
    let mut lab = Lab::new(2)?;
    lab.start_controller(&["--default-network", "192.168.0.0/16"])?;
    for controller in &mut lab.controllers {
        controller.hush();
    }
    let mut agents = lab.agents(&[])?;
    for agent in &mut agents {
        agent.hush();
    }
    let far = Namespace::new("far".into())?;
    let there = agents[1].attach(&far, &[])?.endpoint.addresses[0];
    let mut all = Vec::new();
    for asked in std::iter::once(None).chain(ASKED.map(Some)) {
        let container = Namespace::new("bounded".into())?;
        let rate = asked.map(|asked| asked.to_string());
        let flags = rate.iter().flat_map(|rate| ["--bandwidth", rate]);
        let attached = agents[0].attach(&container, &flags.collect::<Vec<_>>())?;
        all.push(Bounded {
            asked,
            container,
            address: attached.endpoint.addresses[0],
            towards: Vec::new(),
            from: Vec::new(),
        });
    }
    for _ in 0..ROUNDS {
        for one in &mut all {
            let towards = Way {
                from: &far,
                to: &one.container,
                address: one.address,
            };
            one.towards.push(towards.steady()?);
            let from = Way {
                from: &one.container,
                to: &far,
                address: there,
            };
            one.from.push(from.steady()?);
        }
    }
    println!("TCP of a bounded container, as its frames; medians of {ROUNDS} rounds; {load}\n");
    println!("| asked for | towards it | from it |");
    println!("|---|---:|---:|");
    for one in all {
        let asked = one.asked.map_or("no bound".into(), mbits);
        let cell = |measured| cell(one.asked, middle(measured));
        println!("| {asked} | {} | {} |", cell(one.towards), cell(one.from));
    }
    println!();
    Ok(())
}

fn cell(asked: Option<u64>, payload: u64) -> String {
    let frames = payload as f64 * FRAME / PAYLOAD;
    let off = asked.map(|asked| (frames / asked as f64 - 1.0) * 100.0);
    let off = off.map(|off| format!(" ({off:+.1} %)"));
    format!("{:.2} Mbit/s{}", frames / 1e6, off.unwrap_or_default())
}

fn mbits(bits: u64) -> String {
    format!("{} Mbit/s", bits / 1_000_000)
}
