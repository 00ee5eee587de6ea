//! Container to container on two hosts, beside the hosts themselves, with less and more
//! of the firewall in the way.

use std::time::Duration;

use anyhow::{Result, ensure};
use tests::lab::{Agent, Container, Lab};

use super::{ROUNDS, meter::Way};
use crate::{machine, rate::middle, time};

/// What the firewall does there, by the pairs of hosts: 1 and 2, 3 and 4, 5 and 6.
const PAIRS: [(&str, &str); 3] = [
    ("containers, no firewall", "open"),
    ("containers, guard", "guarded"),
    ("containers, guard and masquerade", "masqueraded"),
];

#[derive(Default)]
struct Measured {
    throughput: Vec<u64>,
    round_trip: Vec<Duration>,
    datagrams: Vec<u64>,
}

pub fn run() -> Result<()> {
    let load = machine::load()?;
    let mut lab = Lab::new(6)?;
    lab.start_controller(&["--default-network", "192.168.0.0/16"])?;
    for controller in &mut lab.controllers {
        controller.hush();
    }
    let (_agents, containers) = overlays(&lab)?;
    let underlay = Way {
        from: lab.host(1),
        to: lab.host(2),
        address: lab.host(2).v4().into(),
    };
    let mut ways = vec![("hosts, no overlay", underlay)];
    for ((name, _), pair) in PAIRS.iter().zip(containers.chunks(2)) {
        let way = Way {
            from: &pair[0],
            to: &pair[1],
            address: pair[1].v4().into(),
        };
        ways.push((name, way));
    }
    let mut measured: Vec<Measured> = ways.iter().map(|_| Measured::default()).collect();
    for _ in 0..ROUNDS {
        for ((_, way), measured) in ways.iter().zip(&mut measured) {
            measured.throughput.push(way.throughput()?);
            measured.round_trip.push(way.round_trip()?);
            measured.datagrams.push(way.datagrams()?);
        }
    }
    println!("Host to host and container to container; medians of {ROUNDS} rounds; {load}\n");
    println!("| between | TCP | one byte there and back | datagrams of 64 bytes |");
    println!("|---|---:|---:|---:|");
    for ((name, _), measured) in ways.iter().zip(measured) {
        println!(
            "| {name} | {:.1} Gbit/s | {} | {:.0} k/s |",
            middle(measured.throughput) as f64 / 1e9,
            time(middle(measured.round_trip)),
            middle(measured.datagrams) as f64 / 1e3
        );
    }
    println!();
    Ok(())
}

/// A network for each pair of hosts, and a container on each host.
fn overlays(lab: &Lab) -> Result<(Vec<Agent>, Vec<Container>)> {
    let (mut agents, mut containers) = (Vec::new(), Vec::new());
    for (index, (_, network)) in (0..).zip(PAIRS) {
        let pool = format!("10.{}.0.0/16", 10 + index);
        let masquerade = if network == "masqueraded" {
            "on"
        } else {
            "off"
        };
        let create = ["network", "create", network, "--pool", &pool];
        lab.weft(&[&create[..], &["--masquerade", masquerade]].concat())?;
        for host in [index * 2 + 1, index * 2 + 2] {
            let mut agent = lab.agent(host, &["--networks", network])?;
            agent.hush();
            containers.push(lab.container_of(host, network)?);
            agents.push(agent);
        }
    }
    for (index, (_, network)) in (0..).zip(PAIRS) {
        for host in [index * 2 + 1, index * 2 + 2] {
            let host = lab.host(host);
            if network == "open" {
                let agent = &mut agents[host.number as usize - 1];
                agent.kill()?;
                host.nft("delete table inet weft")?;
            }
            let rules = host.done(&["nft", "list", "ruleset"])?;
            let (guard, nat) = (rules.contains("type filter"), rules.contains("type nat"));
            let right = (guard, nat) == (network != "open", network == "masqueraded");
            ensure!(right, "{network}: {rules}");
        }
    }
    Ok((agents, containers))
}
