//! A node that joins is programmed by all, one that goes is kept through the grace
//! time and then dropped, one that leaves while a peer's agent is down is dropped when
//! that agent starts, and when most go at once nobody believes it for a while.

use anyhow::{Result, ensure};
use serde_json::Value;
use tests::{
    lab::{Agent, Host, Lab, ping},
    wait::patiently,
};

/// The subnets that a host has routes to through the overlay.
fn routes(host: &Host) -> Result<Vec<String>> {
    let routes = host.json(&["ip", "-j", "route", "show", "proto", "77", "dev", "weft1"])?;
    let routes = routes.as_array().cloned().unwrap_or_default();
    let mut subnets: Vec<String> = routes
        .iter()
        .map(|route| route["dst"].as_str().unwrap_or_default().to_owned())
        .collect();
    subnets.sort_unstable();
    Ok(subnets)
}

fn count(host: &Host, what: &[&str], expected: usize) -> Result<()> {
    let found = host.json(what)?;
    let count = found.as_array().map_or(0, Vec::len);
    ensure!(count == expected, "{count} instead of {expected}: {found}");
    Ok(())
}

/// Everything that a host holds for so many peers.
fn holds(host: &Host, peers: usize) -> Result<()> {
    count(
        host,
        &["ip", "-j", "route", "show", "proto", "77", "dev", "weft1"],
        peers,
    )?;
    count(
        host,
        &["bridge", "-j", "fdb", "show", "dev", "weft1"],
        peers,
    )?;
    let neighbours = [
        "ip",
        "-j",
        "neigh",
        "show",
        "dev",
        "weft1",
        "nud",
        "permanent",
    ];
    count(host, &neighbours, peers)?;
    let set = host.json(&["nft", "-j", "list", "set", "inet", "weft", "peers4"])?;
    let elements = &set["nftables"][1]["set"]["elem"];
    let sources = elements.as_array().map_or(0, Vec::len);
    ensure!(sources == peers, "{sources} sources: {set}");
    Ok(())
}

#[test]
fn one_that_joins_is_everywhere() -> Result<()> {
    let mut lab = Lab::new(3)?;
    lab.start_controller(&[])?;
    let _first = lab.agent(1, &[])?;
    let _second = lab.agent(2, &[])?;
    let (one, other) = (lab.container_on(1)?, lab.container_on(2)?);
    assert_eq!(ping(&one, other.v4(), 2)?.lost(), 0);
    holds(lab.host(1), 1)?;
    let _third = lab.agent(3, &[])?;
    for host in lab.hosts() {
        patiently("all know all", || holds(host, 2))?;
    }
    Ok(())
}

#[test]
fn one_that_is_gone_is_kept_until_its_lease_is() -> Result<()> {
    let mut lab = Lab::new(3)?;
    let quick = [
        "--session-ttl",
        "2s",
        "--grace",
        "1s",
        "--clock-skew",
        "1s",
        "--reclaim-hold",
        "1s",
    ];
    lab.start_controller(&quick)?;
    lab.weft(&[
        "network",
        "create",
        "short",
        "--pool",
        "10.60.0.0/16",
        "--lapse",
        "4s",
    ])?;
    let mut agents = lab.agents(&["--networks", "short"])?;
    let device = lab.weft(&["network", "list"])?;
    let vni = device
        .as_array()
        .into_iter()
        .flatten()
        .find(|network| network["name"] == "short");
    let vni = vni
        .map(|network| network["vni"].to_string())
        .unwrap_or_default();
    let name = format!("weft{vni}");
    let routes = || {
        count(
            lab.host(1),
            &["ip", "-j", "route", "show", "proto", "77", "dev", &name],
            2,
        )
    };
    patiently("both peers are there", routes)?;
    agents[2].kill()?;
    patiently("the lease has lapsed, and the entries are there", || {
        let lease = lab.weft(&["lease", "list", "--network", "short"])?;
        let lapsed = lease
            .as_array()
            .into_iter()
            .flatten()
            .any(|lease| lease["state"] == "lapsed");
        ensure!(lapsed, "{lease}");
        routes()
    })?;
    patiently("they are gone with the lease", || {
        count(
            lab.host(1),
            &["ip", "-j", "route", "show", "proto", "77", "dev", &name],
            1,
        )
    })?;
    Ok(())
}

#[test]
fn one_leaves_while_a_peers_agent_is_down() -> Result<()> {
    let mut lab = Lab::new(4)?;
    lab.start_controller(&[])?;
    let mut agents = lab.agents(&[])?;
    patiently("all know all", || holds(lab.host(1), 3))?;
    let before = routes(lab.host(1))?;
    agents[0].kill()?;
    agents[3].kill()?;
    let gone = lab.weft(&["lease", "list"])?;
    let gone = gone
        .as_array()
        .into_iter()
        .flatten()
        .find(|lease| lease["node"] == "h4");
    let gone = gone
        .map(|lease| lease["subnets"][0].clone())
        .unwrap_or_default();
    let removed = lab.weft_said(&["node", "remove", "h4"])?;
    assert_eq!(removed.code, 0, "{removed:?}");
    // Nobody tells the host whose agent is down.
    patiently("a peer with an agent follows", || holds(lab.host(2), 2))?;
    assert_eq!(routes(lab.host(1))?, before);
    agents[0].start()?;
    patiently("exactly those entries go", || holds(lab.host(1), 2))?;
    let after = routes(lab.host(1))?;
    let left: Vec<String> = before
        .into_iter()
        .filter(|subnet| *subnet != gone.as_str().unwrap_or_default())
        .collect();
    assert_eq!(after, left);
    Ok(())
}

fn peers_in_state(agent: &Agent, state: &str) -> Result<usize> {
    let status = agent.status()?;
    let peers = status["networks"][0]["peers"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    Ok(peers.iter().filter(|peer| peer["state"] == state).count())
}

/// As when a store is wiped, or the wrong prefix is served.
#[test]
fn most_go_at_once_and_are_kept_for_a_while() -> Result<()> {
    let mut lab = Lab::new(2)?;
    lab.start_controller(&[])?;
    // Nodes that need no host.
    for number in 10..20 {
        let node = format!("n{number}");
        let (underlay, mac) = (
            format!("192.0.2.{number}"),
            format!("02:00:00:00:00:{number}"),
        );
        lab.weft(&[
            "lease",
            "acquire",
            "--node",
            &node,
            "--underlay",
            &underlay,
            "--mac",
            &mac,
        ])?;
    }
    let mut agent = lab.agent(1, &["--hold-losses", "4s"])?;
    holds(lab.host(1), 10)?;
    // The store is wiped: another fleet answers at the same place.
    let controller = &mut lab.controllers[0];
    controller.kill()?;
    std::fs::remove_dir_all(controller.data())?;
    controller.start()?;
    patiently("the loss is noticed", || {
        let held = peers_in_state(&agent, "held")?;
        ensure!(held == 10, "{held} are held: {}", agent.status()?);
        Ok(())
    })?;
    holds(lab.host(1), 10)?;
    let reason: Value = agent.status()?["reason"].clone();
    assert!(
        reason
            .as_str()
            .is_some_and(|reason| reason.contains("10 peers")),
        "{reason}"
    );
    // An agent that is killed meanwhile does not forget why they are there.
    agent.kill()?;
    agent.start()?;
    holds(lab.host(1), 10)?;
    // One that comes is served at once all the same.
    let taken = [
        "--node",
        "new",
        "--underlay",
        "192.0.2.10",
        "--mac",
        "02:00:00:00:00:99",
    ];
    lab.weft(&[&["lease", "acquire"], &taken[..]].concat())?;
    patiently("it takes the place of the one that had its address", || {
        let fdb = lab
            .host(1)
            .done(&["bridge", "fdb", "show", "dev", "weft1"])?;
        ensure!(fdb.contains("02:00:00:00:00:99 dst 192.0.2.10"), "{fdb}");
        ensure!(!fdb.contains("02:00:00:00:00:10"), "{fdb}");
        Ok(())
    })?;
    patiently("at last they are let go", || holds(lab.host(1), 1))
}
