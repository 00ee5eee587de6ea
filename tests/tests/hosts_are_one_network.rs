//! Containers on different hosts reach each other: IPv4 and IPv6, over either
//! underlay, with packets as large as fit.

use anyhow::Result;
use tests::lab::{Agent, Container, Fragments, Ground, Lab, ping, ping_sized, tcp};

const POOLS: &str = "10.40.0.0/16,fd77:40::/48";

/// Three hosts with an agent and a container each.
fn lab(network: &[&str], name: &str) -> Result<(Lab, Vec<Agent>, Vec<Container>)> {
    let mut lab = Lab::new(3)?;
    lab.start_controller(&["--default-network", POOLS])?;
    if !network.is_empty() {
        lab.weft(&[&["network", "create", name], network].concat())?;
    }
    let agents = lab.agents(&["--networks", name])?;
    let containers: Result<Vec<Container>> =
        (1..=3).map(|host| lab.container_of(host, name)).collect();
    Ok((lab, agents, containers?))
}

fn all_reach_all(containers: &[Container], mtu: u16) -> Result<()> {
    for from in containers {
        for to in containers.iter().filter(|to| to.mac != from.mac) {
            for address in &to.addresses {
                let pings = ping(from, *address, 3)?;
                assert_eq!(
                    pings.lost(),
                    0,
                    "{} to {address}: {}",
                    from.name(),
                    pings.said.stdout
                );
                // What fits is not split on the way; IP and ICMP have headers, too.
                let headers = if address.is_ipv4() { 28 } else { 48 };
                let pings = ping_sized(from, *address, 2, mtu - headers, Fragments::Never)?;
                assert_eq!(
                    pings.lost(),
                    0,
                    "{} to {address}: {}",
                    from.name(),
                    pings.said.stdout
                );
                let more = ping_sized(from, *address, 1, mtu - headers + 1, Fragments::Never)?;
                assert_eq!(more.received, 0, "{}", more.said.stdout);
                tcp(from, to, *address, 1 << 20)?;
            }
        }
    }
    Ok(())
}

#[test]
fn over_ipv4() -> Result<()> {
    let (_lab, _agents, containers) = lab(&[], "default")?;
    all_reach_all(&containers, 1450)
}

#[test]
fn over_ipv6() -> Result<()> {
    let six = [
        "--pool",
        "10.50.0.0/16",
        "--pool",
        "fd77:50::/48",
        "--underlay",
        "v6",
    ];
    let (_lab, _agents, containers) = lab(&six, "six")?;
    all_reach_all(&containers, 1430)
}

/// Hosts 1 and 3 are on one link, where packets may go as they are; 2 is behind a router.
#[test]
fn across_a_router() -> Result<()> {
    for encap in ["vxlan", "auto"] {
        let mut lab = Lab::on(Ground::Routed, 3)?;
        lab.start_controller(&["--default-network", POOLS])?;
        let pools = ["--pool", "10.50.0.0/16", "--pool", "fd77:50::/48"];
        lab.weft(&[&["network", "create", "far", "--encap", encap][..], &pools].concat())?;
        let _agents = lab.agents(&["--networks", "far"])?;
        let containers: Result<Vec<Container>> =
            (1..=3).map(|host| lab.container_of(host, "far")).collect();
        let containers = containers?;
        for from in &containers {
            for to in containers.iter().filter(|to| to.mac != from.mac) {
                for address in &to.addresses {
                    let pings = ping(from, *address, 3)?;
                    assert_eq!(pings.lost(), 0, "{encap}: {}", pings.said.stdout);
                    tcp(from, to, *address, 1 << 20)?;
                }
            }
        }
    }
    Ok(())
}

/// A site may have routes of its own to what contains the pools.
#[test]
fn beside_a_route_that_leads_elsewhere() -> Result<()> {
    let mut lab = Lab::new(2)?;
    lab.start_controller(&["--default-network", POOLS])?;
    for host in lab.hosts() {
        host.ip(&[
            "route add fd00::/8 via 2001:db8:50::254 dev eth0",
            "route add 10.0.0.0/8 via 192.0.2.254 dev eth0",
        ])?;
    }
    let _agents = lab.agents(&[])?;
    let containers = [lab.container_on(1)?, lab.container_on(2)?];
    all_reach_all(&containers, 1450)
}
