//! A whole fleet is switched on in one moment: every agent gets subnets of its own, none
//! ends, none complains, and every host reaches every other.

use std::{
    collections::BTreeMap,
    net::Ipv4Addr,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use tests::{
    crowd::{Crowd, holds, routes},
    lab::ping,
};

const AGENTS: usize = 200;
/// Far more than it takes, also beside other tests.
const PATIENCE: Duration = Duration::from_secs(120);
/// Hosts that are looked at with `ip` and `bridge`.
const EVERY: usize = 20;

#[test]
fn two_hundred_agents_start_at_once() -> Result<()> {
    let began = Instant::now();
    let mut crowd = Crowd::new(u32::try_from(AGENTS)?, 1, &[])?;
    println!("{AGENTS} hosts after {:?}", began.elapsed());
    let began = Instant::now();
    crowd.launch(0..AGENTS)?;
    crowd.routed(0..AGENTS, AGENTS - 1, PATIENCE)?;
    println!("all routes everywhere after {:?}", began.elapsed());
    crowd.ready(0..AGENTS)?;
    println!("all are ready after {:?}", began.elapsed());

    distinct(&crowd)?;
    for host in crowd.hosts(0..AGENTS) {
        assert_eq!(routes(host)?, AGENTS - 1, "{}", host.node());
    }
    for host in crowd.hosts(0..AGENTS).iter().step_by(EVERY) {
        holds(host, AGENTS - 1)?;
    }
    let last = u32::try_from(AGENTS)?;
    let (one, other) = (crowd.lab.container_on(1)?, crowd.lab.container_on(last)?);
    assert_eq!(ping(&one, other.v4(), 3)?.lost(), 0);

    assert_eq!(crowd.ended(0..AGENTS)?, 0);
    assert_eq!(crowd.complaints()?, Vec::<String>::new());
    crowd.hush();
    Ok(())
}

/// Every node has one lease, and no two overlap.
fn distinct(crowd: &Crowd) -> Result<()> {
    let leases = crowd.lab.weft(&["lease", "list"])?;
    let leases = leases.as_array().context("leases")?;
    ensure!(leases.len() == AGENTS, "{} leases", leases.len());
    // By where they begin: two that overlap are neighbours in this order.
    let mut ranges = BTreeMap::new();
    for lease in leases {
        let subnets = lease["subnets"].as_array().context("subnets")?;
        ensure!(subnets.len() == 1, "{lease}");
        let (first, last) = range(subnets[0].as_str().context("a subnet")?)?;
        let node = lease["node"].as_str().context("a node")?;
        let other = ranges.insert(first, (last, node));
        ensure!(other.is_none(), "{other:?} and {lease}");
    }
    let ends = ranges.values();
    for ((last, node), (first, (_, next))) in ends.zip(ranges.iter().skip(1)) {
        ensure!(last < first, "{node} and {next} overlap: {ranges:?}");
    }
    let mut nodes: Vec<&str> = ranges.values().map(|(_, node)| *node).collect();
    nodes.sort_unstable();
    nodes.dedup();
    ensure!(nodes.len() == AGENTS, "{} nodes", nodes.len());
    Ok(())
}

/// The first and the last address of a subnet.
fn range(subnet: &str) -> Result<(u32, u32)> {
    let (first, length) = subnet.split_once('/').context("a subnet")?;
    let first = u32::from(first.parse::<Ipv4Addr>()?);
    let length: u32 = length.parse()?;
    Ok((first, first + (u32::MAX >> length)))
}
